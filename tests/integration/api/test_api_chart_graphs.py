"""What the API promises about the drawings of charts."""

from __future__ import annotations

import asyncio
from typing import Any

CHART = """
workflow:
  id: door
  type: state_machine
  initial_state: shut
  final_states: [gone]
  event_schemas: {open: {type: object, properties: {key: {type: string}}, required: [key]}}
  states:
    - name: shut
      transitions: [{event: open, target: ajar}, {event: knock, actions: [{log: who is there}]}]
    - name: ajar
      initial: narrow
      transitions: [{event: close, target: shut}, {event: remove, target: gone}]
      states:
        - {name: narrow, run: {id: listen, type: tool, tool: echo}}
"""
URL = "/workflows/door/graph"


def test_the_graph_of_a_chart_is_a_state_diagram_or_says_what_is_inside_what(api: Any) -> None:
    api.publish(CHART)
    assert api("GET", URL).body.startswith(b"stateDiagram-v2")
    graph = api("GET", f"{URL}?format=json").json
    inside = {node["id"]: node["inside"] for node in graph["nodes"]}
    assert inside == {"shut": None, "ajar": None, "narrow": "ajar", "narrow/listen": "narrow", "gone": None}
    assert graph["initial"] == ["shut", "narrow"]
    assert {"source": "shut", "target": "ajar", "label": "open (key)", "orders": False, "mark": None} in graph["edges"]
    assert graph["nodes"][0]["notes"] == ["knock / log"]
    assert graph["event_schemas"]["open"]["properties"] == {"key": {"type": "string"}}


def test_the_graph_of_an_execution_marks_its_active_states(api: Any) -> None:
    api.publish(CHART)
    execution_id = api.start("door").json["execution_id"]
    sent = api(
        "POST",
        f"/executions/{execution_id}/events",
        '{"event": "open", "data": {"key": "k"}}',
        {"Content-Type": "application/json"},
    )
    assert sent.status == 202
    asyncio.run(api.runtime.settle(execution_id))
    graph = api("GET", f"{URL}?format=json&execution={execution_id}").json
    statuses = {node["id"]: node["status"] for node in graph["nodes"]}
    assert statuses["ajar"] == statuses["narrow"] == "active"
    assert (statuses["shut"], statuses["gone"]) == ("visited", None)
    marks = {(edge["source"], edge["target"]): edge["mark"] for edge in graph["edges"]}
    assert marks == {("shut", "ajar"): "taken", ("ajar", "shut"): None, ("ajar", "gone"): None}
    assert statuses["narrow/listen"] == "success"
    assert b" active" in api("GET", f"{URL}?execution={execution_id}").body


def test_who_asks_for_a_large_drawing_keeps_nobody_waiting(api: Any) -> None:
    """The event loop turns while a drawing is made; it would turn once if the drawing were made in it."""
    nodes = "".join(f"    - {{id: n{number}, type: tool, tool: echo}}\n" for number in range(500))
    edges = "".join(f"    - {{from: n{number // 2}, to: n{number}}}\n" for number in range(1, 500))
    api.publish(f"workflow:\n  id: wide\n  nodes:\n{nodes}  edges:\n{edges}")

    async def turns_until_drawn() -> int:
        drawing = asyncio.create_task(api.ask("GET", "/workflows/wide/graph?format=svg"))
        turns = 0
        while not drawing.done():
            await asyncio.sleep(0)
            turns += 1
        assert drawing.result().status == 200
        return turns

    assert asyncio.run(turns_until_drawn()) > 20
