"""Every benchmark still runs (small sizes; no time is asserted here)."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", BENCHMARKS / f"{name}.py")
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
