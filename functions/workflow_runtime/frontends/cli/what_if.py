"""An execution taken again with changes: what is done, and what came out differently, as one document."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.invokers.cassettes.file import Cassette
from workflow_runtime.invokers.cassettes.player import Player
from workflow_runtime.invokers.cassettes.steps import Change
from workflow_runtime.invokers.cassettes.trajectory import calls_in, calls_of, requests_kept
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import local_reach
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.catalogue import CatalogueEntry, Effects
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.replays import Replay


class WhatIf(msgspec.Struct, frozen=True):
    """What is taken again, and how: ``changes`` of agents by their ids, tools that are really ``called`` where the
    cassette lacks a call, ``mocks`` that answer there."""

    cassette: Cassette
    changes: Mapping[str, Change]
    called: Sequence[str]
    mocks: Mocks | None

    def mocked(self, kind: NodeType) -> frozenset[str]:
        return self.mocks.ids(kind) if self.mocks is not None else frozenset()


def taken_again(asked: WhatIf, definitions: Path | None, input: Json, allow_http: Sequence[str]) -> dict[str, Any]:
    """What was recorded, what comes out now, and where it goes another way. Raises `CliError`, `DefinitionError`,
    `RequestError`."""
    allowed = {*asked.called, *asked.mocked(NodeType.TOOL)}

    def may_call(tool: str) -> bool:
        return tool in allowed or (tool in known and known[tool].effects is Effects.NONE)

    mocked = asked.mocked(NodeType.AGENT)
    player = Player(asked.cassette, goes_on=True, may_call=may_call, changes=asked.changes, mocked=mocked)
    reach = local_reach(os.environ, allow_http)
    with Replay(player, definitions, environ=os.environ, reach=reach, mocks=asked.mocks) as replay:
        catalogue = replay.runtime.services.catalog.catalogue
        known: Mapping[str, CatalogueEntry] = catalogue.tools if catalogue is not None else {}
        for tool in asked.called:
            if tool not in known:
                message = f"--call {tool}: there is no such tool in the definitions here"
                raise CliError("not_found", message, did_you_mean(tool, known) or "awr tools lists them")
        document = asyncio.run(replay.take(input))
    return _report(asked.cassette, player, document, replay.untaken)


def _report(cassette: Cassette, player: Player, document: dict[str, Any], untaken: list[str]) -> dict[str, Any]:
    played = player.tape.played
    return {
        "execution_id": cassette.execution_id,
        "workflow_id": cassette.workflow_id,
        "recorded": {
            "status": cassette.status,
            "output": cassette.output,
            "error": cassette.error,
            "usage": cassette.usage,
            "calls": _by_node((visit.path, calls_in(visit.steps)) for visit in cassette.visits),
        },
        "now": {
            **{name: document[name] for name in ("status", "output", "error")},
            "usage": document.get("usage"),
            "calls": _by_node((visit.path, calls_of(visit)) for visit in played),
        },
        "departures": [
            {"node": visit.path, "requests_recorded": requests_kept(visit), "why": visit.departed}
            for visit in played
            if visit.departed is not None
        ],
        "untaken": untaken,
    }


def _by_node(found: Iterable[tuple[str, list[str]]]) -> dict[str, list[str]]:
    calls: dict[str, list[str]] = {}
    for path, made in found:
        if made:
            calls.setdefault(path, []).extend(made)
    return calls
