"""One synthesis of the shipped stack, and one with every choice made, for all tests of the infrastructure."""

from __future__ import annotations

import pytest
from tests.infra.deployed import Deployed, synthesize


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """With the default props."""
    return synthesize(tmp_path_factory.mktemp("shipped"))
