"""`awr limits`: what limiters there are, who waits for them, and setting them while they are in use."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workflow_runtime.definition.limits_file import read_limits_file
from workflow_runtime.errors import DefinitionError
from workflow_runtime.frontends.cli.api import Api, Document, ask
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.client.limits import FIELDS as ALL_FIELDS
from workflow_runtime.frontends.client.limits import fields_of
from workflow_runtime.services.limits.requests import limiter_json

NOTHING = "none"
FIELDS = tuple(field for field in ALL_FIELDS if field != "budget")  # of which a part has an option


class Action(StrEnum):
    LIST = "list"
    SHOW = "show"
    SET = "set"
    PAUSE = "pause"
    RESUME = "resume"
    DELETE = "delete"
    DECLARE = "declare"


def limits(
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.LIST,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The limiter; for declare, a file.")] = None,
    requests: Annotated[str | None, typer.Option(metavar="RATE", help="Starts in a time: 60/min.")] = None,
    tokens: Annotated[str | None, typer.Option(metavar="RATE", help="Tokens of model requests: 200k/min.")] = None,
    concurrency: Annotated[int | None, typer.Option(metavar="N", help="How many go on at once; 0: any.")] = None,
    burst: Annotated[int | None, typer.Option(metavar="N", help="Starts that may come early.")] = None,
    horizon: Annotated[str | None, typer.Option(metavar="TIME", help="How far ahead a start is booked: 5s.")] = None,
    key: Annotated[str | None, typer.Option(metavar="TEMPLATE", help="A limiter for each of its values.")] = None,
    weight: Annotated[str | None, typer.Option(metavar="N", help="How many of a tenant are served in a row.")] = None,
    usd: Annotated[str | None, typer.Option(metavar="RATE", help="What models may cost: 20/day.")] = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List limiters, show who waits for one, or change one while it is in use.

    What is set wins over what a file declares, until it is deleted; it is in force within seconds. Set changes what it
    names and leaves the rest; none takes it away.

    \b
      awr limits
      awr limits show openai
      awr limits set openai --requests 60/min --concurrency 20
      awr limits set openai --tokens none
      awr limits pause openai
      awr limits resume openai
      awr limits declare definitions/limits.yaml

    Exit codes: 0 fine, 1 refused, or there is no such limiter, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    given = dict(zip(FIELDS, (requests, tokens, concurrency, burst, horizon, key, weight), strict=True))
    fields: Document = {field: value for field, value in given.items() if value is not None}
    if usd is not None:
        fields["budget"] = {"usd": usd}
    if fields and action is not Action.SET:
        option = "usd" if usd is not None else next(iter(fields))
        raise usage_error(f"--{option} is for `awr limits set`", "awr limits set NAME --requests 60/min")
    if action is Action.LIST:
        return _list(out, ask(server, lambda api: api.limits()))
    if name is None:
        what = "FILE" if action is Action.DECLARE else "NAME"
        raise usage_error(f"{action.value} needs a {what.lower()}", f"awr limits {action.value} {what}")
    if action is Action.DECLARE:
        return _declare(out, server, Path(name))
    if action is Action.SET and not fields:
        raise usage_error("set needs a limit", f"awr limits set {name} --requests 60/min")
    return _one(out, action, name, ask(server, lambda api: _change(api, action, name, fields)))


async def _change(connection: Api, action: Action, name: str, fields: Document) -> Document:
    match action:
        case Action.SET:
            known = {str(limiter["name"]): fields_of(limiter) for limiter in await connection.limits()}
            await connection.put_limit(name, _changed(known.get(name, {}), fields))
        case Action.PAUSE | Action.RESUME:
            await connection.put_limit(name, {"paused": action is Action.PAUSE})
        case Action.DELETE:
            return await connection.delete_limit(name)
        case _:
            pass
    return await connection.limit(name)


def _changed(known: Document, given: Document) -> Document:
    """What a limiter allows by now, with what is given in its place; ``none``: no more."""
    if isinstance(weight := given.get("weight"), str) and weight.isdigit():
        given = {**given, "weight": int(weight)}
    if "budget" in given:
        usd = given["budget"]["usd"]
        budget = {field: value for field, value in (known.get("budget") or {}).items() if field != "usd"}
        budget |= {"usd": usd} if usd != NOTHING else {}
        given = {**given, "budget": budget if {"usd", "tokens"} & budget.keys() else NOTHING}
    return {field: value for field, value in {**known, **given}.items() if value != NOTHING}


def _declare(out: Output, server: Server, file: Path) -> int:
    try:
        limiters = read_limits_file(file)
    except DefinitionError as error:
        raise CliError("invalid_definition", f"{file} is not valid", findings=error.findings) from None
    declared = {name: limiter_json(limiter) for name, limiter in limiters.items()}
    found = ask(server, lambda api: api.declare_limits(declared))
    out.line([("declared ", "green"), (", ".join(declared) or "nothing", "bold")])
    out.document({"limits": found})
    return ExitCode.OK


def _list(out: Output, found: list[Document]) -> int:
    out.document({"limits": found})
    for limiter in found:
        out.line([(limiter["name"], "bold"), (f"  {_allowed(limiter)}", ""), (f"  {limiter['source']}", "dim")])
    if not found:
        out.note("no limiter is declared or set")
    return ExitCode.OK


def _one(out: Output, action: Action, name: str, limiter: Document) -> int:
    out.document(limiter)
    if action is Action.DELETE:
        left = f"; in force again: {_allowed(limiter)}" if _allowed(limiter) else ""
        out.line([("deleted ", "green"), (name, "bold"), (left, "")])
        return ExitCode.OK
    out.line([(limiter["name"], "bold"), (f"  {_allowed(limiter)}", ""), (f"  {limiter['source']}", "dim")])
    for gauge in limiter["gauges"]:
        out.line(_standing(gauge))
    if not limiter["gauges"]:
        out.line([("  nobody has waited yet, for any value of its key", "dim")])
    return ExitCode.OK


def _allowed(limiter: Document) -> str:
    said = [f"{field} {limiter[field]}" for field in FIELDS if limiter.get(field) is not None]
    budget = limiter.get("budget") or {}
    said += [
        f"budget {'$' if field == 'usd' else ''}{budget[field]}" for field in ("usd", "tokens") if budget.get(field)
    ]
    return ", ".join(said)


def _standing(gauge: Document) -> list[tuple[str, str]]:
    """``  [acme]  3 held, 12 wait (acme 10, other 2), the last begins 2026-…``"""
    count = f"{gauge['waiting']}{'+' if gauge['more'] else ''}"
    tenants = ", ".join(f"{tenant} {number}" for tenant, number in gauge["waiting_by_tenant"].items() if tenant != "-")
    waiting = f", {count} wait" + (f" ({tenants})" if tenants else "") if gauge["waiting"] else ""
    last = f", the last is expected to begin at {gauge['last_start']}" if gauge["last_start"] else ""
    closed = ", paused" if gauge["paused"] else ""
    if gauge["closed_until"]:
        closed = f", nothing begins before {gauge['closed_until']}: a provider had enough"
    key = f"[{gauge['key']}]  " if gauge["key"] else ""
    return [(f"  {key}", "cyan"), (f"{gauge['held']} held{waiting}{last}{closed}{_drawn(gauge)}", "dim")]


def _drawn(gauge: Document) -> str:
    """``, $12.50 of $20 drawn until 2026-…``"""
    budget = gauge.get("budget") or {}
    parts = [f"${budget['usd']['drawn']:,.2f} of ${budget['usd']['limit']:,.2f}"] if budget.get("usd") else []
    if budget.get("tokens"):
        parts.append(f"{budget['tokens']['drawn']:,} of {budget['tokens']['limit']:,} tokens")
    return f", {' and '.join(parts)} drawn until {budget['ends_at']}" if parts else ""
