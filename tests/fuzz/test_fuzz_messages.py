"""Messages as random edits of real ones leave them, in any queue: no handler raises for one, none stays for ever, and
executions that they are not for come to their ends as if nothing had been sent.
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from tests.fuzz.campaign import SECONDS, campaign
from tests.fuzz.edits import LEAVES, somewhere
from tests.handlers.bench import SOURCES, START, Bench

from workflow_runtime.deployment.topology import DISPATCH, TIMERS, node_queue
from workflow_runtime.ports import Message

SECONDS_MAX = 5.0  # of CPU: two executions of a few nodes, and a message that comes again and again
EDITS_MAX = 3
NODES = """
    - {id: 一, type: tool, tool: echo, inputs: {x: "${x}"}}
    - {id: w, type: control, subtype: wait, seconds: 20, dependencies: [一]}
    - {id: 二, type: tool, tool: echo, inputs: {y: "${一.x}"}, dependencies: [w]}
"""
VICTIM = "ex-victim"


def mail(event: str, **fields: Any) -> dict[str, Any]:
    return {"execution_id": VICTIM, "event": {"event": event, "event_id": "e1", "at": START, **fields}}


ORDER = {"command": "run_node", "path": "一", "serial": 1, "pool": "tool", "at": START, "attempt": 1}
ERROR = {"type": "execution_error", "message": "no", "node": "一"}
BODIES: list[dict[str, Any]] = [
    mail("poked"),
    mail("execution_started"),
    mail("node_succeeded", path="一", serial=1, values={"x": 1}, has_values=True, values_bytes=7),
    mail("node_failed", path="一", serial=1, error=ERROR, order=ORDER),
    mail("timer_fired", timer="t1", due=START + 20_000),
    mail("signal_received", name="go", data={"a": [1, {"b": None}]}, id="s1", source="api"),
    mail("cancel_requested", by="somebody", reason="why"),
    mail("suspend_requested", by="somebody", reason="why"),
    mail("child_ended", token="c1", child="ex-child", status="completed", output={"a": 1}),
    mail("task_completed", path="一", serial=1, task="t", output=1),
    mail("approval_answered", wait="w1", by="x", approved=True),
    {
        "execution_id": VICTIM,
        "plan_hash": "0" * 40,
        "workflow_version": 1,
        "started_at": START,
        "command": ORDER,
        "shares": {"l": {"key": "k", "weight": 2}},
        "granted": {"l": 3},
    },
    {"execution_id": VICTIM, "timer": "t1", "due": START},
    {"shard": 3},
    {"limiter": "l", "key": "", "kind": "pump"},
    {
        "version": "0",
        "id": "e-1",
        "source": "shop",
        "detail-type": "paid",
        "time": "2026-01-01T00:00:00Z",
        "detail": {"execution_id": VICTIM, "event": "go", "data": {"n": 1}, "hops": 1},
        "resources": [],
    },
    {"trigger": "t", "workflow_id": "w", "scheduled_at": "2026-01-01T00:00:00Z", "kind": "schedule"},
    {"execution_id": VICTIM, "kind": "express"},
]  # fmt: skip
TEXTS = [
    "",
    "{",
    "null",
    "[]",
    '"x"',
    "\x00",
    "{}" * 1000,
    "[" * 5000,
    '{"execution_id": "' + "x" * 2000 + '"}',
    "é\ud800",
]
FIELDS = ("kind", "event", "command", "blob", "x", "schema", "")
QUEUES = [*SOURCES, TIMERS, DISPATCH, node_queue("tool")]


def edited(random: Random) -> str:
    """A body: a real one, with a few edits, or no JSON at all."""
    if random.random() < 0.1:
        return random.choice(TEXTS).encode(errors="replace").decode()
    body = json.loads(json.dumps(random.choice(BODIES)))
    for _ in range(random.choice((0, 1, 1, 2, EDITS_MAX))):
        _edit(random, body)
    text = json.dumps(body, ensure_ascii=False)
    if random.random() < 0.1 and text:
        place = random.randrange(len(text))
        text = text[:place] + random.choice(("", '"', "}", "\u202e", "NaN", "1e999")) + text[place + 1 :]
    return text.encode(errors="replace").decode()


def _edit(random: Random, body: dict[str, Any]) -> None:
    found = somewhere(random, body)
    if found is None:
        return
    holder, key = found
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[random.choice(FIELDS)] = copy.deepcopy(random.choice(LEAVES))
        case _:
            holder[key] = copy.deepcopy(random.choice(LEAVES))


def take(random: Random) -> str:
    bench = Bench("embedded")
    try:
        return _take(random, bench)
    finally:
        bench.close()


def _take(random: Random, bench: Bench) -> str:
    victim = bench.start(NODES, {"x": 1})
    other = bench.runtime.starter.start("w", {"x": "你"})
    for _ in range(random.randrange(4)):
        for queue in SOURCES:
            bench.deliver(queue)
    sent = 0
    for _ in range(random.choice((1, 1, 2, 5))):
        body = edited(random).replace(VICTIM, victim)
        queue = random.choice(QUEUES)
        group = {"group": random.choice((victim, "g")), "deduplication_id": f"d{random.random()}"}
        sent += not bench.backend.ports.queues.send(queue, [Message(body, **(group if queue == DISPATCH else {}))])
    bench.drain()
    document = bench.document(other)
    assert (document["status"], document["output"]) == ("completed", {"y": "你"}), document["error"]
    ended = bench.document(victim)["status"]
    assert ended in ("completed", "failed", "cancelled", "suspended"), ended
    return f"{ended}{'' if sent else ', refused'}"


@pytest.mark.timeout(SECONDS + 120)
def test_no_message_makes_a_handler_raise_or_touches_others() -> None:
    counts = campaign(take, SECONDS_MAX)
    print(dict(counts))
    assert counts["completed"] or sum(counts.values()) < SECONDS
