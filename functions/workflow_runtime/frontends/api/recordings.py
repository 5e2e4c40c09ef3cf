"""Journals as they are recorded, for replay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.frontends.api.answers import BODY_BYTES_MAX, JSON_TYPE, Answer
from workflow_runtime.frontends.api.executions import check_id
from workflow_runtime.frontends.api.http import decode_cursor, encode_cursor
from workflow_runtime.frontends.api.parameters import Cursor, ExecutionId
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.request import Request

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime


class Journals:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def read(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        cursor: Cursor = None,
    ) -> Answer:
        """The journal as it is stored, with what its decisions read, for `awr export` and `awr replay`. Its layout
        belongs to the version of the runtime.
        """
        check_id(execution_id)
        of = ("journal", execution_id)
        after = int(decode_cursor(of, cursor) or 0)
        found = await self._runtime.ports.offload(self._runtime.recordings.page, execution_id, after)
        document = {
            "items": found.entries,
            "head": found.head,
            "runs": found.runs,
            "replaced": found.replaced,
            "blobs": found.blobs,
            "state": found.state,
            "next_cursor": encode_cursor(of, str(found.next)) if found.next is not None else None,
        }
        body = msgspec.json.encode(document)
        if len(body) > BODY_BYTES_MAX:
            what = f"commit {after + 1} and what it reads have {len(body):,} bytes; an answer takes {BODY_BYTES_MAX:,}"
            raise Problem("too_large", f"{what}: export the execution with the test kit, beside its table")
        return Answer(200, body, JSON_TYPE)
