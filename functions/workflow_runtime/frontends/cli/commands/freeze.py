"""`awr freeze` and `awr thaw`: holding back starts and node runs, and having them go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.api import Document, ask
from workflow_runtime.frontends.cli.errors import ExitCode, usage_error
from workflow_runtime.frontends.cli.options import AsJson, ChangedDatabase, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Line, Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.services.freeze.scopes import scope_of

OfWorkflow = Annotated[str | None, typer.Option("--workflow", metavar="ID", help="The starts of this workflow.")]
OfAgent = Annotated[str | None, typer.Option("--agent", metavar="ID", help="The runs of this agent.")]
OfAll = Annotated[bool, typer.Option("--all", help="All starts, and all runs of agents and tools.")]


def freeze(
    workflow: OfWorkflow = None,
    agent: OfAgent = None,
    all_: OfAll = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for others.")] = "",
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Hold back new starts of a workflow, new runs of an agent, or all of both, within seconds and until awr thaw.

    Executions are accepted and stay pending, node runs stay ready; what runs already goes on, and everything can be
    cancelled. Without an option: list what is frozen.

    \b
      awr freeze --agent writer --reason "the model answers nonsense"
      awr freeze

    Exit codes: 0 fine, 1 there is no such workflow, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    if workflow is None and agent is None and not all_:
        return _list(out, server)
    scope = _scope(workflow, agent, all_)

    answer = ask(server, lambda api: api.freeze(scope, reason), changes=True)
    out.document(answer)
    out.line([("frozen: " if answer["changed"] else "frozen already: ", "cyan"), *_shown(answer)])
    return ExitCode.OK


def thaw(
    workflow: OfWorkflow = None,
    agent: OfAgent = None,
    all_: OfAll = False,
    db: ChangedDatabase = None,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """Have what awr freeze holds back go on, in order, within seconds.

    \b
      awr thaw --agent writer

    Exit codes: 0 fine, 1 it is not frozen, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region, db)
    scope = _scope(workflow, agent, all_)
    answer = ask(server, lambda api: api.thaw(scope), changes=True)
    out.document(answer)
    out.line([("thawed: " if answer["changed"] else "thawed already: ", "green"), (scope, "bold")])
    return ExitCode.OK


def frozen_lines(switches: Sequence[Document], scopes: Sequence[str]) -> list[Line]:
    """What of these scopes is frozen, as notes."""
    return [
        [("frozen: ", "yellow"), *_shown(switch)]
        for switch in switches
        if switch["scope"] in scopes and not switch["thawed_at"]
    ]


def _scope(workflow: str | None, agent: str | None, everything: bool) -> str:
    try:
        return scope_of(workflow=workflow, agent=agent, everything=everything)
    except RequestError as error:
        raise usage_error(error.message, "--workflow ID, --agent ID or --all") from None


def _list(out: Output, server: Server) -> int:
    found = ask(server, lambda api: api.freezes())
    out.document({"freezes": found})
    for switch in found:
        out.line(_shown(switch))
    if not found:
        out.note("nothing is frozen")
    return ExitCode.OK


def _shown(switch: Document) -> Line:
    """``agent:writer  since … by … : the model answers nonsense``"""
    by = f" by {switch['by']}" if switch["by"] else ""
    reason = f": {switch['reason']}" if switch["reason"] else ""
    thawing = f", thawed at {switch['thawed_at']}, what it held is being sent on" if switch["thawed_at"] else ""
    return [(switch["scope"], "bold"), (f"  since {switch['since']}{by}{reason}{thawing}", "dim")]
