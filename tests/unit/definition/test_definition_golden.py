"""The texts of findings, kept as golden files; ``REWRITE_GOLDEN=1`` rewrites them."""

import os
from pathlib import Path

import pytest

from workflow_runtime.definition.loader import load

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("source", sorted(GOLDEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_findings_read_as_they_always_did(source: Path) -> None:
    found = load(source.read_bytes(), source.name).findings
    text = "".join(f"{finding}\n    at: {finding.path}\n" for finding in found)
    expected = source.with_suffix(".txt")
    if os.environ.get("REWRITE_GOLDEN") == "1":
        expected.write_text(text, "utf-8")
    assert text == expected.read_text("utf-8")
