"""Stage *names*: every name in a formula gets the source of its value, in the language's order of look-up (§3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec

from workflow_runtime.compiler import rules
from workflow_runtime.compiler.before import Before
from workflow_runtime.compiler.mentions import node_read
from workflow_runtime.compiler.report import Report
from workflow_runtime.compiler.sites import DocumentPath, ReadSite, Site, SiteKind, Use
from workflow_runtime.compiler.support import has_own_names
from workflow_runtime.definition import Gaps
from workflow_runtime.definition.model import WorkflowDefinition
from workflow_runtime.findings import Rule
from workflow_runtime.plan import Binding, BindingKind, Formula

Json: TypeAlias = Any

GLOBALS = {
    "execution": BindingKind.EXECUTION,
    "workflow": BindingKind.WORKFLOW,
    "now": BindingKind.TIME,
    "current_time": BindingKind.TIME,
    "variables": BindingKind.VARIABLES,
    "env": BindingKind.ENV,
}

PREVIOUS_NAMES = ("previous", "current")
"""Outside loops `current` is `previous` (language §3)."""

FIELDS = {
    "execution": ("id", "input", "started_at", "attempt"),
    "workflow": ("id", "name", "version"),
    "nodes": ("status", "error", "output"),
}
"""What the documents of these names hold."""

ELSEWHERE = {
    "event": "`event` exists in state machines only",
    "index": "`index` exists in the body of a loop only",
    "item": "`item` exists in a loop, in `filter` and `map`, and in the `score` of an aggregation only",
    "iterations": "`iterations` exists in the `while` and `until` of a loop only",
    "previous_iteration": "`previous_iteration` exists in the `while` and `until` of a loop only",
    "task_token": "`task_token` exists in nodes with a callback only",
    "output": "`output` exists in the `outputs` of a node only; write `${<node id>}` for the output of another one",
    "inputs": "`inputs` exists in the `outputs` of a node only; write `${input}` for the input of the workflow",
    "error": "`error` exists in fallbacks and compensations only; write `${nodes.<id>.error}` for a node's error",
}


class Read(msgspec.Struct, frozen=True):
    """One name that found its source."""

    binding: Binding
    keys: tuple[str, ...]
    use: Use


class Bound(msgspec.Struct, frozen=True):
    """A site whose names are resolved."""

    site: Site
    formula: Formula
    reads: tuple[Read, ...]


class Names:
    """What a workflow declares. ``before``: what `previous` may mean; None when the graph is not known."""

    def __init__(
        self,
        definition: WorkflowDefinition,
        gaps: Gaps,
        index: dict[str, int],
        before: Before | None,
        report: Report,
    ) -> None:
        self._gaps = gaps
        self._has_own_names = has_own_names(definition, gaps)
        self._index = index
        self._variables = {name: position for position, name in enumerate(definition.variables)}
        self._declared, self._is_open = declared_keys(definition.input_schema)
        self._before = before
        self._report = report

    def bind(self, read: ReadSite) -> Bound:
        """The formula of a site. Names without a source are reported and left unbound."""
        reads = []
        for use in read.uses:
            binding = self._resolve(use, read.site)
            if binding is not None:
                reads.append(Read(binding, use.keys, use))
        bindings = tuple(dict.fromkeys(read.binding for read in reads))
        return Bound(read.site, Formula(read.site.value, bindings, read.site.is_expression), tuple(reads))

    def _resolve(self, use: Use, site: Site) -> Binding | None:
        name = use.name
        if name in site.locals:
            return Binding(name, BindingKind.LOCAL)
        if name in GLOBALS:
            return self._global(use, site)
        if name in PREVIOUS_NAMES:
            return self._previous(use, site)
        if name == "secrets":
            return self._secrets(use, site)
        if name == "nodes":
            return self._nodes(use, site)
        if name in ELSEWHERE:
            if self._has_own_names:
                return None
            return self._refuse(rules.NOT_HERE, ELSEWHERE[name], use)
        if name in self._index:
            if site.kind is SiteKind.VARIABLE:
                return self._refuse(rules.NODE_IN_VARIABLE, f"`{name}` is a node", use)
            return Binding(name, BindingKind.NODE, self._index[name])
        if name in self._variables:
            return Binding(name, BindingKind.VARIABLE) if self._is_set(name, use, site) else None
        return self._input(use)

    def _global(self, use: Use, site: Site) -> Binding | None:
        name = use.name
        if name == "variables" and use.keys:
            key = use.keys[0]
            if key not in self._variables:
                if self._gaps.hide_variables:
                    return None
                hint = self._report.suggest(key, self._variables)
                return self._refuse(rules.UNKNOWN_VARIABLE, f"there is no variable `{key}`", use, hint)
            if not self._is_set(key, use, site):
                return None
        self._check_field(name, use, use.keys)
        return Binding(name, GLOBALS[name])

    def _is_set(self, name: str, use: Use, site: Site) -> bool:
        """Whether the variable has its value by then; reported if not."""
        if site.kind is not SiteKind.VARIABLE or self._variables[name] < self._variables[str(site.path[1])]:
            return True
        message = "a variable cannot read itself" if name == site.path[1] else f"`{name}` is set later"
        self._refuse(rules.VARIABLE_ORDER, message, use)
        return False

    def _previous(self, use: Use, site: Site) -> Binding | None:
        if site.kind in (SiteKind.VARIABLE, SiteKind.OUTPUTS):
            return self._refuse(rules.NOT_HERE, f"`{use.name}` exists in nodes only: nothing precedes this place", use)
        if self._before is None:
            return None
        if site.kind is SiteKind.EDGE:
            return self._previous_of_edge(use, site)
        if not self._before.above(site.node):
            self._tell(rules.NO_PREVIOUS, f"`{use.name}` is always null here: the node has no predecessor", use)
        return Binding(use.name, BindingKind.PREVIOUS)

    def _previous_of_edge(self, use: Use, site: Site) -> Binding | None:
        """On an edge it is the node that the edge leaves, or the one before that when it is a control node."""
        assert self._before is not None  # checked by the only caller
        candidates = self._before.at(site.source)
        if len(candidates) == 1:
            return Binding(use.name, BindingKind.NODE, candidates[0])
        count = "no node" if not candidates else f"{len(candidates)} nodes"
        return self._refuse(rules.UNCLEAR_PREVIOUS, f"`{use.name}` may mean {count} here", use)

    def _secrets(self, use: Use, site: Site) -> Binding | None:
        if site.secrets:
            return Binding("secrets", BindingKind.SECRETS)
        return self._refuse(rules.SECRETS, "secrets cannot be read here", use)

    def _nodes(self, use: Use, site: Site) -> Binding | None:
        if site.kind is SiteKind.VARIABLE:
            return self._refuse(rules.NODE_IN_VARIABLE, "`nodes` reads nodes", use)
        if not use.keys:
            return self._refuse(rules.DYNAMIC_NODES, "which node is read must be known beforehand", use)
        node = node_read(use, self._index)
        if node is None and self._gaps.hide_ids:
            return None
        if node is None:
            hint = self._report.suggest(use.keys[0], self._index)
            return self._refuse(rules.UNKNOWN_NODE_READ, f"there is no node `{use.keys[0]}`", use, hint)
        self._check_field("nodes", use, use.keys[1:])
        return Binding("nodes", BindingKind.NODES, node)

    def _input(self, use: Use) -> Binding | None:
        name = use.name
        declared = name in self._declared
        if not declared and not self._gaps.hide_names and name not in ("input", "trigger"):
            part = next((part for part in _parts(name) if self._knows(part)), None)
            hint = (
                None
                if part is None
                else f"Names may contain hyphens: write `{part} - {name[len(part) + 1 :]}` for a minus."
            )
            if not self._is_open:
                known = (*sorted(self._declared), *self._variables, *self._index, "input", "trigger")
                return self._refuse(
                    rules.UNDECLARED, f"nothing declares `{name}`", use, hint or self._report.suggest(name, known)
                )
            if part is not None:
                self._tell(rules.MINUS, f"`{name}` is one name, and nothing declares it", use, hint)
            elif use.bare:
                self._tell(rules.BARE_NAME, f"nothing declares `{name}`: it is read from the input", use)
        is_whole = name == "input" and not declared
        return Binding(name, BindingKind.INPUT if is_whole else BindingKind.INPUT_KEY)

    def _knows(self, name: str) -> bool:
        return name in self._index or name in self._variables or name in self._declared

    def _check_field(self, document: str, use: Use, keys: tuple[str, ...]) -> None:
        fields = FIELDS.get(document)
        if fields is None or not keys or keys[0] in fields:
            return
        shown = document if document != "nodes" else f"nodes.{use.keys[0]}"
        hint = f"It has: {', '.join(fields)}."
        if document == "nodes":
            hint = f"Write `{shown}.output.{keys[0]}` for a field of its output. {hint}"
        self._tell(rules.LEADS_NOWHERE, f"`{shown}` has no `{keys[0]}`", use, hint)

    def _refuse(self, rule: Rule, message: str, use: Use, hint: str | None = None) -> Binding | None:
        self._tell(rule, message, use, hint)
        return None

    def _tell(self, rule: Rule, message: str, use: Use, hint: str | None = None) -> None:
        self._report.add(rule, message, use.path, hint, within=use.text, offset=use.offset)


def declared_keys(schema: Json) -> tuple[frozenset[str], bool]:
    """Top-level keys that an input schema declares, and whether it leaves room for others that nobody can know.

    Without properties a schema declares nothing, so nothing can be undeclared; patterns and references beyond the
    document leave room too. That a schema merely tolerates additional properties does not declare them.
    """
    names: set[str] = set()
    is_open = False
    for part in _parts_of_schema(schema, schema, set()):
        names.update(part.get("properties", ()))
        names.update(name for name in part.get("required", ()) if isinstance(name, str))
        reference = part.get("$ref")
        far = reference is not None and not str(reference).startswith("#/")
        is_open = is_open or far or "patternProperties" in part or "$dynamicRef" in part
    return frozenset(names), is_open or not names


def _parts_of_schema(schema: Json, root: Json, seen: set[int]) -> Iterator[dict[str, Json]]:
    """The schemas that apply to the same value as ``schema``."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    seen.add(id(schema))
    yield schema
    for keyword in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(keyword, ()):
            yield from _parts_of_schema(part, root, seen)
    for keyword in ("if", "then", "else"):
        yield from _parts_of_schema(schema.get(keyword), root, seen)
    for part in schema.get("dependentSchemas", {}).values():
        yield from _parts_of_schema(part, root, seen)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target = root
        for key in reference[2:].split("/"):
            target = target.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
        yield from _parts_of_schema(target, root, seen)


def _parts(name: str) -> Iterator[str]:
    """What stands before each hyphen of a name, the longest first."""
    position = name.rfind("-")
    while position > 0:
        yield name[:position]
        position = name.rfind("-", 0, position)


def formulas_by_place(bound: list[Bound]) -> dict[DocumentPath, Formula]:
    return {item.site.path: item.formula for item in bound}
