"""`awr agents`: the agents that workflows may name here; and those of an API, which may be published at run time."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.api import Document, api, ask
from workflow_runtime.frontends.cli.errors import CliError, ExitCode, usage_error
from workflow_runtime.frontends.cli.files import read_source
from workflow_runtime.frontends.cli.options import AsJson, Definitions, MocksFile, Profile, Region, Token, Url
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.client.errors import InvalidDefinition
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.invokers.entries import SUFFIXES


class Action(StrEnum):
    PUBLISH = "publish"
    LIST = "list"
    SHOW = "show"
    DELETE = "delete"


def agents(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[ID|publish|list|show|delete]", help="An agent here, or what to do.", show_default=False
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME…]", help="Files or directories, or an agent of the API.", show_default=False),
    ] = None,
    definitions: Definitions = None,
    mocks: MocksFile = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish or delete although published workflows do not fit the change.")
    ] = False,
    url: Url = URL_DEFAULT,
    token: Token = None,
    profile: Profile = None,
    region: Region = None,
    json: AsJson = False,
) -> int:
    """List the agents that workflows may name: those of the definitions directory, and mocked ones with --mocks.

    Or publish agents to an API, where they take the place of those that its files have, within seconds:

    \b
      awr agents
      awr agents reviewer
      awr agents publish definitions/agents/reviewer.yaml
      awr agents list
      awr agents show reviewer
      awr agents delete reviewer

    All files are checked first; if one is not valid, nothing is published. Each holds one agent. The same definition
    again changes nothing. A change that published workflows do not fit is refused, unless you --force it. Deleting an
    agent puts the one of the API's files in force again.

    With --json: ids, descriptions, sources and JSON Schemas.

    Exit codes: 0 fine, 1 refused, or there is no such agent, 2 wrong usage, 6 the API cannot be reached.
    """
    out, server = Output(json=json), Server(url, token, profile, region)
    given = names or []
    if what not in set(Action):
        if given or force:
            raise usage_error(f"awr agents takes one agent, or one of {', '.join(Action)}")
        from workflow_runtime.frontends.cli.commands.tools import catalogue_here, show_entries  # an API needs none here

        return show_entries(out, "agent", catalogue_here(definitions, mocks).agents, what)
    return _at_api(out, server, Action(what or ""), given, force=force)


def _at_api(out: Output, server: Server, action: Action, given: list[str], *, force: bool) -> int:
    if force and action not in (Action.PUBLISH, Action.DELETE):
        raise usage_error("--force is for publish and delete")
    match action:
        case Action.LIST:
            if given:
                raise usage_error("list takes no names", "awr agents show ID")
            return _list(out, ask(server, lambda api: api.agents()))
        case Action.PUBLISH:
            if not given:
                raise usage_error("publish needs a file", "awr agents publish definitions/agents/reviewer.yaml")
            return asyncio.run(_publish(out, server, _sources(given), force=force))
        case _:
            if len(given) != 1:
                raise usage_error(f"{action} needs one agent", f"awr agents {action} ID")
    if action is Action.SHOW:
        return _show(out, ask(server, lambda api: api.agent(given[0], None)))
    return asyncio.run(_delete(out, server, given[0], force=force))


def _sources(names: list[str]) -> list[Source]:
    """Raises `CliError` for what is not there."""
    files: list[Path] = []
    for path in map(Path, names):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not found:
                raise CliError("not_found", f"there are no agents below {path}", exit_code=ExitCode.USAGE)
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise usage_error(f"there is no file {path}")
    return [Source(read_source(file), str(file)) for file in files]


async def _publish(out: Output, server: Server, sources: list[Source], *, force: bool) -> int:
    documents: list[Document] = []
    findings: list[Finding] = []
    sources, expected = _callees_first(sources)
    async with api(server) as connection:
        for source in sources:
            try:
                await connection.check_agent(source)
            except InvalidDefinition as error:
                found = _in_file(error.findings, source)
                findings += [finding for finding in found if (finding.file, finding.id, finding.path) not in expected]
        if findings:
            wrong = ", ".join(dict.fromkeys(finding.file for finding in findings))
            message = f"nothing was published, because not all files are valid: {wrong}"
            raise CliError("invalid_definition", message, findings=findings)
        for source in sources:
            document = await connection.publish_agent(source, force=force)
            name, version = str(document["agent_id"]), document["version"]
            hidden = ", in the place of the packaged one" if document["hides_packaged"] else ""
            out.line([("published ", "green"), (name, "bold"), f" version {version}{hidden}  {source.file}"])
            documents.append({"file": source.file, **document})
    out.document({"published": documents})
    return ExitCode.OK


def _callees_first(sources: list[Source]) -> tuple[list[Source], set[tuple[str, str, str]]]:
    """The files, those of agents that others of them call first; and, by file, rule and path, what the API says of
    these calls as long as it does not have all of them. It says, too, what is wrong with files that are not valid."""
    from workflow_runtime.invokers.agents.references import called_by  # what agents may say takes its time to import
    from workflow_runtime.invokers.agents.registry import read_agents, unknown_references
    from workflow_runtime.language.yaml.small_files import parse_document

    try:
        agents = read_agents(parse_document(source.data, source.file) for source in sources)
    except DefinitionError:
        return sources, set()
    calls = {id: called_by(agent) for id, (agent, _) in agents.items()}
    ranks = {
        agents[id][1].file: rank for rank, id in enumerate(TopologicalSorter(calls).static_order()) if id in agents
    }
    expected = {
        (finding.file, finding.id, finding.path)
        for id, (agent, document) in agents.items()
        for finding in unknown_references(agent, document, {"agent": set(calls[id]) - agents.keys()})
    }
    return sorted(sources, key=lambda source: ranks.get(source.file, 0)), expected


def _in_file(findings: tuple[Finding, ...], source: Source) -> list[Finding]:
    """The API's findings, with the file, which it has not seen."""
    return [msgspec.structs.replace(finding, file=source.file) for finding in findings]


async def _delete(out: Output, server: Server, agent_id: str, *, force: bool) -> int:
    async with api(server) as connection:
        was = await connection.agent(agent_id, None)
        await connection.delete_agent(agent_id, force=force)
    left = "; the packaged one is in force again" if was.get("hides_packaged") else ""
    out.document({"agent_id": agent_id, "deleted": True, "packaged": bool(left)})
    out.line([("deleted ", "green"), (agent_id, "bold"), left])
    return ExitCode.OK


def _list(out: Output, found: list[Document]) -> int:
    out.document({"agents": found})
    for agent in found:
        version = f"  version {agent['version']}" if agent["version"] is not None else ""
        hidden = ", in the place of a packaged one" if agent["hides_packaged"] else ""
        out.line([(str(agent["agent_id"]), "bold"), version, (f"  {agent['source']}{hidden}", "dim")])
    if not found:
        out.note("no agents")
    return ExitCode.OK


def _show(out: Output, agent: Document) -> int:
    out.document(agent)
    version = f"  version {agent['version']}" if agent.get("version") is not None else ""
    said = f"  {agent['description']}" if agent.get("description") else ""
    out.line([(str(agent["agent_id"]), "bold"), said, (f"{version}  {agent['source']}", "dim")])
    out.line(["    models: ", (", ".join(map(str, agent.get("models") or ())), "cyan")])
    if agent.get("output_schema") is not None:
        out.line([("returns", "bold")])
        for line in msgspec.json.format(msgspec.json.encode(agent["output_schema"]), indent=2).decode().splitlines():
            out.line(line)
    return ExitCode.OK
