"""Commands that ask an HTTP API, `awr dev` or a deployed one: publish, start, signal, list, status, history."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.commands.options import AsJson, Input, WorkflowPaths
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server

LISTED_DEFAULT = 50


class StatusName(StrEnum):
    """Of `engine.lifecycle.ExecutionStatus`, which takes too long to import for a help text; a test compares them."""

    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPENSATING = "compensating"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


Url = Annotated[
    str, typer.Option("--url", metavar="URL", envvar="AWR_URL", help="The API; requests to AWS hosts are signed.")
]
Token = Annotated[
    str | None,
    typer.Option("--token", metavar="TOKEN", envvar="AWR_TOKEN", help="Sent as a bearer token, instead of signing."),
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", help="Sign with this profile's AWS credentials, not AWS_PROFILE's."),
]
Region = Annotated[
    str | None,
    typer.Option("--region", metavar="NAME", help="Sign for this region, where the URL does not tell; signs any URL."),
]
ExecutionId = Annotated[str, typer.Argument(metavar="ID", help="The execution.", show_default=False)]


def publish(
    paths: WorkflowPaths,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Publish workflows to an API: each becomes the latest version of its id.

    All are checked first; if one is not valid, nothing is published. The same definition again changes nothing.

    Exit codes: 0 published, 1 refused, 2 wrong usage, 6 the API cannot be reached.
    """
    from workflow_runtime.frontends.cli import publishing

    return publishing.publish(Output(json=json), Server(url, token, profile, region), paths)


def start(
    workflow: Annotated[str, typer.Argument(metavar="ID", help="The workflow.", show_default=False)],
    input: Input = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="KEY", help="A start with a key seen before gives the first one's execution."),
    ] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="S", min=0, help="Watch it for up to this many seconds.")
    ] = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Start an execution of a published workflow; print its id, or with --wait how it ends.

    \b
      awr start greeting --input '{"name": "Ada"}' --wait 30

    \b
    Exit codes:
      0  started, or completed     4    cancelled (--wait)
      1  refused                   6    the API cannot be reached
      2  wrong usage               124  it goes on after --wait seconds
      3  failed (--wait)
    """
    from workflow_runtime.frontends.cli import executing

    return executing.start(Output(json=json), Server(url, token, profile, region), workflow, input, key, wait)


def list_(
    workflow: Annotated[
        str | None, typer.Argument(metavar="[WORKFLOW]", help="List its executions. Without: the workflows.")
    ] = None,
    status: Annotated[StatusName | None, typer.Option("--status", help="Only executions in this status.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")] = LISTED_DEFAULT,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List the published workflows, or the executions of one; the newest first.

    Exit codes: 0 fine, 1 there is no such workflow, 2 wrong usage, 6 the API cannot be reached.
    """
    from workflow_runtime.frontends.cli import listing

    out, server = Output(json=json), Server(url, token, profile, region)
    return listing.show(out, server, workflow, status.value if status is not None else None, limit)


def signal(
    execution: ExecutionId,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event's name.", show_default=False)],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Its data: JSON, @FILE, or @- for stdin.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="However often sent under one key, it has one effect.")
    ] = None,
    wait: Annotated[
        float | None, typer.Option("--wait", metavar="S", min=0, help="Wait so long for what it does, and show it.")
    ] = None,
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
    from workflow_runtime.frontends.cli import signalling

    return signalling.signal(Output(json=json), Server(url, token, profile, region), execution, event, data, key, wait)


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
    from workflow_runtime.frontends.cli import signalling

    return signalling.publish_event(Output(json=json), Server(url, token, profile, region), source, detail_type, detail)


def status(
    execution: ExecutionId,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show what happens, until it has ended.")] = False,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show an execution: its nodes, states and variables, the events it listens to, its output or error.

    With --json: the execution document.

    \b
    Exit codes:
      0  shown; with --watch: completed    4    cancelled (--watch)
      1  there is no such execution        6    the API cannot be reached
      2  wrong usage                       130  stopped by Ctrl-C; the execution goes on
      3  failed (--watch)
    """
    from workflow_runtime.frontends.cli import executing

    return executing.status(Output(json=json), Server(url, token, profile, region), execution, watch=watch)


def history(
    execution: ExecutionId,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Show what happened in an execution, commit by commit: events that came in, transitions, commands that went out.

    Exit codes: 0 fine, 1 there is no such execution, 2 wrong usage, 6 the API cannot be reached.
    """
    from workflow_runtime.frontends.cli import listing

    return listing.history(Output(json=json), Server(url, token, profile, region), execution)
