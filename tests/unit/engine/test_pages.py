"""Long tables of the state are stored in pages, and opened page by page: in everything else they are dicts."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from tests.unit.engine.driver import START, Driver, control, plan_of

from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.events import CancelRequested
from workflow_runtime.engine.pages import LONG_ENTRIES, Pages
from workflow_runtime.engine.tables import Paged, add, forked, storable

SEEDS = 20
Table = dict[str, Any]

_encoder = msgspec.json.Encoder(enc_hook=lambda table: table.to_store())
_page_lists = msgspec.json.Decoder(list[Raw])


def stored(table: Any) -> bytes:
    return _encoder.encode(storable(table))


def read(data: bytes) -> Any:
    """As a state is read: long tables in pages."""
    if not data.startswith(b"["):
        return msgspec.json.decode(data, type=dict[str, Raw])
    return Paged(Pages(_page_lists.decode(data)))


def pages(data: bytes) -> list[Raw]:
    return _page_lists.decode(data)


def plain(table: Any) -> Table:
    """Its entries, decoded, in its order."""
    return {key: msgspec.json.decode(value) if isinstance(value, Raw) else value for key, value in table.items()}


def key_at(number: int) -> str:
    return (f"t{number}", f"event:审批/{number}", f'"t{number}":', f"each[{number}]/x", f"\\u{number:04}\n")[number % 5]


def entries(count: int) -> Table:
    """Entries whose values have in them what looks like keys of others."""
    return {key_at(n): {"n": n, key_at(n + 1): [f'"{key_at(n + 2)}":', "]", "{"]} for n in range(count)}


def test_whatever_is_changed_between_being_stored_it_holds_what_a_dict_would() -> None:
    for seed in range(SEEDS):
        print(f"seed {seed}")
        random = Random(seed)
        model = entries(random.randrange(LONG_ENTRIES, 4 * LONG_ENTRIES))
        table = read(stored(dict(model)))
        next_number = 10_000
        for _ in range(12):
            for _ in range(random.choice((0, 1, 3, 30, 400))):
                key = random.choice([*model, key_at(random.randrange(5_000))]) if model else "t1"
                match random.randrange(6):
                    case 0:
                        table[key] = model[key] = {"changed": random.random()}
                    case 1:
                        assert (table.pop(key, None) is None) == (model.pop(key, None) is None)
                    case 2:
                        assert (key in table, bool(table)) == (key in model, bool(model))
                    case 3:
                        table[f"new{next_number}"] = model[f"new{next_number}"] = {"new": True}
                        next_number += 1
                    case 4:
                        add(table, f"t{next_number}", {})
                        model[f"t{next_number}"] = {}
                        next_number += 1
                    case _:
                        found = table.get(key)
                        assert (msgspec.json.decode(found) if isinstance(found, Raw) else found) == model.get(key)
            if random.random() < 0.3:
                assert [*plain(table).items()] == [*model.items()]
                assert len(table) == len(model)
            before, table = table, forked(table)
            data = stored(table)
            assert [*plain(before).items()] == [*plain(table).items()]
            table = read(data)
            assert [*plain(read(data)).items()] == [*model.items()]


def test_only_pages_in_which_something_changes_are_stored_anew() -> None:
    data = stored(entries(1_000))
    table = read(data)
    assert stored(table) == data
    del table[key_at(500)]
    table[key_at(5)] = 1
    add(table, "t2000", 2)
    before, after = ([bytes(page) for page in pages(each)] for each in (data, stored(table)))
    changed = [number for number, page in enumerate(before) if page not in after]
    assert changed == [0, 7, len(before) - 1]
    assert len(after) == len(before)


def test_a_table_that_has_become_short_is_stored_whole() -> None:
    table = read(stored(entries(LONG_ENTRIES)))
    for number in range(LONG_ENTRIES - 10):
        del table[key_at(number)]
    data = stored(table)
    assert data.startswith(b"{")
    assert list(plain(read(data))) == [key_at(number) for number in range(LONG_ENTRIES - 10, LONG_ENTRIES)]
    assert stored(read(stored(entries(LONG_ENTRIES - 1)))).startswith(b"{")
    for key in list(table):
        del table[key]
    assert not table
    assert stored(table) == b"{}"


def test_few_entries_do_not_lie_in_many_pages() -> None:
    random = Random(1)
    keys = [key_at(number) for number in range(4_000)]
    table = read(stored(entries(len(keys))))
    random.shuffle(keys)
    while len(keys) > 300:
        del table[keys.pop()]
        if len(keys) % 7 == 0:
            table = read(stored(table))
    data = stored(table)
    assert data.startswith(b"[")
    assert len(pages(data)) < 300 / 6
    assert set(plain(read(data))) == set(keys)


def test_keys_that_somebody_has_written_otherwise_are_found() -> None:
    model = entries(LONG_ENTRIES)
    written = json.loads(stored(dict(model)))
    for data in (json.dumps(written, indent=1), json.dumps(written, separators=(" , ", " : "), ensure_ascii=False)):
        for key in model:
            assert key in read(data.encode())
        assert "t99999" not in read(data.encode())


def test_keys_with_slashes_are_found_however_these_are_written() -> None:
    model = {f"each[{number}]/x": number for number in range(LONG_ENTRIES)}
    data = stored(dict(model)).replace(b"/", b"\\/")
    for key in model:
        assert key in read(data)


def test_half_a_character_is_in_no_table() -> None:
    table = read(stored(entries(LONG_ENTRIES)))
    assert "\ud800" not in table
    assert table.get("event:\udfff") is None


def test_a_table_of_which_much_is_asked_is_read_whole() -> None:
    table = read(stored(entries(1_000)))
    for number in range(1_000):
        assert key_at(number) in table
        assert f"no{number}" not in table
    assert plain(table) == entries(1_000)


@pytest.mark.parametrize("seconds", [1, 10_000])
def test_an_execution_with_long_tables_goes_on_as_one_that_is_never_stored(seconds: int) -> None:
    waits = [control(f"w{number}", "wait", seconds=seconds + number % 7) for number in range(2 * LONG_ENTRIES)]
    driver = Driver(
        plan_of([*waits, {"id": "a"}, {"id": "b", "dependencies": ["a", "w0", f"w{LONG_ENTRIES}"]}])
    ).start()
    assert isinstance(msgspec.json.decode(pages(encode_state(driver.state))[1])["pending"], list)
    driver.succeed("a")
    driver.elapse(5)
    if seconds == 1:
        assert "b" in driver.ordered
        driver.elapse(5)
        driver.succeed("b")
        assert driver.status == "completed"
        assert driver.replayed() == driver.state
    else:
        driver.take(CancelRequested("control:c", START))
        assert driver.replayed().status == "cancelled"
    assert decode_state(encode_state(driver.state)) == driver.state
