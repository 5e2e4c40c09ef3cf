"""JSON that people type: a key that stands twice is named, anything else is read as it is everywhere."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from workflow_runtime.frontends.cli.typed_json import DuplicateKey, read_typed
from workflow_runtime.language.json_values import DEPTH_MAX, Json, path_text, read_json

SEEDS = 200


@pytest.mark.parametrize(("text", "path"), [
    ('{"a": 1, "a": 1}', "a"),
    ('{"a": {"b": 1}, "c": [0, {"d": {}, "e": 1, "d": []}]}', "c[1].d"),
    ('[{"x y": {"数": 1e5, "数": 12345678901234567890}}]', '[0]["x y"].数'),
    ('{"a": {"b": 1, "b": 2}, "a": 3}', "a"),
    ('{"\\u0061": 1, "a": 2}', "a"),
    (b'{"a": "\xc3\xa9", "a": null}', "a"),
    ('{"": 1, "": 2}', '[""]'),
])  # fmt: skip
def test_a_key_that_stands_twice_is_named_with_its_place(text: str | bytes, path: str) -> None:
    with pytest.raises(DuplicateKey) as raised:
        read_typed(text)
    assert str(raised.value) == path


@pytest.mark.parametrize("text", ["", "{", '{"a": 1,}', "NaN", "1e999", '"\\ud800"', "[" * (DEPTH_MAX + 1)])
def test_what_is_not_json_is_refused_as_everywhere(text: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_typed(text)


def test_the_first_slip_anywhere_is_found_and_nothing_else_changes() -> None:
    for seed in range(SEEDS):
        dice = random.Random(seed)
        objects: list[str] = []
        value = _made_up(dice, (), objects, 4)
        text = json.dumps(value, ensure_ascii=dice.random() < 0.5)
        assert read_typed(text) == read_json(text) == value, f"seed {seed}"
        if objects:
            path = dice.choice(objects)
            marked = text.replace(f'"{path}": ', f'"{path}": 0, "{path}": ', 1)
            with pytest.raises(DuplicateKey) as raised:
                read_typed(marked)
            assert str(raised.value).endswith(path), f"seed {seed}"


def _made_up(dice: random.Random, path: tuple[str | int, ...], keys: list[str], levels: int) -> Json:
    """A value whose keys, added to ``keys``, all differ."""
    kind = dice.randrange(5) if levels else 4
    if kind < 2:
        found = {}
        for number in range(dice.randrange(4)):
            key = path_text((*path, number)).replace("[", "k").replace("]", "").replace(".", "")
            keys.append(key)
            found[key] = _made_up(dice, (*path, number), keys, levels - 1)
        return found
    if kind == 2:
        return [_made_up(dice, (*path, 9, number), keys, levels - 1) for number in range(dice.randrange(4))]
    return dice.choice([None, True, 1, -2.5, 2**63, "", '文 \u2028\\"', "{[", 10**18])
