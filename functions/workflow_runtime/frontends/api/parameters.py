"""Parameters that several routes share, and what an execution's id looks like."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import unquote

from aws_lambda_powertools.event_handler.openapi.params import Header, Path, Query
from pydantic import BeforeValidator

from workflow_runtime.frontends.api.http import CURSOR_CHARS_MAX, RANGE_PATTERN
from workflow_runtime.frontends.api.problems import Problem
from workflow_runtime.frontends.api.waiting import WAIT_SECONDS_MAX
from workflow_runtime.services.intake.starts import CORRELATION_PATTERN

PAGE_ITEMS_DEFAULT = 20
PAGE_ITEMS_MAX = 100
START_KEY_CHARS_MAX = 255
EXECUTION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

WorkflowId = Annotated[str, BeforeValidator(unquote), Path(description="Letters, digits, `_` and `-` of any script.")]
ExecutionId = Annotated[str, BeforeValidator(unquote), Path()]
NodePath = Annotated[
    str,
    BeforeValidator(unquote),
    Path(description="Ids from the outside in, joined with `/`, loop passes as `[index]`; percent-encoded."),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_ITEMS_MAX, description="How many items a page has at most.")]
Cursor = Annotated[
    str | None, Query(max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before, as it was given.")
]
Wait = Annotated[float, Query(ge=0, le=WAIT_SECONDS_MAX, description="How many seconds to wait for a result.")]
Content = Annotated[bool, Query(description="Whether to tell what models, tools and nodes said.")]
StoredVersion = Annotated[int | None, Query(ge=1, description="A stored version; by default the latest.")]
Range = Annotated[
    str | None, Query(pattern=RANGE_PATTERN, description="`START-END`: this slice of the value's JSON text, in bytes.")
]
CorrelationId = Annotated[
    str | None,
    Header(
        alias="x-correlation-id",
        pattern=CORRELATION_PATTERN,
        description="Appears in the logs and events of the execution, and of executions that it starts.",
    ),
]
StartKey = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=START_KEY_CHARS_MAX,
        description="The same key starts one execution of the workflow, however often it is sent.",
    ),
]
EventKey = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=START_KEY_CHARS_MAX,
        description="The same key has one effect on the execution, however often the event is sent.",
    ),
]
ControlKey = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=START_KEY_CHARS_MAX,
        description="The same key gets the same answer for 24 hours.",
    ),
]
AgentId = Annotated[str, BeforeValidator(unquote), Path(description="Letters, digits, `_` and `-` of any script.")]
Flag = Literal["", "true", "false"] | None
ForceAgent = Annotated[Flag, Query(description="Also if published workflows do not fit the change.")]
Force = Annotated[Flag, Query(description="Remove the workflow even while executions of it run.")]
GraphFormat = Annotated[
    Literal["mermaid", "dot", "svg", "text", "json"] | None,
    Query(description="By default as Accept says, JSON or else mermaid."),
]


def check_id(execution_id: str) -> None:
    """Malformed ids answer 404, like ids that do not exist."""
    if EXECUTION_ID.fullmatch(execution_id) is None:
        raise Problem("not_found", f"there is no execution {execution_id!r}")


def is_set(flag: Flag) -> bool:
    """Whether it is there, and not there as ``false``."""
    return flag in ("", "true")
