"""What `awr whatif --set` changes: fields of agents, and of the input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from workflow_runtime.findings import Finding
from workflow_runtime.frontends.cli.errors import CliError, usage_error
from workflow_runtime.invokers.agents import AgentDefinition, AgentRegistry
from workflow_runtime.invokers.cassettes.steps import Change
from workflow_runtime.invokers.entries import parse_entry
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.language.yaml.small_files import Document

AGENTS, INPUT = "agents", "input"
MODEL_FIELDS = ("model", "models")  # two names of one field
EXAMPLE = "--set agents.reply.instructions=@new.md, --set agents.reply.settings.temperature=0.2, --set input.amount=250"


def changed_input(input: Json, texts: Sequence[str]) -> Json:
    """The input with the fields that ``texts`` set. Raises `CliError`."""
    changed = msgspec.json.decode(msgspec.json.encode(input))
    for text in texts:
        place, value = _parts(text)
        if place[0] == INPUT:
            changed = value if len(place) == 1 else _with(changed, place[1:], value, text)
    return changed


def changed_agents(registry: AgentRegistry, texts: Sequence[str], model: str | None) -> dict[str, Change]:
    """The agents that are to be others, by id. ``model``: of all of them. Raises `CliError`, `DefinitionError`."""
    fields = {id: _dumped(agent) for id in sorted(registry.ids) if (agent := registry.get(id)) is not None}
    after = {id: msgspec.json.decode(msgspec.json.encode(definition)) for id, definition in fields.items()}
    for id in fields if model is not None else ():
        after[id] = _with(after[id], ["model"], model, f"--model {model}")
    for text in texts:
        place, value = _parts(text)
        if place[0] == AGENTS:
            id, field = _agent(fields, place[1:], text)
            after[id] = _with(after[id], field, value, text)
    checked = {id: _checked(id, definition) for id, definition in after.items() if definition != fields[id]}
    return {id: Change(fields[id], definition) for id, definition in checked.items() if definition != fields[id]}


def _parts(text: str) -> tuple[list[str], Json]:
    name, given, value = text.partition("=")
    place = name.strip().split(".")
    if not given or place[0] not in (AGENTS, INPUT) or not all(place) or (place[0] == AGENTS and len(place) < 3):
        raise usage_error(f"--set {text!r} sets nothing: it takes agents.ID.FIELD=VALUE, or input.FIELD=VALUE", EXAMPLE)
    return place, _value(value, text)


def _value(value: str, text: str) -> Json:
    """``@FILE``: its text, or what is in it, if it is called ``….json``; else JSON, or a text as it is."""
    if value.startswith("@"):
        file = Path(value[1:])
        try:
            content = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
            raise CliError("invalid_input", f"--set {text}: {file} cannot be read: {reason}") from None
        if file.suffix != ".json":
            return content
        value = content
    try:
        found: Json = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    return found


def _agent(fields: dict[str, Any], place: list[str], text: str) -> tuple[str, list[str]]:
    """The agent's id, which may have full stops, and the way to the field."""
    for length in range(len(place) - 1, 0, -1):
        id = ".".join(place[:length])
        if id in fields:
            return id, place[length:]
    message = f"--set {text}: there is no agent {place[0]!r} in the definitions here"
    raise CliError("not_found", message, did_you_mean(place[0], fields) or "awr agents lists them")


def _with(value: Any, place: list[str], new: Json, text: str) -> Any:
    if not place:
        return new
    if not isinstance(value, dict) and value is not None:
        raise usage_error(f"--set {text}: there is no field {place[0]!r} in {msgspec.json.encode(value).decode()}")
    rest = dict(value or {})
    if place[0] in MODEL_FIELDS:
        rest = {name: item for name, item in rest.items() if name not in MODEL_FIELDS}
    return {**rest, place[0]: _with(rest.get(place[0]), place[1:], new, text)}


def _checked(id: str, definition: dict[str, Any]) -> dict[str, Any]:
    findings: list[Finding] = []
    agent = parse_entry(Document(None), (), definition, AgentDefinition, findings)
    if agent is None:
        problems = "; ".join(finding.message for finding in findings)
        hint = next((finding.hint for finding in findings if finding.hint), "")
        raise CliError("invalid_definition", f"agent {id!r}, changed: {problems}", hint)
    return _dumped(agent)


def _dumped(agent: AgentDefinition) -> dict[str, Any]:
    return agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
