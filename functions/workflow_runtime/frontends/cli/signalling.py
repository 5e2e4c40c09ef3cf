"""The commands signal and publish-event: events for one execution, or for whoever hears them on the bus."""

from __future__ import annotations

import asyncio
import math

from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.charts import event_lines, state_lines, timer_lines, transition_spans
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.output import CliError, ExitCode, Output, usage_error
from workflow_runtime.frontends.cli.server import Server, header_value

EXIT_CODES = {"ignored": ExitCode.INVALID, "failed": ExitCode.FAILED}


def signal(
    out: Output, server: Server, execution_id: str, event: str, data: str | None, key: str | None, wait: float | None
) -> ExitCode:
    """Carry ``awr signal`` out; raises what `output.cli_error` knows."""
    if wait is not None and not math.isfinite(wait):
        raise usage_error("--wait is a number of seconds")
    if key is not None:
        header_value("--key", key)
    example = f"""awr signal {execution_id} {event} '{{"name": "value"}}'"""
    value = read_json(data, "DATA", f"the data of event {event!r}", example) if data is not None else None

    async def send() -> Document:
        async with api(server) as connection:
            return await connection.send_event(execution_id, event, value, key=key, wait=wait)

    answer = asyncio.run(send())
    out.document(answer)
    if "outcome" in answer:
        return _show(out, answer)
    out.line([("sent: ", "green"), (event, "bold"), f" to {execution_id}"])
    return ExitCode.OK if wait is None else ExitCode.TIMED_OUT


def _show(out: Output, result: Document) -> ExitCode:
    """What the event did."""
    if result["transition"] is not None:
        out.line(transition_spans(result["transition"]))
    outcome, reason = result["outcome"], result["reason"]
    if result["transition"] is None or outcome in ("deferred", "failed"):
        shown = f": {reason}" if reason and result["transition"] is None else ""
        out.line([(result["event"], "bold"), f": {outcome}{shown}"])
    out.line([("execution: ", "cyan"), (result["status"], "bold")])
    for line in (*state_lines(result), *event_lines(result), *timer_lines(result)):
        out.line(line)
    return EXIT_CODES.get(outcome, ExitCode.OK)


def publish_event(out: Output, server: Server, source: str, detail_type: str | None, detail: str) -> ExitCode:
    """Carry ``awr publish-event`` out; ``source`` may be a whole event, as ``@FILE``. Raises what `output.cli_error`
    knows.
    """
    if source.startswith("@") and detail_type is None:
        return _publish(out, server, *_event_of(source))
    if detail_type is None:
        raise usage_error("an event has a source and a type", f"awr publish-event {source} TYPE; or @FILE, the event")
    example = f"""awr publish-event {source} {detail_type} '{{"name": "value"}}'"""
    value = read_json(detail, "DETAIL", "the event's detail", example)
    if not isinstance(value, dict):
        raise CliError("invalid_event", "the event's detail is no JSON object", f"for example {example}")
    return _publish(out, server, source, detail_type, value)


def _event_of(file: str) -> tuple[str, str, Document]:
    """Source, type and detail of an event in a file, as EventBridge delivers it."""
    event = read_json(file, "SOURCE", "the event", "awr publish-event @event.json")
    fields = [event.get(name) for name in ("source", "detail-type", "detail")] if isinstance(event, dict) else []
    match fields:
        case [str(source), str(detail_type), dict(detail)]:
            return source, detail_type, detail
    hint = "it has `source` and `detail-type`, both texts, and `detail`, an object"
    raise CliError("invalid_event", f"{file[1:]} holds no event", hint)


def _publish(out: Output, server: Server, source: str, detail_type: str, detail: Document) -> ExitCode:
    async def publish() -> None:
        async with api(server) as connection:
            await connection.publish_event(source, detail_type, detail)

    asyncio.run(publish())
    out.line([("published: ", "green"), (detail_type, "bold"), f" from {source}"])
    out.document({"source": source, "detail_type": detail_type})
    return ExitCode.OK
