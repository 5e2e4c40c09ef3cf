"""`database_query`: one SQL statement by the RDS Data API, values bound, never spliced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.aws_errors import call_aws
from workflow_runtime.invokers.tools.builtin.foreign_json import read_json
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.invokers.tools.services import ToolServices
from workflow_runtime.sdk import NodeContext, tool

LONG_MIN, LONG_MAX = -(2**63), 2**63 - 1  # RDS Data API: longValue


def database_query_function(reach: Reach, services: ToolServices) -> Callable[..., Any]:
    @tool(
        description="Runs one SQL statement on an Aurora cluster (RDS Data API) and returns {rows, updated}. "
        "Values are bound by name: `where id = :id` with parameters {id: …}."
    )
    def database_query(
        resource_arn: str,
        secret_arn: str,
        sql: str,
        context: NodeContext,
        parameters: dict[str, Any] | None = None,
        database: str | None = None,
    ) -> dict[str, Any]:
        allowed = reach.require("database", "database_query")
        if not ({"*", resource_arn} & set(allowed)):
            raise reach.refusal("database", f"the cluster {resource_arn} is not on the allow-list")
        arguments: dict[str, Any] = {
            "resourceArn": resource_arn,
            "secretArn": secret_arn,
            "sql": _one_statement(sql),
            "parameters": _bound(parameters or {}),
            "formatRecordsAs": "JSON",
        }
        if database is not None:
            arguments["database"] = database
        response = call_aws("RDS Data API", services.clients("rds-data").execute_statement, **arguments)
        records = response.get("formattedRecords")
        return {
            "rows": read_json(records, "the result", context.warn) if records else [],
            "updated": response.get("numberOfRecordsUpdated", 0),
        }

    return database_query


def _one_statement(sql: str) -> str:
    """``sql`` without a final semicolon. Any other semicolon is refused: no parser of ours agrees with every
    database's."""
    statement = sql.strip().rstrip("; \t\r\n")
    if not statement:
        raise NodeError("validation_error", "`sql` is empty")
    if ";" in statement:
        raise NodeError(
            "validation_error",
            "`sql` must be one statement; bind a value that holds a semicolon as a parameter (`:name`)",
        )
    return statement


def _bound(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **_value(name, value)} for name, value in parameters.items()]


def _value(name: str, value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {"value": {"isNull": True}}
        case bool():
            return {"value": {"booleanValue": value}}
        case int():
            if not LONG_MIN <= value <= LONG_MAX:
                raise NodeError("validation_error", f"parameter {name!r} is an integer beyond 64 bits")
            return {"value": {"longValue": value}}
        case float():
            return {"value": {"doubleValue": value}}
        case str():
            return {"value": {"stringValue": value}}
    return {"value": {"stringValue": msgspec.json.encode(value).decode()}, "typeHint": "JSON"}
