"""Both backends for every handler test; simulated AWS is slow to start, so a module shares one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.handlers.bench import Bench


@pytest.fixture(scope="module", params=["embedded", "moto"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    opened = Bench(request.param)
    yield opened
    opened.close()
