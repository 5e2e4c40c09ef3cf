"""`awr cancel` and the other requests about an execution as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import ask
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.many import (
    DryRun,
    ExecutionOrNone,
    Many,
    OfStatuses,
    OfWorkflow,
    OlderThan,
    ask_many,
    many_of,
)
from workflow_runtime.frontends.cli.options import AsJson, ChangedDatabase, ExecutionId, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, header_value
from workflow_runtime.language.json_values import Json

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")]
Key = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Repeats under one key get the same answer for a day.")
]


def _request(operation: str, words: tuple[str, str], help: str) -> Callable[..., int]:
    """The command that asks for an operation, of one execution or many, of which nothing else is to be said. ``words``:
    as in `_ask`."""

    def command(
        execution: ExecutionOrNone = None,
        reason: Reason = "",
        key: Key = None,
        workflow: OfWorkflow = None,
        status: OfStatuses = None,
        older_than: OlderThan = "",
        dry_run: DryRun = False,
        db: ChangedDatabase = None,
        url: Url = URL_DEFAULT,
        token: Token = None,
        profile: Profile = None,
        region: Region = None,
        json: AsJson = False,
    ) -> int:
        out, server = Output(json=json), Server(url, token, profile, region, db)
        many = many_of(execution, workflow, status, older_than, dry_run)
        return _ask(out, server, operation, many or execution, reason, key, words)

    command.__doc__ = help
    return command


cancel = _request(
    "cancel",
    ("cancelling", "cancelled already"),
    """Cancel an execution, and the executions whose end it awaits.

\b
  awr cancel ex-01a2… --reason "the order was withdrawn"
  awr cancel --workflow orders --status running --older-than 1h --dry-run

\b
Exit codes:
  0  on its way, or cancelled already    2  wrong usage
  1  refused: it has ended otherwise     6  the API cannot be reached
""",
)

suspend = _request(
    "suspend",
    ("suspending", "suspended already"),
    """Suspend an execution, and the executions whose end it awaits.

Nothing starts any more; what runs in workers ends and is recorded; events, due timers and the like are held in
order until it is resumed.

\b
  awr suspend ex-01a2… --reason "the provider has an outage"

\b
Exit codes:
  0  on its way, or suspended already    2  wrong usage
  1  refused: it has ended               6  the API cannot be reached
""",
)

resume = _request(
    "resume",
    ("resuming", "not suspended"),
    """Resume a suspended execution, and those that were suspended with it.

\b
  awr resume ex-01a2…

\b
Exit codes:
  0  on its way, or not suspended        2  wrong usage
  1  refused: it has ended               6  the API cannot be reached
""",
)

compensate = _request(
    "compensate",
    ("compensating", ""),
    """Undo what an execution that failed or was cancelled has done and not undone yet.

Compensations that failed run again. Then the execution has ended as before.

\b
  awr compensate ex-01a2… --reason "the customer withdrew"

\b
Exit codes:
  0  on its way    1  refused, with the reason
  2  wrong usage   6  the API cannot be reached
""",
)


def retry(
    execution: ExecutionOrNone = None,
    from_node: Annotated[
        str, typer.Option("--from", metavar="NODE", help="Run this node and all after it again, also after success.")
    ] = "",
    variables: Annotated[
        str | None,
        typer.Option("--variables", metavar="JSON|@FILE", help="Variables that have other values from now on."),
    ] = None,
    reason: Reason = "",
    key: Key = None,
    workflow: OfWorkflow = None,
    status: OfStatuses = None,
    older_than: OlderThan = "",
    dry_run: DryRun = False,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Have an execution go on that has ended, or that a failure has suspended: what failed runs again, what succeeded
    is kept.

    \b
      awr retry ex-01a2… --reason "the shop is back"
      awr retry --workflow orders --reason "the shop is back"
      awr retry ex-01a2… --from charge --variables '{"currency": "EUR"}'

    \b
    Exit codes:
      0  on its way    1  refused, with the reason
      2  wrong usage   6  the API cannot be reached
    """
    given = read_json(variables, "--variables", "the variables") if variables is not None else {}
    if not isinstance(given, dict):
        raise usage_error("--variables is a JSON object: a value by the name of each variable")
    said: dict[str, Json] = {"from": from_node} if from_node else {}
    if given:
        said["variables"] = given
    out, server = Output(json=json), Server(url, token, profile, region, db)
    many = many_of(execution, workflow, status, older_than, dry_run)
    return _ask(out, server, "retry", many or execution, reason, key, ("retrying", ""), **said)


def skip(
    execution: ExecutionId,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The node's path.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="JSON|@FILE", help="Its output, as if it had succeeded. Default: skipped."),
    ] = None,
    reason: Reason = "",
    key: Key = None,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Have an execution go on without a node that waits or has failed.

    \b
      awr skip ex-01a2… wait_for_payment
      awr skip ex-01a2… charge --output '{"paid": true}' --reason "paid in cash"

    \b
    Exit codes:
      0  on its way    1  refused, with the reason
      2  wrong usage   6  the API cannot be reached
    """
    said: dict[str, Json] = {"node": node}
    if output is not None:
        said["output"] = read_json(output, "--output", f"the output of node {node!r}")
    out, server = Output(json=json), Server(url, token, profile, region, db)
    return _ask(out, server, "skip", execution, reason, key, (f"going on without `{node}`", ""), **said)


def _ask(
    out: Output,
    server: Server,
    operation: str,
    whom: str | Many | None,
    reason: str,
    key: str | None,
    words: tuple[str, str],
    **said: Json,
) -> int:
    """Send the request, and show what was answered. ``words``: for one that is on its way, and one not needed."""
    if key is not None:
        header_value("--key", key)
    if isinstance(whom, Many):
        return ask_many(out, server, operation, whom, reason, key, said)
    execution = str(whom)
    answer = ask(server, lambda api: api.control(operation, execution, reason, key=key, said=said), changes=True)
    out.document(answer)
    out.line([(f"{words[0] if answer['changed'] else words[1]}: ", "yellow"), execution])
    if server.db is not None and operation not in ("cancel", "suspend"):
        out.note(f"go on: awr run --resume {execution} --db {server.db}")
    return ExitCode.OK
