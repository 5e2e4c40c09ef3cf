"""The scale table of the deployment guide is what the arithmetic says today, and the arithmetic holds for shards."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from workflow_runtime.storage import due, listing

HERE = Path(__file__).parent
GUIDE = HERE.parents[1] / "infra" / "README.md"
BEGIN, END = "<!-- quotas:begin -->\n", "<!-- quotas:end -->"


def quotas() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quotas", HERE / "quotas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_guide_has_the_table_for_a_thousand_starts_a_second() -> None:
    text = GUIDE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert text.rstrip("\n") == quotas().table(1_000, 4)


def test_the_arithmetic_counts_the_partitions_there_are() -> None:
    assert quotas().LISTING_SHARDS == quotas().ALL_SHARDS == listing.SHARDS
    assert quotas().DUE_SHARDS == due.SHARDS


def test_a_new_tables_write_units_bind_first() -> None:
    binding = max(quotas().demands(1_000, 4), key=lambda demand: demand.share)
    assert "write units a second, new" in binding.what


def test_no_partition_holds_up_a_thousand_starts_a_second() -> None:
    for seed in range(3):
        left = quotas().simulated(1_000, 4, seconds=60, seed=seed)
        assert max(left.values()) < 100, f"seed {seed}: {left}"


def test_a_list_of_one_partition_would_hold_them_up() -> None:
    left = quotas().simulated(1_000, 4, seconds=60, shards=1)
    assert left["the workflow's list"] > 100_000


def test_pollers_that_have_just_begun_catch_up_within_a_minute() -> None:
    waiting = [quotas().simulated(1_000, 4, seconds=seconds)["orders of the pool"] for seconds in (1, 60)]
    assert waiting[0] > 0
    assert waiting[1] == 0
