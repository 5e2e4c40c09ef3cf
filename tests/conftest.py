"""What holds for all tests: which stay together when they are spread over processes, and how long one may take."""

from __future__ import annotations

from pathlib import Path

import pytest

TOGETHER = ("e2e", "infra")  # each stands on one deployment or synthesis, which takes longer than most of its tests
DEPLOYED_SECONDS_MAX = 600  # the emulator's start, a deployment, a dead worker's lease


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        tier = item.path.relative_to(Path(__file__).parent).parts[0]
        if tier in TOGETHER:
            item.add_marker(pytest.mark.xdist_group(tier))
        if tier == "e2e":
            item.add_marker(pytest.mark.timeout(DEPLOYED_SECONDS_MAX))
