"""`dynamodb_write`: one write of a DynamoDB table, in the transaction that records the call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from workflow_runtime.invokers.committing import Committed
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.ports import TableWrite
from workflow_runtime.ports.effect_checks import CHANGED_ATTRIBUTES_MAX, TABLE_NAME, check_write
from workflow_runtime.ports.effects import TABLE_KEY_ATTRIBUTES_MAX, KeyValue
from workflow_runtime.sdk import tool


class Written(BaseModel):
    table: str
    key: dict[str, KeyValue]


def dynamodb_write_function(reach: Reach) -> Callable[..., Any]:
    @tool(
        description="Writes one item of a DynamoDB table: `put`, `delete`, or changes (`set`, `add`, `remove`), "
        "if it is as `needs` says. Returns {table, key}.",
    )
    async def dynamodb_write(
        table: Annotated[str, Field(pattern=TABLE_NAME)],
        key: Annotated[dict[str, KeyValue], Field(min_length=1, max_length=TABLE_KEY_ATTRIBUTES_MAX)],
        put: dict[str, Any] | None = None,
        set: Annotated[dict[str, Any], Field(min_length=1, max_length=CHANGED_ATTRIBUTES_MAX)] | None = None,
        add: Annotated[dict[str, int | float], Field(min_length=1, max_length=CHANGED_ATTRIBUTES_MAX)] | None = None,
        remove: Annotated[list[str], Field(min_length=1, max_length=CHANGED_ATTRIBUTES_MAX)] | None = None,
        delete: bool = False,
        needs: Literal["absent", "present"] | Annotated[dict[str, Any], Field(min_length=1)] | None = None,
    ) -> Committed[Written]:
        reach.check("tables", "dynamodb_write", "the table", table)
        write = TableWrite(
            table=table,
            key=key,
            put=put,
            set=set or {},
            add=add or {},
            remove=tuple(remove or ()),
            delete=delete,
            needs=needs,
        )
        check_write(write)
        return Committed(Written(table=table, key=key), write)

    return dynamodb_write
