"""`awr signal`: an event for one execution; `awr publish-event`: one for all that listen on the bus of `awr dev`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import Document, ask
from workflow_runtime.frontends.cli.charts import event_lines, failure_lines, state_lines, timer_lines, transition_spans
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.options import AsJson, ChangedDatabase, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, header_value

EXIT_CODES = {"ignored": ExitCode.INVALID, "failed": ExitCode.FAILED}


def signal(
    execution: ExecutionId,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name.", show_default=False)],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Its data: JSON, @FILE, or @- for stdin.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Repeats under one key have one effect.")
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option("--wait", metavar="S", min=0, help="Wait this many seconds for what it does, and show it."),
    ] = None,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Send an event to an execution; with --wait, show what it did there.

    \b
      awr signal ex-01a2… pay '{"payment_method": "card"}' --wait 5

    \b
    Exit codes:
      0  sent; with --wait: taken, or     3    the execution failed for it (--wait)
         deferred or kept for later       6    the API cannot be reached
      1  refused; with --wait: ignored    124  not known yet after --wait seconds
      2  wrong usage
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    if wait is not None and not math.isfinite(wait):
        raise usage_error("--wait is a number of seconds")
    if key is not None:
        header_value("--key", key)
    example = f"""awr signal {execution} {event} '{{"name": "value"}}'"""
    value = read_json(data, "DATA", f"the data of event {event!r}", example) if data is not None else None
    answer = ask(server, lambda api: api.send_event(execution, event, value, key=key, wait=wait), changes=True)
    out.document(answer)
    if "outcome" in answer:
        return _show(out, answer)
    out.line([("sent: ", "green"), (event, "bold"), f" to {execution}"])
    return ExitCode.OK if wait is None else ExitCode.TIMED_OUT


def _show(out: Output, result: Document) -> ExitCode:
    """What the event did."""
    if result["transition"] is not None:
        out.line(transition_spans(result["transition"]))
        for failure in failure_lines(result["transition"]):
            out.line(["  ", *failure])
    outcome, reason = result["outcome"], result["reason"]
    if result["transition"] is None or outcome in ("deferred", "failed"):
        shown = f": {reason}" if reason and result["transition"] is None else ""
        out.line([(result["event"], "bold"), f": {outcome}{shown}"])
    out.line([("execution: ", "cyan"), (result["status"], "bold")])
    for line in (*state_lines(result), *event_lines(result), *timer_lines(result)):
        out.line(line)
    return EXIT_CODES.get(outcome, ExitCode.OK)


def publish_event(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Its source; or the whole event, as @FILE.", show_default=False)
    ],
    detail_type: Annotated[
        str | None, typer.Argument(metavar="TYPE", help="Its detail-type.", show_default=False)
    ] = None,
    detail: Annotated[str, typer.Argument(metavar="[DETAIL]", help="Its detail: a JSON object, or @FILE.")] = "{}",
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Put an event on the bus of awr dev, where triggers and waits hear it.

    \b
      awr publish-event shop order.paid '{"order_id": "o-1"}'
      awr publish-event @events/order_state_machine/payment_succeeded.json

    A file holds an event as EventBridge delivers it; of its fields source, detail-type and detail count. A deployed
    runtime has an EventBridge bus: aws events put-events. Exit codes: as of awr signal.
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    if source.startswith("@") and detail_type is None:
        return _publish(out, server, *_event_of(source))
    if detail_type is None:
        raise usage_error("an event has a source and a type", f"awr publish-event {source} TYPE; or @FILE, the event")
    example = f"""awr publish-event {source} {detail_type} '{{"name": "value"}}'"""
    value = read_json(detail, "DETAIL", "the event's detail", example)
    if not isinstance(value, dict):
        raise CliError("invalid_event", "the event's detail is not a JSON object", f"for example {example}")
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
    ask(server, lambda api: api.publish_event(source, detail_type, detail))
    out.line([("published: ", "green"), (detail_type, "bold"), f" from {source}"])
    out.document({"source": source, "detail_type": detail_type})
    return ExitCode.OK
