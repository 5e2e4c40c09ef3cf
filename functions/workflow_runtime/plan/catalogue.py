"""The catalogue: which agents, tools and workflows there are and what they take and return, as plain data.

Made once by those that know them (a deployment's package, `awr dev`) and handed to the compiler as a value. So checking
and publishing a workflow needs neither authors' code nor model libraries. It can be stored as JSON.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, cast

import msgspec

from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import Budget, Limiter
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.plan.tokens import Characters

ANY = "any"
FILE_NAME = "catalogue.json"  # of a deployment's package, beside the definitions


class Effects(StrEnum):
    """What calling a tool does to the world."""

    NONE = "none"  # nothing: it only computes or reads
    IDEMPOTENT = "idempotent"  # the same for a second call with the same idempotency key
    ONCE = "once"  # something more with every call


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a tool. ``type`` is for people: ``string``, ``integer or null``, ``list of string``,
    ``"GET" or "POST"``. ``default`` is None also when there is none.
    """

    name: str
    type: str
    required: bool
    default: Json = None
    description: str = ""


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An agent, a tool or a workflow.

    - ``source``: where it comes from (``built-in``, a Python function, a file, ``mock``)
    - ``input_schema``, ``output_schema``: JSON Schemas; None: unknown, anything may be given or come back. An agent's
      output is held to its schema; a tool's output schema is what its return annotation promises
    - ``effects``: of a tool; None: they are not known; ``declares_effects``: its author says so
    - ``models``: of an agent, in the order in which they are asked; ``models_elsewhere``: those that are not where
      their provider's API usually is; ``output_tokens``: the most that one answer may have, 0 if it does not say;
      ``budget``: of one visit; ``has_session``: whether its visits go on with a session, unless a node says otherwise;
      ``workflows``: those that it, or an agent that it calls, has among its tools; ``call_terms``: of its calls that
      are nodes; ``limiters``: names of those that hold its requests, if there are such; ``named_limiters``: those
      that its own file names; ``instructions``: how long they are; ``offers``: the tools, agents and workflows that its
      requests tell of, by kind and id
    - ``calls``: of an agent: the agents that it calls, or is checked by
    - ``express``: of a workflow: it runs in one invocation
    """

    id: str
    description: str = ""
    source: str = ""
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    effects: Effects | None = None
    models: tuple[str, ...] = ()
    models_elsewhere: tuple[str, ...] = ()
    output_tokens: int = 0
    budget: Budget | None = None
    has_session: bool = False
    workflows: tuple[str, ...] = ()
    call_terms: tuple[CallTerms, ...] = ()
    limiters: tuple[str, ...] = ()
    named_limiters: tuple[str, ...] = ()
    instructions: Characters = Characters()
    offers: tuple[tuple[str, str], ...] = ()
    declares_effects: bool = False
    calls: tuple[str, ...] = ()
    express: bool = False

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The named arguments of ``input_schema``, required ones first, else in the order of the schema."""
        schema = self.input_schema or {}
        required = set(schema.get("required", ()))
        properties: dict[str, Json] = schema.get("properties", {})
        found = [_argument(name, property, name in required, schema) for name, property in properties.items()]
        return tuple(sorted(found, key=lambda argument: not argument.required))

    @property
    def takes_others(self) -> bool:
        """Whether arguments that `arguments` does not list may be given too."""
        return self.input_schema is None or self.input_schema.get("additionalProperties") is not False


class Catalogue(msgspec.Struct, frozen=True, omit_defaults=True):
    """All agents, all tools and all workflows, by id. ``workflows`` None: which there are is not known here; they may
    be looked up only when they are asked for. ``limiters``: the shared ones, by name; None: nobody knows them.
    ``mcp_servers``: those that agents may name; None: they are not known here.
    """

    agents: Mapping[str, CatalogueEntry] = {}
    tools: dict[str, CatalogueEntry] = {}
    workflows: Mapping[str, CatalogueEntry] | None = None
    limiters: dict[str, Limiter] | None = None
    mcp_servers: tuple[str, ...] | None = None

    def with_mocks(self, agents: Iterable[str], tools: Iterable[str], workflows: Iterable[str] = ()) -> Catalogue:
        """This catalogue and the ids that only a file of mocks knows."""
        mocked = msgspec.structs.replace(
            self, agents=_with_mocks(self.agents, agents), tools=_with_mocks(self.tools, tools)
        )
        if self.workflows is None:
            return mocked
        return mocked.with_workflows(_mocks_beside(self.workflows, workflows))

    def with_workflows(self, more: Mapping[str, CatalogueEntry]) -> Catalogue:
        """This catalogue with more workflows, which take the place of those of the same id."""
        if self.workflows is None:
            return msgspec.structs.replace(self, workflows=more)
        maps = (cast(dict[str, CatalogueEntry], more), cast(dict[str, CatalogueEntry], self.workflows))  # only read
        return msgspec.structs.replace(self, workflows=ChainMap(*maps))


def encode_catalogue(catalogue: Catalogue) -> bytes:
    """The catalogue as JSON, the same bytes for the same agents and tools."""
    return msgspec.json.format(msgspec.json.encode(catalogue), indent=1) + b"\n"


def decode_catalogue(data: bytes) -> Catalogue:
    """What `encode_catalogue` made. Raises `msgspec.DecodeError`."""
    return msgspec.json.decode(data, type=Catalogue)


def _with_mocks(entries: Mapping[str, CatalogueEntry], ids: Iterable[str]) -> dict[str, CatalogueEntry]:
    return {**entries, **_mocks_beside(entries, ids)}


def _mocks_beside(entries: Mapping[str, CatalogueEntry], ids: Iterable[str]) -> dict[str, CatalogueEntry]:
    return {id: CatalogueEntry(id=id, source="mock") for id in sorted(ids) if id not in entries}


def _argument(name: str, schema: Json, required: bool, root: dict[str, Any]) -> Argument:
    return Argument(
        name=name,
        type=type_text(schema, root),
        required=required,
        default=schema.get("default") if isinstance(schema, dict) else None,
        description=str(schema.get("description", "")) if isinstance(schema, dict) else "",
    )


def type_text(schema: Json, root: dict[str, Any]) -> str:
    """The type that a JSON Schema describes, in words. ``root`` holds its ``$defs``; what they describe is named, not
    followed, so a schema that refers to itself ends.
    """
    if not isinstance(schema, dict):
        return ANY
    if reference := schema.get("$ref"):
        name = str(reference).rpartition("/")[2]
        target = root.get("$defs", {}).get(name, {})
        return " or ".join(_literals(target)) or name
    if literals := _literals(schema):
        return " or ".join(literals)
    if alternatives := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(type_text(alternative, root) for alternative in alternatives))
    kind = schema.get("type", ANY)
    if isinstance(kind, list):
        return " or ".join(map(str, kind))
    if kind == "array" and isinstance(schema.get("items"), dict):
        return f"list of {type_text(schema['items'], root)}"
    return {"array": "list"}.get(kind, str(kind))


def _literals(schema: dict[str, Any]) -> list[str]:
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    return [msgspec.json.encode(value).decode() for value in values]
