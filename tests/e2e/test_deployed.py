"""The synthesized template, deployed for real: workflows are published, run, disturbed and recover."""

from __future__ import annotations

import httpx
import pytest
from tests.e2e.system import System, shipped_input


def test_the_api_takes_only_signed_requests(system: System) -> None:
    assert httpx.get(f"{system.url}/workflows").status_code in (401, 403)


@pytest.mark.parametrize("workflow_id", ["customer_support", "parallel_research"])
def test_shipped_definitions_are_published_and_run(system: System, workflow_id: str) -> None:
    assert workflow_id in system.publish_shipped()
    document = system.run(workflow_id, shipped_input(workflow_id))
    assert document["status"] == "completed", document["error"]
