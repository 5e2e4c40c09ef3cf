"""Stage *decisions*: the paths of outputs, input and variables that the dispatcher's decisions read.

Workers attach these values to their results, so that deciding needs no other read. What workers evaluate contributes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from workflow_runtime.compiler.collect.formulas import SiteKind
from workflow_runtime.compiler.names.bindings import Bound, Read
from workflow_runtime.plan.formulas import BindingKind

Path: TypeAlias = tuple[str, ...]
WHOLE: Path = ()

UNDECIDED = (SiteKind.VARIABLE, SiteKind.EVENT, SiteKind.START)
"""Sites that are evaluated before there is anything to decide."""


class Decisions(msgspec.Struct, frozen=True):
    """Paths by node's number, and of the input and the variables; none with a shorter one beside it, sorted."""

    nodes: dict[int, tuple[Path, ...]]
    inputs: tuple[Path, ...]
    variables: tuple[Path, ...]


class _Paths:
    def __init__(self) -> None:
        self.nodes: dict[int, set[Path]] = {}
        self.inputs: set[Path] = set()
        self.variables: set[Path] = set()

    def add_output(self, node: int, keys: Path) -> None:
        """With and without a leading `output`, which is a field only of outputs that really have it."""
        paths = self.nodes.setdefault(node, set())
        paths.add(keys)
        if keys[:1] == ("output",):
            paths.add(keys[1:])

    def add(self, read: Read, before: Iterable[int]) -> None:
        """``before``: numbers of the nodes that `previous` may mean."""
        keys = read.keys
        match read.binding.kind:
            case BindingKind.NODE:
                self.add_output(read.binding.node, keys)
            case BindingKind.PREVIOUS:
                for node in before:
                    self.add_output(node, keys)
            case BindingKind.NODES if len(keys) == 1:
                self.nodes.setdefault(read.binding.node, set()).add(WHOLE)
            case BindingKind.NODES if keys[1] == "output":
                self.nodes.setdefault(read.binding.node, set()).add(keys[2:])
            case BindingKind.VARIABLE:
                self.variables.add((read.binding.name, *keys))
            case BindingKind.VARIABLES:
                self.variables.add(keys)
            case BindingKind.SCOPED:
                self.variables.add((read.binding.name, *keys))
                self.inputs.add((read.binding.name, *keys))
            case BindingKind.INPUT_KEY:
                self.inputs.add((read.binding.name, *keys))
            case BindingKind.INPUT:
                self.inputs |= {("input", *keys), keys}
            case BindingKind.EXECUTION if keys[:1] in ((), ("input",)):
                self.inputs.add(keys[1:])
            case _:
                pass


class GraphReads(msgspec.Struct, frozen=True):
    """What is read in a graph.

    - ``before``: numbers of the nodes that `previous` may mean at one
    - ``first``: the number of its first node
    - ``wholes``: nodes whose whole output is read without being named (operands of aggregations, sinks)
    """

    bound: list[Bound]
    before: Callable[[int], Iterable[int]]
    first: int
    wholes: list[int]


def decided_paths(graphs: Iterable[GraphReads], others: Iterable[Bound], *, copies_globals: bool) -> Decisions:
    """``others``: what is read in charts and triggers. ``copies_globals``: a chart at the top takes all of the input
    and the variables into its own.
    """
    paths = _Paths()
    for graph in graphs:
        for item in graph.bound:
            site = item.site
            if site.in_worker or site.kind in UNDECIDED:
                continue
            for read in item.reads:
                paths.add(read, graph.before(site.node) if read.binding.kind is BindingKind.PREVIOUS else ())
        for node in graph.wholes:
            paths.nodes.setdefault(graph.first + node, set()).add(WHOLE)
    for item in others:
        for read in item.reads if item.site.kind not in UNDECIDED else ():
            paths.add(read, ())
    if copies_globals:
        paths.inputs.add(WHOLE)
        paths.variables.add(WHOLE)
    nodes = {node: shortest(found) for node, found in paths.nodes.items()}
    return Decisions(nodes, shortest(paths.inputs), shortest(paths.variables))


def shortest(paths: set[Path]) -> tuple[Path, ...]:
    """Sorted, without paths below another one: a prefix sorts before what it covers."""
    if len(paths) == 1:
        return tuple(paths)
    kept: list[Path] = []
    for path in sorted(paths):
        if not kept or path[: len(kept[-1])] != kept[-1]:
            kept.append(path)
    return tuple(kept)
