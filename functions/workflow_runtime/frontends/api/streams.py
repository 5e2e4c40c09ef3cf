"""The operation that streams an execution: server-sent events, an answer at a time.

An answer has what is new since `Last-Event-ID` and ends; browsers' `EventSource` then asks again with the last id by
itself, until 204 says that nothing more will come. So nothing holds a connection for long, and whoever answers next
needs to know nothing of this reader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from aws_lambda_powertools.event_handler.openapi.params import Header, Query

from workflow_runtime.frontends.api.agui import Event, events_of
from workflow_runtime.frontends.api.answers import Answer
from workflow_runtime.frontends.api.journal import entry_json
from workflow_runtime.frontends.api.parameters import ExecutionId, check_id
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.frontends.api.waiting import wait_until
from workflow_runtime.services.views.streams import POSITION_PATTERN, News, Position, Told, Wrote

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

EVENT_STREAM = "text/event-stream"
HOLD_SECONDS = 20  # when there is nothing new; API Gateway gives up after 30
PAUSE_SECONDS = 0.25  # between looks: as often as agents write
RETRY_MS = 100  # how soon a reader asks again

Format = Annotated[Literal["ag-ui", "awr"], Query(description="AG-UI's events, or the runtime's own.")]
Hold = Annotated[
    float, Query(ge=0, le=HOLD_SECONDS, description="How many seconds to wait for something new, if there is nothing.")
]
LastEventId = Annotated[
    str | None,
    Header(alias="last-event-id", pattern=POSITION_PATTERN, description="The id of the last event that was seen."),
]


class EventStreams:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def stream(
        self,
        request: Request,  # noqa: ARG002
        execution_id: ExecutionId,
        format: Format = "ag-ui",
        hold: Hold = HOLD_SECONDS,
        last_event_id: LastEventId = None,
    ) -> Answer:
        """What happens in the execution, and what its agents write while somebody reads along: the events after
        `Last-Event-ID`, as soon as there are any. 204: it has ended, and nothing more will come.
        """
        check_id(execution_id)
        position = Position.of(last_event_id) if last_event_id else Position()
        offload, streams = self._runtime.ports.offload, self._runtime.streams
        await offload(streams.watch, execution_id)
        found: list[Told] = []

        async def look() -> bool:
            found[:] = [await offload(streams.told, execution_id, position)]
            return bool(found[0].news) or found[0].ended

        await wait_until(self._runtime, hold, look, PAUSE_SECONDS)
        told = found[0]
        if told.ended and not told.news:
            return Answer(204)
        frames = [f"retry: {RETRY_MS}\n\n"]
        for news, after in told.news:
            shown = [_own(execution_id, news)] if format == "awr" else list(events_of(told.plan, execution_id, news))
            frames += _frames(shown, after) or [f"id: {after}\n\n"]
        return Answer(200, "".join(frames).encode(), EVENT_STREAM)


def _frames(events: list[Event], after: Position) -> list[str]:
    """Only the last of what was told at once has an id: a reader who was cut off before it sees all of them again."""
    bodies = [f"data: {msgspec.json.encode(event).decode()}\n" for event in events]
    return [*(f"{body}\n" for body in bodies[:-1]), *(f"{body}id: {after}\n\n" for body in bodies[-1:])]


def _own(execution_id: str, news: News) -> Event:
    if not isinstance(news, Wrote):
        return {"type": "commit", **entry_json(news, execution_id)}
    run = {"path": news.path, "serial": news.serial}
    kind = "superseded" if news.superseded else "wrote"
    return {"type": kind, **run, "parts": msgspec.to_builtins(news.parts)}
