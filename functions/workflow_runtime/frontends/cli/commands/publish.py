"""`awr publish`: check all workflows with the API's own compiler, then make them its latest versions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec

from workflow_runtime.definition.identities import same_ids
from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.api import Api, Document, api
from workflow_runtime.frontends.cli.compilation import show_warnings
from workflow_runtime.frontends.cli.errors import CliError, ExitCode
from workflow_runtime.frontends.cli.files import read_source, workflow_files
from workflow_runtime.frontends.cli.options import AsJson, Profile, Region, Token, Url, WorkflowPaths
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server
from workflow_runtime.frontends.client.sources import Source
from workflow_runtime.language.json_values import Json


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
    out, server = Output(json=json), Server(url, token, profile, region)
    sources = {path: Source(read_source(path), str(path)) for path in workflow_files(paths)}
    documents = asyncio.run(_publish(out, server, sources))
    out.document({"published": documents})
    return ExitCode.OK


async def _publish(out: Output, server: Server, sources: Mapping[Path, Source]) -> list[Document]:
    documents: list[Document] = []
    async with api(server) as connection:
        for workflow_id, source in (await _checked(connection, sources)).items():
            document = await connection.put(workflow_id, source)
            show_warnings(out, _findings(document.get("warnings"), source))
            out.line([("published ", "green"), (workflow_id, "bold"), f" version {document['version']}  {source.file}"])
            documents.append({"file": source.file, **document})
    return documents


async def _checked(connection: Api, sources: Mapping[Path, Source]) -> dict[str, Source]:
    """The definitions by the workflow each defines. Raises `CliError` with the findings of all that are not valid."""
    verdicts = {path: await connection.validate(source) for path, source in sources.items()}
    clashes = same_ids((source.data, source.file) for source in sources.values())
    clashing = {finding.file for finding in clashes}
    invalid = [path for path, verdict in verdicts.items() if not verdict.valid or sources[path].file in clashing]
    if invalid:
        findings = [finding for path in invalid for finding in _findings(verdicts[path].findings, sources[path])]
        message = f"nothing was published, because not all files are valid: {', '.join(map(str, invalid))}"
        raise CliError("invalid_definition", message, findings=[*findings, *clashes])
    return {verdict.workflow_id or "": sources[path] for path, verdict in verdicts.items()}


def _findings(value: Json, source: Source) -> list[Finding]:
    """The API's findings, with the file, which it has not seen."""
    found = msgspec.convert(value or [], list[Finding])
    return [msgspec.structs.replace(finding, file=source.file) for finding in found]
