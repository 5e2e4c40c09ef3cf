"""What is tried by hand, exhaustively, takes longer than any test may otherwise."""

from __future__ import annotations

import pytest
from tests.simulation.delivery.faults import WANTED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if WANTED:
        for item in items:
            item.add_marker(pytest.mark.timeout(0))
