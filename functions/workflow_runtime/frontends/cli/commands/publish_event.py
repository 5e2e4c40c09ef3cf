"""`awr publish-event`: an event for whoever hears it on the bus of `awr dev`."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import Document, api
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.options import AsJson, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server


def publish_event(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="Whose event it is; or the event, as @FILE.", show_default=False)
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
    async def publish() -> None:
        async with api(server) as connection:
            await connection.publish_event(source, detail_type, detail)

    asyncio.run(publish())
    out.line([("published: ", "green"), (detail_type, "bold"), f" from {source}"])
    out.document({"source": source, "detail_type": detail_type})
    return ExitCode.OK
