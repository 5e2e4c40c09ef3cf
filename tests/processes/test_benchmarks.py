"""Every benchmark still runs (small sizes; no time is asserted here)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LOAD = BENCHMARKS.parent / "load"


def script(name: str, folder: Path = BENCHMARKS) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", script("run").names())
def test_a_benchmark_runs_and_prints_one_json_document(name: str) -> None:
    assert script("run").run(name, smoke=True)


def test_the_tables_of_the_readmes_have_the_rows_that_are_measured() -> None:
    """Then one command writes them anew, in both languages."""
    table = script("table")
    readme, translation = (table.block_of(path.read_text("utf-8")) for path in (table.README, table.TRANSLATION))
    for shape in script("bench_aws_calls").BUDGETS:
        assert f"| {shape} |" in readme
    assert table.with_figures(translation, readme) == translation, "the same lines with the same figures"


def test_the_arithmetic_of_quotas_counts_what_the_benchmark_allows() -> None:
    counted, budgets = script("quotas", LOAD), script("bench_aws_calls").BUDGETS
    nodes = counted.SEGMENT_NODES_MAX
    assert (counted.SEGMENT_WRITES + nodes * counted.NODE_WRITES) / nodes == budgets["chain"]["write_units"]
    assert budgets["across pools"]["write_units"] == counted.SEGMENT_WRITES + counted.NODE_WRITES
