"""`awr approvals`, `awr approve`, `awr reject`, `awr delegate`: what people are asked, and what they say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from msgspec import UNSET

from workflow_runtime.frontends.cli.api import Api, Document, ask
from workflow_runtime.frontends.cli.approvals import approval_lines, listed_line
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.files import read_json
from workflow_runtime.frontends.cli.options import AsJson, Database, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server, header_value

LISTED_DEFAULT = 50

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="The approval.", show_default=False)]
As = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who you are, on one machine; for whom you speak, where you may."),
]
Data = Annotated[
    str | None,
    typer.Option("--data", metavar="JSON|@FILE", help="What changes in what is shown: of an object, these keys."),
]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="What you have to say about it.")]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="Repeats under one key are one answer.")]


def approvals(
    approval: Annotated[str | None, typer.Argument(metavar="[ID]", help="Show this one, whole.")] = None,
    assignee: Annotated[
        str | None, typer.Option("--assignee", metavar="NAME", help="Only what asks this person, or nobody by name.")
    ] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", metavar="ID", help="Only of this workflow.")] = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only what was asked so long ago: 1h, 2d.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Only what a node asks, or: tool, effect, guardrail, budget."),
    ] = None,
    ended: Annotated[bool, typer.Option("--ended", help="Those that cannot be answered any more.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most this many.")] = LISTED_DEFAULT,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List what people are asked, the newest first; or show one with its form and data.

    \b
      awr approvals --assignee ann
      awr approvals ex-01a2….1

    Exit codes: 0 fine, 1 there is no such approval, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    if approval is not None:
        return _show(out, server, approval)

    status = "ended" if ended else "open"
    found = ask(
        server,
        lambda api: api.approvals(
            assignee=assignee, workflow=workflow, older_than=older_than, status=status, limit=limit, kind=kind
        ),
    )
    out.document({"approvals": found})
    for item in found:
        out.line(listed_line(item))
    if not found:
        out.note("nobody is asked anything" if not ended else "none")
    elif len(found) == limit:
        out.note([("hint: ", "cyan"), f"these are the newest {limit}; --limit shows more"])
    return ExitCode.OK


def _answering(approved: bool, help: str) -> Callable[..., int]:
    """The command that says yes, or no."""

    def command(
        approval: ApprovalId,
        data: Data = None,
        comment: Comment = "",
        as_: As = None,
        key: Key = None,
        db: Database = None,
        url: Url = URL_DEFAULT,
        token: Token = None,
        profile: Profile = None,
        region: Region = None,
        json: AsJson = False,
    ) -> int:
        out, server = Output(json=json), Server(url, token, profile, region, db)
        return _say(out, server, approval, approved, data, comment, as_, key)

    command.__doc__ = help
    return command


approve = _answering(
    True,
    """Approve what people are asked.

\b
  awr approve ex-01a2….1 --as ann --comment "within budget"
  awr approve ex-01a2….1 --as ann --data '{"amount": 80}'

\b
Exit codes:
  0  on its way, or said before       2  wrong usage
  1  refused, with the reason         6  the API cannot be reached
""",
)

reject = _answering(
    False,
    """Reject what people are asked.

\b
  awr reject ex-01a2….1 --as ann --comment "too expensive"

\b
Exit codes:
  0  on its way, or said before       2  wrong usage
  1  refused, with the reason         6  the API cannot be reached
""",
)


def delegate(
    approval: ApprovalId,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="Who is asked instead.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the history.")] = "",
    as_: As = None,
    key: Key = None,
    db: Database = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Have somebody else asked in your place.

    \b
      awr delegate ex-01a2….1 --as ann --to bob

    Exit codes: 0 on its way, 1 refused, with the reason, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    _check_key(key)

    async def send(connection: Api) -> Document:
        return await connection.delegate(approval, to, reason=reason, by=as_, key=key)

    answer = _sent(server, send, as_)
    out.document(answer)
    out.line([("delegated: ", "cyan"), f"{to} is asked instead of {answer['by']}"])
    return ExitCode.OK


def _say(
    out: Output,
    server: Server,
    approval: str,
    approved: bool,
    data: str | None,
    comment: str,
    by: str | None,
    key: str | None,
) -> int:
    value = read_json(data, "--data", "the data") if data is not None else UNSET
    _check_key(key)

    async def send(connection: Api) -> Document:
        return await connection.answer(approval, approved, data=value, comment=comment, by=by, key=key)

    answer = _sent(server, send, by)
    out.document(answer)
    word, style = ("approved", "green") if approved else ("rejected", "red")
    out.line([(f"{word}: " if answer["changed"] else f"{word} already: ", style), approval])
    return ExitCode.OK


def _sent(server: Server, send: Callable[[Api], Awaitable[Document]], by: str | None) -> Document:
    try:
        return ask(server, send, changes=True)
    except CliError as error:
        is_open = server.db is not None or (server.loopback is not None and server.token is None)  # to whoever is on it
        if error.code == "forbidden" and by is None and is_open:
            raise CliError(error.code, error.message, "--as NAME says who you are, on one machine") from None
        raise


def _check_key(key: str | None) -> None:
    if key is not None:
        header_value("--key", key)


def _show(out: Output, server: Server, approval: str) -> int:
    found = ask(server, lambda api: api.approval(approval))
    out.document(found)
    for line in approval_lines(found):
        out.line(line)
    return ExitCode.OK
