"""No module imports itself by way of others, within a package or across packages (what counts: `import_graph`)."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import pytest
from tests.architecture.sources import import_graph

P = "workflow_runtime"

# Imports (importer, imported) that close circles still to be opened. One that closes none any more fails the test.
EXCEPTIONS: tuple[tuple[str, str], ...] = (
    (f"{P}.engine.turn", f"{P}.engine.scope"),
    (f"{P}.engine.turn", f"{P}.engine.machine_scope"),
    (f"{P}.engine.scope", f"{P}.engine.machine_scope"),
    (f"{P}.engine.sight", f"{P}.engine.machine_scope"),
)


def circle(graph: dict[str, set[str]]) -> str | None:
    """One circle of the graph, written out."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " is imported by ".join(error.args[1])
    return None


def without_exceptions() -> dict[str, set[str]]:
    graph = {module: set(imported) for module, imported in import_graph().items()}
    for importer, imported in EXCEPTIONS:
        graph.get(importer, set()).discard(imported)
    return graph


def test_no_import_closes_a_circle() -> None:
    assert circle(without_exceptions()) is None


@pytest.mark.parametrize(("importer", "imported"), EXCEPTIONS)
def test_every_exception_is_still_needed(importer: str, imported: str) -> None:
    graph = without_exceptions()
    assert imported in import_graph().get(importer, set()), "this import is gone: take it off the list"
    graph[importer].add(imported)
    assert circle(graph), "closes no circle any more: take it off the list"


def test_a_circle_is_found() -> None:
    found = circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert found is not None
    assert set(found.split(" is imported by ")) == {"a", "b", "c"}
