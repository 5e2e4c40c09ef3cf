"""What the API promises about loops: how far they are, and their passes page by page."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from workflow_runtime.services.views.passes import PASSES_SHOWN

ITEM_BYTES_MAX = 100_000  # a quarter of what DynamoDB takes
COUNT = 1_500

MANY = """
workflow:
  id: many
  nodes:
    - id: each
      type: control
      subtype: loop
      items: ${xs}
      max_concurrency: 0
      on_item_error: skip
      body:
        - {id: a, type: tool, tool: echo, inputs: {n: "${required(item.n)}"}}
      collect: ${a.n}
"""
NESTED = """
workflow:
  id: nested
  nodes:
    - id: 外
      type: control
      subtype: loop
      times: 3
      body:
        - id: 内
          type: control
          subtype: loop
          times: 2
          body: [{id: 叶, type: tool, tool: echo, inputs: {at: "${index}"}}]
"""
AT_WORK = """
workflow:
  id: at_work
  nodes:
    - id: each
      type: control
      subtype: loop
      times: 30
      max_concurrency: 0
      body:
        - {id: a, type: tool, tool: echo, inputs: {n: "${index}"}}
        - {id: b, type: control, subtype: wait, event: go, when: "a.n >= 10"}
"""


def run(api: Any, source: str, workflow_id: str, input: Any = None) -> str:
    api.publish(source)
    return str(api.run(workflow_id, input))


def test_a_loop_of_many_passes_stays_small_and_is_read_page_by_page(api: Any) -> None:
    xs = [{"n": n} if n != 7 else {} for n in range(COUNT)]
    id = run(api, MANY, "many", {"xs": [{**x, "text": "x" * 60} for x in xs]})
    document = api("GET", f"/executions/{id}?include=nodes,output").json
    assert document["output"] == [n for n in range(COUNT) if n != 7]
    progress = {"total": COUNT, "done": COUNT, "succeeded": COUNT - 1, "failed": 1, "running": 0}
    assert document["node_executions"]["each"]["passes"] == progress
    assert len(document["node_executions"]) == 1 + PASSES_SHOWN
    items = api.runtime.services.ports.table.query(f"EX#{id}", "")
    assert max(len(msgspec.json.encode(item.attributes)) for item in items) < ITEM_BYTES_MAX

    url, cursor, seen = f"/executions/{id}/passes/each?limit=100", None, []
    while True:
        page = api("GET", url if cursor is None else f"{url}&cursor={cursor}").json
        seen += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [found["index"] for found in seen] == list(range(COUNT))
    assert {found["status"] for found in seen} == {"success", "failed"}
    assert seen[7]["nodes"]["each[7]/a"]["status"] == "failed"
    assert seen[1_499]["nodes"]["each[1499]/a"]["output"] == {"n": 1_499}


def test_passes_at_work_are_shown_as_they_are_now(api: Any) -> None:
    id = run(api, AT_WORK, "at_work")
    page = api("GET", f"/executions/{id}/passes/each?limit=5").json
    assert (page["total"], page["done"], page["running"]) == (30, 10, 20)
    assert [item["status"] for item in page["items"]] == ["success"] * 5
    page = api("GET", f"/executions/{id}/passes/each?limit=20&cursor={page['next_cursor']}").json
    assert [item["status"] for item in page["items"]] == ["success"] * 5 + ["running"] * 15
    waits = page["items"][5]["nodes"]
    assert waits["each[10]/a"]["output"] == {"n": 10}
    assert (waits["each[10]/b"]["status"], waits["each[10]/b"]["waiting_on"]) == ("running", "event")


def test_loops_inside_passes_are_shown_with_them(api: Any) -> None:
    id = run(api, NESTED, "nested")
    nodes = api("GET", f"/executions/{id}?include=nodes").json["node_executions"]
    assert [path for path in nodes if path.endswith("叶")] == [
        f"外[{i}]/内[{j}]/叶" for i in range(3) for j in range(2)
    ]
    assert nodes["外[1]/内"]["passes"]["done"] == 2
    inner = api("GET", f"/executions/{id}/passes/{quote('外[2]/内')}?limit=1").json
    assert [item["nodes"]["外[2]/内[0]/叶"]["output"] for item in inner["items"]] == [{"at": 0}]
    assert inner["next_cursor"] is not None


def test_what_is_no_loop_has_no_passes(api: Any) -> None:
    id = run(api, NESTED, "nested")
    assert api("GET", f"/executions/{id}/passes/nothing").code == "not_found"
    assert api("GET", f"/executions/{id}/passes/{quote('外[0]/内[0]/叶')}").code == "not_found"
