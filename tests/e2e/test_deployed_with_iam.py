"""The same with TLS, and with every call checked against its caller's policies, those of the functions too."""

from __future__ import annotations

import httpx
import pytest
from tests.e2e.system import System, shipped_input


def test_the_api_refuses_who_does_not_sign(secure_system: System) -> None:
    assert secure_system.url.startswith("https://")
    assert httpx.get(f"{secure_system.url}/workflows").status_code == 403


@pytest.mark.parametrize("workflow_id", ["customer_support", "parallel_research"])
def test_the_roles_suffice_for_shipped_definitions(secure_system: System, workflow_id: str) -> None:
    assert workflow_id in secure_system.publish_shipped()
    document = secure_system.run(workflow_id, shipped_input(workflow_id))
    assert document["status"] == "completed", document["error"]
