"""The same with TLS, and with every call checked against its caller's policies, those of the functions too."""

from __future__ import annotations

import httpx
import pytest
from tests.e2e import scenarios
from tests.e2e.system import System, shipped_input

from workflow_runtime.frontends.client.signing import SigV4


def test_the_api_refuses_who_does_not_sign(secure_system: System) -> None:
    assert secure_system.url.startswith("https://")
    assert httpx.get(f"{secure_system.url}/workflows", timeout=60).status_code == 403


@pytest.mark.parametrize("workflow_id", ["customer_support", "parallel_research"])
def test_the_roles_suffice_for_shipped_definitions(secure_system: System, workflow_id: str) -> None:
    assert workflow_id in secure_system.publish_shipped()
    document = secure_system.run(workflow_id, shipped_input(workflow_id))
    assert document["status"] == "completed", document["error"]


def test_the_roles_suffice_for_events_webhooks_and_schedules(secure_system: System) -> None:
    received = secure_system.subscribe({"detail-type": ["execution.completed", "order.taken"]})
    scenarios.start_by_events(secure_system)
    scenarios.start_by_webhook(secure_system)
    scenarios.publish_events(secure_system, received)
    scenarios.lead_an_order_through_its_states(secure_system)
    scenarios.respond_to_an_incident(secure_system)


def test_a_role_that_lacks_a_right_is_noticed(secure_system: System) -> None:
    """The emulator does check: without its policy, a function can do nothing."""
    iam = secure_system.emulator.client("iam")
    role = secure_system.one("FunctionsApiRole")
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    iam.delete_role_policy(RoleName=role, PolicyName=policy)
    answer = httpx.get(f"{secure_system.url}/workflows", auth=SigV4(), timeout=60)
    assert answer.status_code >= 500
