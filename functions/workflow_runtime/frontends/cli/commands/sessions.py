"""`awr sessions`: what sessions of agents there are, what was said in one, and forgetting it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer

from workflow_runtime.frontends.cli.api import Document, ask
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, ChangedDatabase, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.language.texts import shorten

LISTED_DEFAULT = 50
TEXT_COLUMNS = 300


class Action(StrEnum):
    LIST = "list"
    SHOW = "show"
    DELETE = "delete"


def sessions(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    agent: Annotated[str | None, typer.Argument(metavar="AGENT", help="Whose session.")] = None,
    session: Annotated[str | None, typer.Argument(metavar="SESSION", help="Its name.")] = None,
    tenant: Annotated[
        str | None, typer.Option(metavar="TENANT", help="The tenant of its executions, if they have one.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many to list at most.")] = LISTED_DEFAULT,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List the sessions of agents, show what was said in one, or forget it.

    Nothing is remembered of a visit that works on a session while it is deleted.

    \b
      awr sessions
      awr sessions list assistant
      awr sessions show assistant customer-7
      awr sessions delete assistant customer-7 --tenant acme

    Exit codes: 0 fine, 1 refused, or there is no such session, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    if action is Action.LIST:
        if session is not None:
            raise usage_error("list takes an agent, and no session", f"awr sessions show {agent} {session}")
        return _list(out, server, agent, tenant, limit)
    if agent is None or session is None:
        usage = f"awr sessions {action.value} AGENT SESSION"
        raise usage_error(f"{action.value} needs an agent and the name of a session", usage)
    tell = _delete if action is Action.DELETE else _show
    return tell(out, server, agent, session, tenant or "")


def _list(out: Output, server: Server, agent: str | None, tenant: str | None, limit: int) -> int:
    found = ask(server, lambda api: api.sessions(agent, tenant, limit))
    out.document({"sessions": found})
    for each in found:
        out.line(_standing(each))
    if not found:
        out.note("there are no sessions" + (f" of the agent {agent}" if agent is not None else ""))
    return ExitCode.OK


def _show(out: Output, server: Server, agent: str, session: str, tenant: str) -> int:
    found = ask(server, lambda api: api.session(agent, session, tenant))
    out.document(found)
    out.line(_standing(found))
    told: Any = found["told"]
    for turn in told:
        out.line([(f"  {turn['number']}", "cyan"), (f"  {turn['at']}  {turn['execution_id']} {turn['path']}", "dim")])
        if turn["summary"]:
            out.line([("    before: ", "dim"), (shorten(turn["summary"], TEXT_COLUMNS), "")])
        for who, text in _said(turn):
            out.line([(f"    {who}: ", "dim"), (shorten(text, TEXT_COLUMNS), "")])
    return ExitCode.OK


def _delete(out: Output, server: Server, agent: str, session: str, tenant: str) -> int:
    ask(server, lambda api: api.delete_session(agent, session, tenant))
    out.document({"deleted": {"agent": agent, "session": session, "tenant": tenant or None}})
    out.line([("deleted ", "green"), (f"{agent} {session}", "bold")])
    return ExitCode.OK


def _standing(session: Document) -> list[tuple[str, str]]:
    """``assistant customer-7 [acme]  12 turns, 3 summed up, used 2026-…, held by ex-1 a, 2 wait``"""
    held: Any = session["held_by"]
    waiting: Any = session["waiting"]
    parts = ["1 turn" if session["turns"] == 1 else f"{session['turns']} turns"]
    parts += [f"{session['summed_up']} summed up"] if session["summed_up"] else []
    parts += [f"used {session['used_at']}"]
    parts += [f"held by {held['execution_id']} {held['path']}"] if held else []
    parts += [f"{len(waiting)} wait"] if waiting else []
    tenant = f" [{session['tenant']}]" if session["tenant"] else ""
    return [(f"{session['agent']} {session['session']}{tenant}", "bold"), (f"  {', '.join(parts)}", "dim")]


def _said(turn: dict[str, Any]) -> list[tuple[str, str]]:
    """Who said what, of messages as pydantic-ai writes them; what has another form is left out."""
    found: list[tuple[str, str]] = []
    for message in turn["messages"] if isinstance(turn["messages"], list) else ():
        for part in message.get("parts", ()) if isinstance(message, dict) else ():
            match part:
                case {"part_kind": "user-prompt", "content": str() as text}:
                    found.append(("user", text))
                case {"part_kind": "text", "content": str() as text}:
                    found.append(("agent", text))
                case {"part_kind": "tool-call", "tool_name": str() as name, "args": arguments}:
                    found.append(("agent calls", f"{name} {_shown(arguments)}"))
                case {"part_kind": "tool-return", "tool_name": str() as name, "content": content}:
                    found.append((f"{name} gave", _shown(content)))
                case _:
                    pass
    return found


def _shown(value: Any) -> str:
    """As JSON, but a text as it is."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
