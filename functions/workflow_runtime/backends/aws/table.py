"""`ports.Table` on DynamoDB, by the low-level client. Keys are ``pk`` and ``sk``, the index is ``INDEX``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.faults import Patience, error_code, sleep_up_to, translated
from workflow_runtime.backends.limits import (
    INDEX_PARTITION_ATTRIBUTE,
    INDEX_SORT_ATTRIBUTE,
    INTEGER_MAX,
    INTEGER_MIN,
    KEY_ATTRIBUTES,
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
    check_attributes,
    check_change,
    check_distinct,
    check_item_bytes,
    check_key,
    check_limit,
    check_partition,
    check_update,
    sort_key_after,
)
from workflow_runtime.ports import (
    Absent,
    AllOf,
    AnyOf,
    Attribute,
    Below,
    Between,
    Change,
    Condition,
    ConditionFailed,
    Equals,
    Item,
    Key,
    Missing,
    Present,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

INDEX = "INDEX"
GET_KEYS_MAX = 100  # BatchGetItem
WRITE_ITEMS_MAX = 25  # BatchWriteItem; 25 items of 400 KB stay under its 16 MB

_CONFLICTS = frozenset({"TransactionConflictException", "ReplicatedWriteConflictException"})
Result = TypeVar("Result")

_CONDITION_FAILED = "ConditionalCheckFailedException"
_Values = dict[str, Any]


class DynamoDbTable:
    """See `ports.Table`. A failed condition may be our own write whose response was lost: read, then decide."""

    def __init__(self, client: DynamoDBClient, table_name: str, pause: Callable[[float], None] = sleep_up_to) -> None:
        self._client = client
        self._table_name = table_name
        self._pause = pause

    def get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        for key in keys:
            check_key(key)
        wanted = list(dict.fromkeys(keys))  # BatchGetItem refuses a key that is named twice
        if len(wanted) == 1:
            with translated("reading an item"):
                answer = self._client.get_item(TableName=self._table_name, Key=_key(wanted[0]), ConsistentRead=True)
            rows: list[Any] = [answer["Item"]] if "Item" in answer else []
        else:
            rows = []
            for start in range(0, len(wanted), GET_KEYS_MAX):
                rows += self._get_batch([_key(key) for key in wanted[start : start + GET_KEYS_MAX]])
        return {item.key: item for item in map(_item, rows)}

    def _get_batch(self, keys: list[_Values]) -> list[Any]:
        rows: list[Any] = []
        patience = Patience("reading items", self._pause)
        while keys:
            request: dict[str, Any] = {self._table_name: {"Keys": keys, "ConsistentRead": True}}
            with translated("reading items"):
                answer = self._client.batch_get_item(RequestItems=request)
            found = answer["Responses"].get(self._table_name, [])
            rows += found
            left: Any = answer.get("UnprocessedKeys", {})
            keys = left[self._table_name]["Keys"] if left else []
            if keys:  # throttled, or the answer reached 16 MB
                patience.wait(progress=bool(found))
        return rows

    def put(self, item: Item, condition: Condition | None = None) -> None:
        row = _row(item)
        names: dict[str, str] = {}
        values: _Values = {}
        request: _Values = {"TableName": self._table_name, "Item": row}
        if condition is not None:
            request["ConditionExpression"] = _expression(condition, names, values)
            request["ExpressionAttributeNames"] = names
            if values:
                request["ExpressionAttributeValues"] = values
        self._write(f"writing {item.key.partition} {item.key.sort}", lambda: self._client.put_item(**request))

    def update(
        self, key: Key, changes: Mapping[str, Attribute], condition: Condition, index: Key | None = None
    ) -> None:
        check_update(key, changes, condition, index)
        new = {name: _value(value) for name, value in changes.items()}
        if index is not None:
            new[INDEX_PARTITION_ATTRIBUTE] = {"S": index.partition}
            new[INDEX_SORT_ATTRIBUTE] = {"S": index.sort}
        names = {f"#{number}": name for number, name in enumerate(new)}
        values = {f":{number}": value for number, value in enumerate(new.values())}
        sets = ", ".join(f"#{number} = :{number}" for number in range(len(new)))
        request: _Values = {
            "TableName": self._table_name,
            "Key": _key(key),
            "UpdateExpression": f"SET {sets}",
            "ConditionExpression": _expression(condition, names, values),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        self._write(f"changing {key.partition} {key.sort}", lambda: self._client.update_item(**request))

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        check_change(key, change)
        names = {f"#{number}": name for number, name in enumerate((*change.set, *change.add, *change.remove))}
        placeholders = {name: placeholder for placeholder, name in names.items()}
        values = {f":{placeholders[name][1:]}": _value(value) for name, value in {**change.set, **change.add}.items()}
        sets = [f"{placeholders[name]} = :{placeholders[name][1:]}" for name in change.set]
        if change.add:
            values[":zero"] = {"N": "0"}
            sets += [f"{(at := placeholders[name])} = if_not_exists({at}, :zero) + :{at[1:]}" for name in change.add]
        update = f"SET {', '.join(sets)}" if sets else ""
        if change.remove:
            update += f" REMOVE {', '.join(placeholders[name] for name in change.remove)}"
        request: _Values = {
            "TableName": self._table_name,
            "Key": _key(key),
            "UpdateExpression": update,
            "ExpressionAttributeNames": names,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition is not None:
            request["ConditionExpression"] = _expression(condition, names, values)
        if values:
            request["ExpressionAttributeValues"] = values
        answer = self._write(f"changing {key.partition} {key.sort}", lambda: self._client.update_item(**request))
        return _item(answer["Attributes"])

    def put_all(self, items: Sequence[Item]) -> None:
        check_distinct([item.key for item in items])
        if len(items) == 1:
            self.put(items[0])
        else:
            self._write_batches([{"PutRequest": {"Item": _row(item)}} for item in items])

    def delete(self, key: Key, condition: Condition) -> None:
        check_key(key)
        names: dict[str, str] = {}
        values: _Values = {}
        request: _Values = {
            "TableName": self._table_name,
            "Key": _key(key),
            "ConditionExpression": _expression(condition, names, values),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        self._write(f"deleting {key.partition} {key.sort}", lambda: self._client.delete_item(**request))

    def delete_all(self, keys: Sequence[Key]) -> None:
        for key in keys:
            check_key(key)
        self._write_batches([{"DeleteRequest": {"Key": _key(key)}} for key in dict.fromkeys(keys)])

    def _write_batches(self, requests: list[_Values]) -> None:
        pending = iter(requests)
        while batch := list(islice(pending, WRITE_ITEMS_MAX)):
            patience = Patience("writing items", self._pause)
            while batch:
                given = len(batch)
                request: dict[str, Any] = {self._table_name: batch}
                with translated("writing items"):
                    answer = self._client.batch_write_item(RequestItems=request)
                left: Any = answer.get("UnprocessedItems", {})
                batch = left.get(self._table_name, [])
                if batch:
                    patience.wait(progress=len(batch) < given)

    def _write(self, what: str, call: Callable[[], Result]) -> Result:
        """One write; a conflict with a transaction is not a lost race, so it is tried again."""
        patience = Patience(what, self._pause)
        while True:
            with translated(what):
                try:
                    return call()
                except ClientError as error:
                    code = error_code(error)
                    if code == _CONDITION_FAILED and (row := error.response.get("Item")):
                        raise ConditionFailed(
                            f"{what}: the condition does not hold", _item(cast("_Values", row))
                        ) from error
                    if code not in _CONFLICTS:
                        raise
            patience.wait()

    def query(
        self, partition: str, prefix: str = "", *, descending: bool = False, limit: int | None = None, after: str = ""
    ) -> list[Item]:
        check_partition(partition)
        check_limit(limit)
        values = {":p": {"S": partition}}
        expression = f"{PARTITION_ATTRIBUTE} = :p"
        end = sort_key_after(prefix)
        if after and end is not None:  # a key condition takes one range, and BETWEEN includes its ends
            expression += f" AND {SORT_ATTRIBUTE} BETWEEN :s AND :e"
            values |= {":s": {"S": after}, ":e": {"S": end}}
        elif after:
            expression += f" AND {SORT_ATTRIBUTE} > :s"
            values[":s"] = {"S": after}
        elif prefix:
            expression += f" AND begins_with({SORT_ATTRIBUTE}, :s)"
            values[":s"] = {"S": prefix}
        request = {"ScanIndexForward": not descending, "ConsistentRead": True, "KeyConditionExpression": expression}
        ends = [end for end in (after, end) if after and end is not None]
        return self._pages(request, values, limit, ends, _sort)

    def query_index(
        self,
        partition: str,
        prefix: str = "",
        *,
        after: str | None = None,
        before: str | None = None,
        descending: bool = True,
        limit: int,
    ) -> list[Item]:
        check_partition(partition)
        check_limit(limit)
        ends = [end for end in (sort_key_after(prefix), before) if end is not None]
        low, high = max(prefix, after or ""), min(ends, default=None)
        if high is not None and high <= low:
            return []
        values = {":p": {"S": partition}, ":l": {"S": low}, ":h": {"S": high}}
        expression = f"{INDEX_PARTITION_ATTRIBUTE} = :p"
        if low and high is not None:  # a key condition takes one range, and BETWEEN includes both of its ends
            expression += f" AND {INDEX_SORT_ATTRIBUTE} BETWEEN :l AND :h"
        elif low:
            expression += f" AND {INDEX_SORT_ATTRIBUTE} >= :l"
        elif high is not None:
            expression += f" AND {INDEX_SORT_ATTRIBUTE} < :h"
        request = {"IndexName": INDEX, "ScanIndexForward": not descending, "KeyConditionExpression": expression}
        used = {name: value for name, value in values.items() if name in expression}
        return self._pages(request, used, limit, {end for end in (after, high) if end is not None}, _index_sort)

    def _pages(
        self,
        request: _Values,
        values: _Values,
        limit: int | None,
        without: Collection[str],
        place: Callable[[Item], str | None],
    ) -> list[Item]:
        """All pages, without the items that a range of keys includes and nobody asked for: its ends."""
        request |= {"TableName": self._table_name, "ExpressionAttributeValues": values}
        items: list[Item] = []
        while limit is None or len(items) < limit:
            if limit is not None:  # more on the page for the ends of BETWEEN, which are left out
                request["Limit"] = limit - len(items) + len(without)
            with translated("querying items"):
                answer = self._client.query(**request)
            found = map(_item, answer["Items"])
            items += [item for item in found if place(item) not in without]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items[:limit]


def _sort(item: Item) -> str:
    return item.key.sort


def _index_sort(item: Item) -> str | None:
    return item.index.sort if item.index is not None else None


def _key(key: Key) -> _Values:
    return {PARTITION_ATTRIBUTE: {"S": key.partition}, SORT_ATTRIBUTE: {"S": key.sort}}


def _row(item: Item) -> _Values:
    check_key(item.key)
    check_attributes(item.attributes)
    check_item_bytes(item)
    row = _key(item.key)
    if item.index is not None:
        check_key(item.index)
        row[INDEX_PARTITION_ATTRIBUTE] = {"S": item.index.partition}
        row[INDEX_SORT_ATTRIBUTE] = {"S": item.index.sort}
    for name, value in item.attributes.items():
        row[name] = _value(value)
    return row


def _value(value: Attribute) -> _Values:
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


def _item(row: Mapping[str, Any]) -> Item:
    key = Key(row[PARTITION_ATTRIBUTE]["S"], row[SORT_ATTRIBUTE]["S"])
    index = None
    if INDEX_PARTITION_ATTRIBUTE in row:
        index = Key(row[INDEX_PARTITION_ATTRIBUTE]["S"], row[INDEX_SORT_ATTRIBUTE]["S"])
    return Item(key, {name: _plain(value) for name, value in row.items() if name not in KEY_ATTRIBUTES}, index)


def _plain(typed: Mapping[str, Any]) -> Attribute:
    ((kind, value),) = typed.items()
    if kind == "N":
        return int(value)
    if kind == "B":
        return bytes(value)
    return None if kind == "NULL" else value


def _expression(condition: Condition, names: dict[str, str], values: _Values) -> str:
    """The condition; its names and values are put in ``names`` and ``values``. A comparison implies that the item
    exists."""

    def name(attribute: str) -> str:
        placeholder = f"#c{len(names)}"
        names[placeholder] = attribute
        return placeholder

    def value(given: Attribute) -> str:
        placeholder = f":c{len(values)}"
        values[placeholder] = _value(given)
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
            return word.join(f"({_expression(one, names, values)})" for one in conditions)
