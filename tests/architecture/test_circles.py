"""No module imports itself by way of others, within a package or across packages (what counts: `import_graph`)."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from tests.architecture.sources import import_graph


def circle(graph: dict[str, set[str]]) -> str | None:
    """One circle of the graph, written out."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " is imported by ".join(error.args[1])
    return None


def test_no_import_closes_a_circle() -> None:
    assert circle({module: set(imported) for module, imported in import_graph().items()}) is None


def test_a_circle_is_found() -> None:
    found = circle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    assert found is not None
    assert set(found.split(" is imported by ")) == {"a", "b", "c"}
