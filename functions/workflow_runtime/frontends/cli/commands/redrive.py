"""`awr redrive`: dead letters, and bringing them back."""

from __future__ import annotations

from typing import Annotated

import typer

from workflow_runtime.frontends.cli.api import Document, ask
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, ChangedDatabase, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.texts import shorten, visible

LISTED_MAX = 50
TEXT_COLUMNS_MIN = 20
_WORDS = {
    "sent": ("brought back", "green"),
    "would_send": ("would be brought back", "cyan"),
    "left": ("left", "yellow"),
}


def redrive(
    execution: Annotated[
        str | None, typer.Argument(metavar="[EXECUTION]", help="Bring back those that name this execution.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Bring back all there are.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be brought back.")] = False,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Bring back dead letters: messages that their queue gave up, and events that could not be taken.

    Those of one execution come back in the order in which they were sent. What was brought back before is left, so the
    same command again changes nothing. Without an execution or --all: list them.

    \b
      awr redrive
      awr redrive --all --dry-run

    Exit codes: 0 fine, 2 wrong usage, 6 the API cannot be reached.
    """
    if every and execution is not None:
        raise usage_error("name an execution or --all, not both")
    if dry_run and not every and execution is None:
        raise usage_error("--dry-run: of which dead letters? awr redrive EXECUTION --dry-run, or --all --dry-run")
    out, server = Output(json=json), Server(url, token, profile, region, db)
    return _redrive(out, server, execution, dry_run) if every or execution is not None else _list(out, server)


def _redrive(out: Output, server: Server, execution_id: str | None, dry_run: bool) -> int:
    found = ask(server, lambda api: api.redrive(execution_id, dry_run=dry_run), changes=True)
    out.document({"dead_letters": found})
    for letter in found:
        words, style = _WORDS[letter["outcome"]]
        why = f" ({letter['why']})" if letter["why"] else ""
        out.line([(f"{words}{why}: ", style), *_shown(letter, out.columns - len(words) - len(why) - 2)])
    if not found:
        out.note("no dead letters")
    return ExitCode.OK


def _list(out: Output, server: Server) -> int:
    found = ask(server, lambda api: api.dead_letters(None, LISTED_MAX))
    out.document({"dead_letters": found})
    for letter in found:
        again = (f"  brought back at {letter['redriven_at']}", "green") if letter["redriven_at"] else ""
        out.line([*_shown(letter, out.columns), again])
    if not found:
        out.note("no dead letters")
    elif len(found) == LISTED_MAX:
        out.note([("hint: ", "cyan"), f"these are the first {LISTED_MAX}"])
    return ExitCode.OK


def _shown(letter: Document, room: int) -> Line:
    """``EXECUTION  2026-…  mail: given up by its queue dispatch.fifo``"""
    name = letter["execution_id"] or "-"
    left = max(room - len(name) - len(letter["at"]) - 4, TEXT_COLUMNS_MIN)
    return [(name, "bold"), (f"  {letter['at']}  ", "dim"), shorten(visible(letter["reason"]), left)]
