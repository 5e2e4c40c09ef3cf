"""The items of a file: JSON lists, JSON Lines and CSV, in parts of any size, and what is wrong with them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime.errors import NodeError
from workflow_runtime.services.items.formats import ITEM_BYTES_MAX, items_in

LONG = "长" * ITEM_BYTES_MAX

GOOD: list[tuple[str, bytes, list[Any]]] = [
    ("jsonl", b"", []),
    ("jsonl", b"\n\n  \n", []),
    ("jsonl", '{"名": 1}\n[2]\r\n\n"三"'.encode(), [{"名": 1}, [2], "三"]),
    ("jsonl", codecs.BOM_UTF8 + b"1\n2\n", [1, 2]),
    ("json", b"[]", []),
    ("json", b" [ ] \n", []),
    (
        "json",
        '\n[1, "a]b,{", {"x": [1, {"y": "\\"名"}]}, null,true , -1.5e3]\n'.encode(),
        [1, "a]b,{", {"x": [1, {"y": '"名'}]}, None, True, -1500.0],
    ),
    ("json", codecs.BOM_UTF8 + b"[12345]", [12345]),
    ("csv", b"", []),
    ("csv", b"a,b\n", []),
    (
        "csv",
        '﻿编号,b\r\n1,"x,""y""\r\nz"\r\n\r\n2,\r\n'.encode(),
        [{"编号": "1", "b": 'x,"y"\r\nz'}, {"编号": "2", "b": ""}],
    ),
    ("csv", b"a\n1\n2", [{"a": "1"}, {"a": "2"}]),
]

BAD: list[tuple[str, bytes, str]] = [
    ("jsonl", b'{"a": 1}\n\n{"a":}\n', "line 3: it is not JSON"),
    ("jsonl", '"好"\n"'.encode() + b'\xff"\n', "line 2: byte 2 is not UTF-8"),
    ("jsonl", b"1\n" + b"[" * 200 + b"]" * 200, "line 2: it is not JSON (the value is nested more than 100"),
    ("jsonl", b"1\n2 3\n", "line 2: it is not JSON"),
    ("jsonl", b"1\nNaN\n", "line 2: it is not JSON"),
    ("jsonl", "1\n2\n".encode("utf-16"), "the file is UTF-16"),
    ("csv", b"\x1f\x8b\x08\x00", "the file is compressed with gzip"),
    ("csv", b"PK\x03\x04more", "a zip archive, or a spreadsheet"),
    ("csv", b"a,b,a\n1,2,3\n", "line 1: the header names 'a' twice"),
    ("csv", b"\n\na,,b\n", "line 3: column 2 has no name in the header"),
    ("csv", b'a,b\n1,"2\n3"\n4\n', "line 4: 1 fields, and the header has 2"),
    ("csv", b"a,b\n1,2,3\n", "line 2: 3 fields, and the header has 2"),
    ("csv", b'a,b\n1,2\n3,"4\n5\n', "line 3: it is not CSV (unexpected end of data)"),
    ("csv", "名字\n小明\n".encode("gb18030"), "line 1: byte 1 is not UTF-8"),
    ("json", b"", "line 1: the file must be one JSON list, and it is empty"),
    ("json", b'\n{"items": []}', "line 2: the file must be one JSON list, and it begins with '{'"),
    ("json", b'[1,\n{"a":]', "line 2: it is not JSON"),
    ("json", b"[1,\n\n2,]", "line 3: it is not JSON"),
    ("json", b"[1\n2]", "line 2: '2' stands where a comma or the end of the list should be"),
    ("json", b"[1,2", "line 1: the file ends where a comma or the end of the list should be"),
    ("json", b'[1,"2', "line 1: it is not JSON (Unterminated string"),
    ("json", b"[1]\n[2]", "line 2: there is something after the end of the list"),
    ("json", b'[1,\n"\xff"]', "line 2: a byte is not UTF-8"),
    ("json", b"[" + b"[" * 200_000, "line 1: an item is nested too deep"),
    ("json", b"[" + b"[" * 200 + b"]" * 200 + b"]", "line 1: an item is not JSON (the value is nested more than 100"),
]

LARGE: list[tuple[str, bytes, str]] = [
    ("jsonl", f'1\n"{LONG}"\n'.encode(), "line 2: an item is longer than 262,144 bytes"),
    ("csv", f"a\n1\n{LONG}\n".encode(), "line 3: an item is longer than 262,144 bytes"),
    ("csv", b'a\n"' + b"x\n" * ITEM_BYTES_MAX + b'"\n', "line 2: an item is longer"),
    ("csv", b"a,b\n" + b'"x\n",' * ITEM_BYTES_MAX, "line 2: an item is longer"),
    ("json", b'[1,\n"' + b"x" * 3 * ITEM_BYTES_MAX + b'"]', "line 2: an item is longer"),
    ("json", b"[1,\n[" + b"1," * ITEM_BYTES_MAX + b"1]]", "line 2: an item is longer"),
]


def parts_of(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [4, 5, 7, 1_000])
@pytest.mark.parametrize(("format", "data", "items"), GOOD)
def test_the_items_are_the_same_in_parts_of_any_size(format: str, data: bytes, items: list[Any], size: int) -> None:
    assert list(items_in(parts_of(data, size), format)) == items


@pytest.mark.parametrize("size", [4, 7, 1_000_000])
@pytest.mark.parametrize(("format", "data", "message"), BAD)
def test_what_is_malformed_is_told_with_its_line(format: str, data: bytes, message: str, size: int) -> None:
    with pytest.raises(NodeError) as caught:
        list(items_in(parts_of(data, size), format))
    assert caught.value.type == "validation_error"
    assert message in caught.value.message


@pytest.mark.parametrize(("format", "data", "message"), LARGE)
def test_what_is_too_long_for_an_item_is_told_before_it_is_read(format: str, data: bytes, message: str) -> None:
    taken = 0

    def parts() -> Iterator[bytes]:
        nonlocal taken
        for part in parts_of(data, 64 * 1024):
            taken += len(part)
            yield part
        yield from (b"x" * 1024 for _ in range(100_000))

    with pytest.raises(NodeError) as caught:
        list(items_in(parts(), format))
    assert caught.value.type == "too_large"
    assert message in caught.value.message
    assert taken <= 4 * ITEM_BYTES_MAX


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(items=st.lists(VALUES, max_size=8), size=st.integers(4, 40), ascii=st.booleans(), indent=st.none() | st.just(1))
def test_any_values_come_back(items: list[Any], size: int, ascii: bool, indent: int | None) -> None:
    whole = json.dumps(items, ensure_ascii=ascii, indent=indent).encode("utf-8", "replace")
    lines = "\n".join(json.dumps(item, ensure_ascii=ascii) for item in items).encode("utf-8", "replace")
    expected = json.loads(json.dumps(items, ensure_ascii=False).encode("utf-8", "replace"))
    assert list(items_in(parts_of(whole, size), "json")) == expected
    assert list(items_in(parts_of(lines, size), "jsonl")) == expected
