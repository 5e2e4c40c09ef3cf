"""`awr tokens`: who may call a server of `awr serve`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.serve.options import TOKENS_NAME
from workflow_runtime.frontends.serve.tokens import GRANTED, NAME_CHARS_MAX, add_token, read_tokens, revoke_token
from workflow_runtime.language.durations import parse_duration


class Action(StrEnum):
    LIST = "list"
    CREATE = "create"
    REVOKE = "revoke"


def tokens(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The token: who its holder is.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", metavar="SCOPE", help=f"{', '.join(GRANTED)} (repeatable).")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="After this time: 90d. Default: never.")
    ] = None,
    speaks_for_others: Annotated[
        bool,
        typer.Option("--speaks-for-others", help="Its holder may say whom a request is from."),
    ] = False,
    file: Annotated[Path, typer.Option("--file", metavar="FILE", dir_okay=False, help="The tokens file.")] = Path(
        TOKENS_NAME
    ),
    json: AsJson = False,
) -> int:
    """Make and revoke the tokens that callers of awr serve need. The file keeps hashes; a token is shown once.

    \b
      awr tokens create ci --scope read --scope run
      awr tokens list
      awr tokens revoke ci

    A running server notices a change within seconds. Commands take a token from --token or AWR_TOKEN.

    Exit codes: 0 done, 1 the file cannot be read, or the name is taken or unknown, 2 wrong usage.
    """
    out = Output(json=json)
    if action is Action.LIST:
        return _list(out, file)
    if not name or len(name) > NAME_CHARS_MAX:
        raise usage_error(f"{action.value} needs a name of at most {NAME_CHARS_MAX} characters")
    if action is Action.REVOKE:
        revoke_token(file, name)
        out.document({"revoked": name})
        out.line(f"revoked: {name}")
        return ExitCode.OK
    token = add_token(file, name, _scopes(scope), expires=_expiry(expires), speaks_for_others=speaks_for_others)
    out.document({"name": name, "token": token})
    out.line(token)
    out.note(f"the token of {name}, which nothing can show again; {file} has its hash")
    return ExitCode.OK


def _scopes(given: list[str] | None) -> list[Scope]:
    if not given:
        raise usage_error("a token needs scopes", f"--scope, one or several of {', '.join(GRANTED)}")
    for scope in given:
        if scope not in GRANTED:
            raise usage_error(f"there is no scope {scope!r}", f"there are {', '.join(GRANTED)}")
    return [Scope(scope) for scope in dict.fromkeys(given)]


def _expiry(given: str | None) -> datetime | None:
    if given is None:
        return None
    try:
        return (datetime.now(UTC) + timedelta(seconds=parse_duration(given))).replace(microsecond=0)
    except ValueError as error:
        raise usage_error(f"--expires: {error}") from None


def _list(out: Output, file: Path) -> ExitCode:
    entries = read_tokens(file)
    out.document(
        {
            "tokens": [
                {
                    "name": entry.name,
                    "scopes": [scope.value for scope in entry.scopes],
                    "expires": entry.expires,
                    "speaks_for_others": entry.speaks_for_others,
                }
                for entry in entries
            ]
        }
    )
    now = datetime.now(UTC)
    for entry in entries:
        scopes = " ".join(scope.value for scope in entry.scopes)
        until = "" if entry.expires is None else f"  until {entry.expires:%Y-%m-%d %H:%M}"
        ended = "  (expired)" if entry.has_expired(now) else ""
        speaks = "  speaks for others" if entry.speaks_for_others else ""
        out.line(f"{entry.name}  {scopes}{until}{ended}{speaks}")
    if not entries:
        out.note(f"{file} has no tokens")
    return ExitCode.OK
