"""The guide's example of a loop over a file does what the guide says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.test_guide_people import GUIDES, example

from workflow_runtime.testing import WorkflowTester

MOCKS = {"tools": {"save_order": {"return": ["${id}", "${total}"]}}}


@pytest.mark.parametrize("guide", GUIDES)
def test_orders_of_a_file_are_saved_one_by_one(guide: str, tmp_path: Path) -> None:
    file = tmp_path / "buckets" / "orders" / "2026-05.csv"
    file.parent.mkdir(parents=True)
    file.write_text("id,total\n甲,12.5\n乙,3\n", encoding="utf-8")
    with WorkflowTester.embedded(tmp_path) as tester:
        result = tester.run(example(guide, "import_orders"), {"month": "2026-05"}, mocks=MOCKS)
        assert result.output == [["甲", 12.5], ["乙", 3]]
        missing = tester.run(example(guide, "import_orders"), {"month": "2026-06"}, mocks=MOCKS)
        assert missing.error["type"] == "not_found"
