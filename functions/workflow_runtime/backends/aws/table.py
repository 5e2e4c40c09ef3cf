"""`ports.Table` on DynamoDB, by the low-level client. Keys are ``pk`` and ``sk``, the indexes are `INDEXES`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.faults import Patience, error_code, sleep_up_to, translated
from workflow_runtime.backends.aws.items import INDEXES, expression_of, item_of, key_of, places, row_of, value_of
from workflow_runtime.backends.aws.transactions import CANCELLED, action_of, check_cancelled
from workflow_runtime.backends.limits import (
    PARTITION_ATTRIBUTE,
    SORT_ATTRIBUTE,
    check_change,
    check_distinct,
    check_key,
    check_limit,
    check_partition,
    check_update,
    sort_key_after,
)
from workflow_runtime.ports import (
    Attribute,
    Change,
    Condition,
    ConditionFailed,
    EffectRefused,
    IndexName,
    Item,
    Key,
    Put,
    TableWrite,
)
from workflow_runtime.ports.effect_checks import check_write

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

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

    def get(self, keys: Sequence[Key], *, eventually: bool = False) -> dict[Key, Item]:
        for key in keys:
            check_key(key)
        wanted = list(dict.fromkeys(keys))  # BatchGetItem refuses a key that is named twice
        if len(wanted) == 1:
            with translated("reading an item"):
                answer = self._client.get_item(
                    TableName=self._table_name, Key=key_of(wanted[0]), ConsistentRead=not eventually
                )
            rows: list[Any] = [answer["Item"]] if "Item" in answer else []
        else:
            rows = []
            for start in range(0, len(wanted), GET_KEYS_MAX):
                rows += self._get_batch([key_of(key) for key in wanted[start : start + GET_KEYS_MAX]], eventually)
        return {item.key: item for item in map(item_of, rows)}

    def _get_batch(self, keys: list[_Values], eventually: bool) -> list[Any]:
        rows: list[Any] = []
        patience = Patience("reading items", self._pause)
        while keys:
            request: dict[str, Any] = {self._table_name: {"Keys": keys, "ConsistentRead": not eventually}}
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
        request = self._conditional_put(item, condition)
        self._write(f"writing {item.key.partition} {item.key.sort}", lambda: self._client.put_item(**request))

    def _conditional_put(self, item: Item, condition: Condition | None) -> _Values:
        names: dict[str, str] = {}
        values: _Values = {}
        request: _Values = {"TableName": self._table_name, "Item": row_of(item)}
        if condition is not None:
            request["ConditionExpression"] = expression_of(condition, names, values)
            request["ExpressionAttributeNames"] = names
            if values:
                request["ExpressionAttributeValues"] = values
        return request

    def update(
        self,
        key: Key,
        changes: Mapping[str, Attribute],
        condition: Condition,
        index: Key | None = None,
        listing: Key | None = None,
    ) -> None:
        check_update(key, changes, condition, index, listing)
        new = {name: value_of(value) for name, value in changes.items()} | places(index, listing)
        names = {f"#{number}": name for number, name in enumerate(new)}
        values = {f":{number}": value for number, value in enumerate(new.values())}
        sets = ", ".join(f"#{number} = :{number}" for number in range(len(new)))
        request: _Values = {
            "TableName": self._table_name,
            "Key": key_of(key),
            "UpdateExpression": f"SET {sets}",
            "ConditionExpression": expression_of(condition, names, values),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        self._write(f"changing {key.partition} {key.sort}", lambda: self._client.update_item(**request))

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Item:
        check_change(key, change)
        names = {f"#{number}": name for number, name in enumerate((*change.set, *change.add, *change.remove))}
        placeholders = {name: placeholder for placeholder, name in names.items()}
        values = {f":{placeholders[name][1:]}": value_of(value) for name, value in {**change.set, **change.add}.items()}
        sets = [f"{placeholders[name]} = :{placeholders[name][1:]}" for name in change.set]
        if change.add:
            values[":zero"] = {"N": "0"}
            sets += [f"{(at := placeholders[name])} = if_not_exists({at}, :zero) + :{at[1:]}" for name in change.add]
        update = f"SET {', '.join(sets)}" if sets else ""
        if change.remove:
            update += f" REMOVE {', '.join(placeholders[name] for name in change.remove)}"
        request: _Values = {
            "TableName": self._table_name,
            "Key": key_of(key),
            "UpdateExpression": update,
            "ExpressionAttributeNames": names,
            "ReturnValues": "ALL_NEW",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition is not None:
            request["ConditionExpression"] = expression_of(condition, names, values)
        if values:
            request["ExpressionAttributeValues"] = values
        answer = self._write(f"changing {key.partition} {key.sort}", lambda: self._client.update_item(**request))
        return item_of(answer["Attributes"])

    def put_all(self, items: Sequence[Item]) -> None:
        check_distinct([item.key for item in items])
        if len(items) == 1:
            self.put(items[0])
        else:
            self._write_batches([{"PutRequest": {"Item": row_of(item)}} for item in items])

    def transact(self, puts: Sequence[Put], write: TableWrite | None = None) -> None:
        check_distinct([put.item.key for put in puts])
        actions: list[Any] = [{"Put": self._conditional_put(put.item, put.condition)} for put in puts]
        if write is not None:
            check_write(write)
            if write.table == self._table_name:
                raise EffectRefused("not_allowed", f"the table {write.table} is the runtime's own")
            actions.append(action_of(write))
        patience = Patience("a transaction", self._pause)
        while True:
            with translated("a transaction"):
                try:
                    self._client.transact_write_items(TransactItems=actions)
                except ClientError as error:
                    check_cancelled(error, len(puts), write)
                    if error_code(error) != CANCELLED:
                        raise
                else:
                    return
            patience.wait()  # cancelled for what passes: another transaction, or too many

    def delete(self, key: Key, condition: Condition) -> None:
        check_key(key)
        names: dict[str, str] = {}
        values: _Values = {}
        request: _Values = {
            "TableName": self._table_name,
            "Key": key_of(key),
            "ConditionExpression": expression_of(condition, names, values),
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
        }
        self._write(f"deleting {key.partition} {key.sort}", lambda: self._client.delete_item(**request))

    def delete_all(self, keys: Sequence[Key]) -> None:
        for key in keys:
            check_key(key)
        self._write_batches([{"DeleteRequest": {"Key": key_of(key)}} for key in dict.fromkeys(keys)])

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
                            f"{what}: the condition does not hold", item_of(cast("_Values", row))
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
        of: IndexName = "index",
        where: Condition | None = None,
    ) -> list[Item]:
        check_partition(partition)
        check_limit(limit)
        name, partition_attribute, sort_attribute = INDEXES[of]
        ends = [end for end in (sort_key_after(prefix), before) if end is not None]
        low, high = max(prefix, after or ""), min(ends, default=None)
        if high is not None and high <= low:
            return []
        values = {":p": {"S": partition}, ":l": {"S": low}, ":h": {"S": high}}
        expression = f"{partition_attribute} = :p"
        if low and high is not None:  # a key condition takes one range, and BETWEEN includes both of its ends
            expression += f" AND {sort_attribute} BETWEEN :l AND :h"
        elif low:
            expression += f" AND {sort_attribute} >= :l"
        elif high is not None:
            expression += f" AND {sort_attribute} < :h"
        request: _Values = {
            "IndexName": name,
            "ScanIndexForward": not descending,
            "KeyConditionExpression": expression,
        }
        used: _Values = {name: value for name, value in values.items() if name in expression}
        if where is not None:
            names: dict[str, str] = {}
            request["FilterExpression"] = expression_of(where, names, used)
            request["ExpressionAttributeNames"] = names
        place = _index_sort if of == "index" else _listing_sort
        return self._pages(request, used, limit, {end for end in (after, high) if end is not None}, place)

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
            # More on the page for the ends of BETWEEN, which are left out; a filter is applied to what was read.
            if limit is not None and "FilterExpression" not in request:
                request["Limit"] = limit - len(items) + len(without)
            with translated("querying items"):
                answer = self._client.query(**request)
            found = map(item_of, answer["Items"])
            items += [item for item in found if place(item) not in without]
            if "LastEvaluatedKey" not in answer:
                break
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
        return items[:limit]


def _sort(item: Item) -> str:
    return item.key.sort


def _index_sort(item: Item) -> str | None:
    return item.index.sort if item.index is not None else None


def _listing_sort(item: Item) -> str | None:
    return item.listing.sort if item.listing is not None else None
