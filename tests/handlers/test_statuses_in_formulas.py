"""What formulas see of the status of a node is a text like any other, whoever evaluates them."""

from __future__ import annotations

import json

import pytest
from tests.handlers.bench import Bench
from tests.unit.services.replaying import assert_replays

NODES = """
    - {id: a, type: tool, tool: echo}
    - {id: missing, type: tool, tool: missing, on_error: continue}
    - {id: b, type: tool, tool: echo, dependencies: [a, missing], when: "${HOLDS}"}
    - {id: c, type: agent, agent: echo, dependencies: [a, missing], inputs: {holds: "${HOLDS}"}}
    - id: d
      type: control
      subtype: condition
      dependencies: [a, missing]
      condition: "${HOLDS}"
      then: [yes_]
      else: [no_]
    - {id: yes_, type: control, subtype: pass}
    - {id: no_, type: control, subtype: pass}
"""


@pytest.mark.parametrize(
    ("holds", "expected"),
    [
        ("nodes.a.status == 'success'", True),
        ("nodes.a.status != 'success'", False),
        ("nodes.a.status in ['success', 'failed']", True),
        ("upper(nodes.a.status) == 'SUCCESS'", True),
        ("nodes.a.status == nodes.missing.status", False),
        ("nodes.missing.status == 'failed'", True),
    ],
)
def test_a_status_is_compared_as_a_text(holds: str, expected: bool) -> None:
    bench = Bench("embedded")
    execution_id = bench.start(NODES.replace("HOLDS", holds))
    bench.drain()
    document = bench.document(execution_id)
    statuses = {id: node["status"] for id, node in document["node_executions"].items()}
    assert document["status"] == "completed"
    assert statuses["b"] == ("success" if expected else "skipped")
    assert json.loads(bench.runtime.documents.node(execution_id, "c").output) == {"holds": expected}
    assert (statuses["yes_"], statuses["no_"]) == (("success", "skipped") if expected else ("skipped", "success"))
    assert_replays(bench.runtime, execution_id)
    bench.close()
