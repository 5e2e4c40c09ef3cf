"""Ended executions that move to another deployment."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import BeforeValidator, ConfigDict, Field

from workflow_runtime.frontends.api.answers import Answer, bounded_answer, json_answer
from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.bodies import parsed_body
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor
from workflow_runtime.frontends.api.parameters import Cursor, ExecutionId, check_id
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.route import Route, Scope, json_reply

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime
    from workflow_runtime.services.upkeep.moving import Moving

RECORDS_BODY = "records of an ended execution"
LAYOUT = "Their layout belongs to the version of the runtime."


def _number(value: Any) -> Any:
    """pydantic takes true, and digits in a text, for numbers. Raises `ValueError`."""
    if isinstance(value, (bool, str)):
        raise ValueError("must be a whole number")
    return value


class RecordsRequest(ApiModel):
    """Records as another deployment gave them."""

    model_config = ConfigDict(extra="forbid")

    records_schema: Annotated[int, BeforeValidator(_number)] = Field(description="As it was given with them.")
    records: list[dict[str, Any]] = Field(description=LAYOUT)


class Records(ApiModel):
    records_schema: int
    records: list[dict[str, Any]] = Field(description=LAYOUT)
    next_cursor: str | None


class RecordsTaken(ApiModel):
    taken: bool = Field(description="False: the execution is there already, and stays as it is.")


class Movements:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @cached_property
    def _moving(self) -> Moving:
        from workflow_runtime.services.upkeep.moving import Moving  # few requests need it

        return Moving(self._runtime.ports, self._runtime.stores)

    async def give(self, request: Request, execution_id: ExecutionId, cursor: Cursor = None) -> Answer:  # noqa: ARG002
        """All that is stored of an execution that has ended, for `awr export --all`: page by page, its header last."""
        from workflow_runtime.services.upkeep.moving import RECORDS_SCHEMA

        check_id(execution_id)
        of = ("records", execution_id)
        place = decode_cursor(of, cursor) or ""
        found = await self._runtime.ports.offload(self._moving.page, execution_id, place)
        more = encode_cursor(of, found.next) if found.next is not None else None
        document = {"records_schema": RECORDS_SCHEMA, "records": found.records, "next_cursor": more}
        return bounded_answer(document, "a page of")

    async def take(self, request: Request, execution_id: ExecutionId) -> Answer:
        """Take over an execution that has ended elsewhere, for `awr import`: records in the order in which they were
        given. With the last of them it is there; what is sent again changes nothing."""
        from workflow_runtime.services.upkeep.moving import RECORDS_SCHEMA, Record

        check_id(execution_id)
        body = parsed_body(request, RecordsRequest)
        if body.records_schema > RECORDS_SCHEMA:
            detail = f"records of layout {body.records_schema}; this version knows those up to {RECORDS_SCHEMA}"
            raise Problem("invalid_request", detail)
        try:
            records = msgspec.convert(body.records, list[Record])
        except msgspec.ValidationError as error:
            raise Problem("invalid_request", f"records that are none: {error}") from None
        taken = await self._runtime.ports.offload(self._moving.take, execution_id, records)
        return json_answer({"taken": taken})


def moving_routes(runtime: Runtime) -> tuple[Route, ...]:
    movements, rule = Movements(runtime), "/executions/<execution_id>/records"
    given = json_reply(Records, "A page of records")
    taken = json_reply(RecordsTaken, "What became of them")
    refusals = (400, 404, 409, 413, 415, 422)
    return (
        Route("GET", rule, movements.give, "getRecords", (given,), (400, 404, 409, 413, 422), scope=Scope.OPERATE),
        Route("PUT", rule, movements.take, "putRecords", (taken,), refusals, RECORDS_BODY, body_model=RecordsRequest),
    )
