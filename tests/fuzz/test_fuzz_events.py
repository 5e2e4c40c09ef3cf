"""Events as EventBridge delivers them, and as random edits leave those, to charts that wait for them: none makes the
handler raise or stays in its queue, and what is meant for an order reaches it as if nothing else had come.
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from tests.fuzz.campaign import SECONDS, campaign
from tests.fuzz.edits import LEAVES, somewhere
from tests.handlers.bench import START, Bench

from workflow_runtime.deployment.topology import EVENTS
from workflow_runtime.ports import Message

SECONDS_MAX = 5.0  # of CPU: a dozen events, each of which may start an execution
EDITS_MAX = 3
CHART = b"""
workflow:
  id: order
  type: state_machine
  initial_state: open
  triggers:
    - {type: event, topic: paid, event: pay, correlate: "${detail.no}", with: "${no}"}
    - {type: event, topic: noted, event: note, correlate: "${detail.no}", with: "${no}", start_if_none: true,
       input: {no: "${detail.no}"}}
    - {type: event, topic: "S3 Object Created", source: aws.s3, key: "${detail.object.key}",
       input: {no: "${detail.object.key}"}}
  states:
    - {name: open, transitions: [{event: pay, target: paid}, {event: note}]}
    - {name: paid, type: final}
"""


def envelope(detail_type: str, detail: Any, **fields: Any) -> dict[str, Any]:
    """An event as a rule hands it to a queue."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": detail_type,
        "source": "shop",
        "account": "111122223333",
        "time": "2026-01-01T00:00:00Z",
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
        **fields,
    }


OBJECT = {
    "version": "0",
    "bucket": {"name": "orders"},
    "object": {"key": "in/甲.json", "size": 5, "etag": "b1946ac9", "sequencer": "00617F08299329D189"},
    "request-id": "N4N7GDK58NMKJ12R",
    "requester": "123456789012",
    "reason": "PutObject",
}
ENVELOPES = [
    envelope("paid", {"no": "甲"}),
    envelope("paid", {"no": "乙", "more": {"a": [1, None, "x"]}}, **{"replay-name": "again"}),
    envelope("noted", {"no": "丙"}),
    envelope("noted", {"no": 7}),
    envelope("S3 Object Created", OBJECT, source="aws.s3", resources=["arn:aws:s3:::orders"]),
    envelope("Scheduled Event", {}, source="aws.events", resources=["arn:aws:events:eu-central-1:1:rule/r"]),
    envelope("EC2 Instance State-change Notification", {"instance-id": "i-1", "state": "stopped"}, source="aws.ec2"),
    envelope("AWS API Call via CloudTrail", {"eventVersion": "1.08", "userIdentity": None}, source="aws.s3"),
    envelope("pay", {"execution_id": "ex-nobody", "data": {}}),
    envelope(
        "execution.completed", {"workflow_runtime": {"execution_id": "ex-1", "hops": 3}}, source="workflow-runtime"
    ),
]
TIMES = ("", "yesterday", "2026-01-01", "9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z", 5)


def edited(random: Random, number: int) -> str:
    event: dict[str, Any] = json.loads(json.dumps(random.choice(ENVELOPES)))
    event["id"] = f"event-{number}"
    for _ in range(random.choice((0, 0, 1, 2, EDITS_MAX))):
        found = somewhere(random, event)
        if found is None:
            break
        holder, key = found
        if random.random() < 0.3:
            del holder[key]
        else:
            holder[key] = random.choice(TIMES) if key == "time" else copy.deepcopy(random.choice(LEAVES))
    return json.dumps(event, ensure_ascii=False).encode(errors="replace").decode()


def take(random: Random) -> str:
    bench = Bench("embedded")
    try:
        bench.runtime.catalog.publish(CHART)
        order = bench.runtime.starter.start("order", {"no": f"own{START}"})
        bench.settle()
        for number in range(random.choice((1, 3, 12))):
            bench.backend.ports.queues.send(EVENTS, [Message(edited(random, number))])
        bench.backend.ports.queues.send(
            EVENTS, [Message(json.dumps(envelope("paid", {"no": f"own{START}"}, id="own")))]
        )
        bench.drain()
        document = bench.document(order)
        assert (document["status"], document["current_states"]) == ("completed", ["paid"]), document
        letters = len(bench.backend.ports.table.query("DEAD"))
        return "some are dead letters" if letters else "none is a dead letter"
    finally:
        bench.close()


@pytest.mark.timeout(SECONDS + 120)
def test_no_event_makes_the_handler_raise_or_keeps_others_from_their_executions() -> None:
    counts = campaign(take, SECONDS_MAX)
    print(dict(counts))
    assert counts
