"""Tables that are copied at the price of their changes: in everything else they are dicts."""

from __future__ import annotations

import gc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.engine.tables import SHORT_MAX, Layered, Opened, forked, keys_at, plain
from workflow_runtime.plan.addresses import static_path

KEYS = st.integers(0, 2 * SHORT_MAX)
CHANGES = st.lists(st.tuples(st.sampled_from(["set", "delete", "fork", "clear"]), KEYS), max_size=400)


def long_table() -> dict[int, str]:
    return {key: f"first {key}" for key in range(SHORT_MAX + 1)}


@given(CHANGES)
def test_a_table_holds_what_a_dict_would_in_the_same_order(changes: list[tuple[str, int]]) -> None:
    table, model = forked(long_table()), long_table()
    for number, (change, key) in enumerate(changes):
        match change:
            case "set":
                table[key] = model[key] = f"{key} at {number}"
            case "delete":
                assert table.pop(key, None) == model.pop(key, None)
            case "fork":
                table = forked(table)
            case "clear" if key == 0:
                table.clear()
                model.clear()
        assert len(table) == len(model)
        assert (key in table, table.get(key)) == (key in model, model.get(key))
    assert list(table) == list(model)
    assert list(table.items()) == list(model.items())
    assert list(table.values()) == list(model.values())
    assert table == model


@given(CHANGES)
def test_changes_of_a_copy_do_not_show_in_the_table_it_was_made_of(changes: list[tuple[str, int]]) -> None:
    before = forked(long_table())
    before[-1] = "added"
    del before[0]
    kept = dict(before)
    after = forked(before)
    for change, key in changes:
        if change == "set":
            after[key] = "changed"
        else:
            after.pop(key, None)
    assert dict(before) == kept
    assert list(before) == list(kept)


def test_a_short_table_is_a_dict() -> None:
    table = forked(dict.fromkeys(range(SHORT_MAX), ""))
    assert type(table) is dict


def test_many_changes_are_merged() -> None:
    table = forked(long_table())
    for key in range(10 * SHORT_MAX):
        table = forked(table)
        table[key] = "changed"
        assert isinstance(table, Layered)
        *layer, _ = sorted(len(part) for part in gc.get_referents(table) if isinstance(part, (dict, set)))
        assert sum(layer) <= SHORT_MAX + 2


def test_what_a_table_does_not_hold_is_a_key_error() -> None:
    table = forked(long_table())
    del table[1]
    for key in (1, -1):
        with pytest.raises(KeyError):
            table[key]
        with pytest.raises(KeyError):
            del table[key]


def test_a_table_is_stored_as_a_dict_is() -> None:
    table = forked({str(key): value for key, value in long_table().items()})
    del table["3"]
    encoder = msgspec.json.Encoder(enc_hook=plain)
    assert encoder.encode(table) == encoder.encode(dict(table))
    with pytest.raises(TypeError, match="ExecutionError has no stored form"):
        plain(type("ExecutionError", (), {})())


def test_a_copied_state_shares_its_long_tables_until_they_change() -> None:
    applied = {str(key): key for key in range(SHORT_MAX + 1)}
    state = ExecutionState("e1", "hash", 1, applied=applied)
    copied = state.copy()
    assert copied == state
    copied.applied["new"] = 1
    assert "new" not in state.applied
    assert copied != state


PATHS = st.sampled_from([f"{outer}{inner}" for outer in ("a", "b[1]", "b[12]", "c") for inner in ("", "/d", "/e[3]")])


@given(st.integers(0, 2 * SHORT_MAX), st.lists(st.tuples(st.booleans(), PATHS)), st.sets(PATHS.map(static_path)))
def test_keys_are_found_at_their_places_in_the_plan(others: int, changes: list[tuple[bool, str]], at: set[str]) -> None:
    table = forked({"b[1]": 0, **{f"x{number}": number for number in range(others)}, "c/d": 1})
    for sets, key in changes:
        if sets:
            table[key] = 2
        else:
            table.pop(key, None)
        table = forked(table)
        assert keys_at(table, at) == [key for key in table if static_path(key) in at]


def test_entries_stay_as_they_were_stored_until_they_are_looked_at() -> None:
    looked_at: list[bytes] = []

    def decode(entry: msgspec.Raw) -> int:
        looked_at.append(bytes(entry))
        return int(bytes(entry))

    before = Opened({"a": msgspec.Raw(b"1"), "b": msgspec.Raw(b"2")}, decode)
    after = forked(before)
    after["c"] = 3
    del after["a"]
    assert list(after) == ["b", "c"]
    assert len(after) == 2
    assert "a" not in after
    assert looked_at == []
    assert dict(after) == {"b": 2, "c": 3}
    assert looked_at == [b"2"]
    assert dict(before) == {"a": 1, "b": 2}
    assert msgspec.json.Encoder(enc_hook=plain).encode(after) == b'{"b":2,"c":3}'
