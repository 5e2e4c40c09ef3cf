"""The guide's example of effects that are committed does what the guide says."""

from __future__ import annotations

import pytest
from tests.integration.test_guide_people import GUIDES, example

from workflow_runtime.testing import WorkflowTester


@pytest.mark.parametrize("guide", GUIDES)
@pytest.mark.parametrize("make", [WorkflowTester.embedded, WorkflowTester.simulated_aws], ids=["embedded", "aws"])
def test_an_order_is_taken_once_and_its_packing_asked_for(guide: str, make: type[WorkflowTester]) -> None:
    with make() as tester:
        taken = tester.run(example(guide, "take_order"), {"id": "A7", "total": 5.5})
        assert taken.status == "completed"
        assert tester.items("orders") == [{"id": "A7", "total": 5.5}]
        [message] = tester.messages("packing.fifo")
        assert (message["id"], message["body"], message["group"]) == (taken.output["message"], '{"order":"A7"}', "A7")
        again = tester.run(example(guide, "take_order"), {"id": "A7", "total": 6})
        assert again.error["type"] == "condition_failed"
        assert tester.items("orders") == [{"id": "A7", "total": 5.5}]
        assert len(tester.messages("packing.fifo")) == 1


def test_events_of_tools_reach_buses_and_name_themselves() -> None:
    definition = """
workflow:
  id: tell
  nodes:
    - {id: own, type: tool, tool: publish_event, inputs: {topic: order.taken, payload: {id: 7}}}
    - {id: other, type: tool, tool: publish_event, inputs: {topic: order.taken, payload: {id: 7}, bus: shop}}
"""
    with WorkflowTester.embedded() as tester:
        result = tester.run(definition)
        assert result.status == "completed"
        [own] = [event for event in tester.events if event["detail-type"] == "order.taken"]
        [other] = tester.events_on("shop")
        for node, detail in (("own", own["detail"]), ("other", other["detail"])):
            assert detail["workflow_runtime"]["id"] == result.nodes[node]["output"]["id"]
