"""Items, keys and conditions in the words of DynamoDB's low-level client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflow_runtime.backends.limits import (
    INDEX_PARTITION_ATTRIBUTE,
    INDEX_SORT_ATTRIBUTE,
    INTEGER_MAX,
    INTEGER_MIN,
    KEY_ATTRIBUTES,
    LISTING_PARTITION_ATTRIBUTE,
    LISTING_SORT_ATTRIBUTE,
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
    check_attributes,
    check_item_bytes,
    check_key,
)
from workflow_runtime.ports import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Below,
    Between,
    Condition,
    Equals,
    IndexName,
    Item,
    Key,
    Missing,
    Present,
)

INDEX = "INDEX"
LISTING = "LISTING"
INDEXES: Mapping[IndexName, tuple[str, str, str]] = {
    "index": (INDEX, INDEX_PARTITION_ATTRIBUTE, INDEX_SORT_ATTRIBUTE),
    "listing": (LISTING, LISTING_PARTITION_ATTRIBUTE, LISTING_SORT_ATTRIBUTE),
}
"""Name, and attributes of partition and sort key."""
_Values = dict[str, Any]


def places(index: Key | None, listing: Key | None) -> _Values:
    """Where an item stands in the indexes."""
    places: _Values = {}
    for (_, partition, sort), place in zip(INDEXES.values(), (index, listing), strict=True):
        if place is not None:
            places |= {partition: {"S": place.partition}, sort: {"S": place.sort}}
    return places


def _place(row: Mapping[str, Any], of: IndexName) -> Key | None:
    _, partition, sort = INDEXES[of]
    return Key(row[partition]["S"], row[sort]["S"]) if partition in row else None


def key_of(key: Key) -> _Values:
    """A key as the client takes it."""
    return {PARTITION_ATTRIBUTE: {"S": key.partition}, SORT_ATTRIBUTE: {"S": key.sort}}


def row_of(item: Item) -> _Values:
    """A whole item as the client takes it. Raises `ValueError` for what DynamoDB would refuse."""
    check_key(item.key)
    check_attributes(item.attributes)
    check_item_bytes(item)
    for place in (item.index, item.listing):
        if place is not None:
            check_key(place)
    row = key_of(item.key) | places(item.index, item.listing)
    for name, value in item.attributes.items():
        row[name] = value_of(value)
    return row


def value_of(value: Attribute) -> _Values:
    """A value with its type. Raises `ValueError` for an integer that other backends could not carry."""
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    if not INTEGER_MIN <= value <= INTEGER_MAX:
        raise ValueError(f"{value} is out of range: integers have up to 64 bits")
    return {"N": str(int(value))}


def item_of(row: Mapping[str, Any]) -> Item:
    """An item as an answer has it."""
    key = Key(row[PARTITION_ATTRIBUTE]["S"], row[SORT_ATTRIBUTE]["S"])
    attributes = {name: _plain(value) for name, value in row.items() if name not in KEY_ATTRIBUTES}
    return Item(key, attributes, _place(row, "index"), _place(row, "listing"))


def _plain(typed: Mapping[str, Any]) -> Attribute:
    ((kind, value),) = typed.items()
    if kind == "N":
        return int(value)
    if kind == "B":
        return bytes(value)
    return None if kind == "NULL" else value


def expression_of(condition: Condition, names: dict[str, str], values: _Values) -> str:
    """The condition; its names and values are put in ``names`` and ``values``. A comparison implies that the item
    exists."""

    def name(attribute: str) -> str:
        placeholder = f"#c{len(names)}"
        names[placeholder] = attribute
        return placeholder

    def value(given: Attribute) -> str:
        placeholder = f":c{len(values)}"
        values[placeholder] = value_of(given)
        return placeholder

    match condition:
        case Absent():
            return f"attribute_not_exists({name(PARTITION_ATTRIBUTE)})"
        case Missing(attribute=attribute):
            return f"attribute_not_exists({name(attribute)})"
        case Present(attribute=attribute):
            return f"attribute_exists({name(attribute)})"
        case Equals(attribute=attribute, value=wanted):
            return f"{name(attribute)} = {value(wanted)}"
        case Below(attribute=attribute, value=bound):
            return f"{name(attribute)} < {value(bound)}"
        case Between(attribute=attribute, low=low, high=high):
            return f"{name(attribute)} BETWEEN {value(low)} AND {value(high)}"
        case AllOf(conditions=conditions) | AnyOf(conditions=conditions):
            word = " AND " if isinstance(condition, AllOf) else " OR "
            return word.join(f"({expression_of(one, names, values)})" for one in conditions)
