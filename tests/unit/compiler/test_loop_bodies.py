"""Bodies of loops are read to the last node, wherever they stand."""

from __future__ import annotations

import json
from typing import Any

from workflow_runtime.compiler import compile_workflow

MANY = 1_500


def loop(id: str, *body: Any, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "control", "subtype": "loop", "times": 2, "body": list(body), **fields}


def tool(id: str, **inputs: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "t", "inputs": inputs}


def messages(*nodes: dict[str, Any]) -> list[str]:
    compiled = compile_workflow(json.dumps({"workflow": {"id": "w", "nodes": list(nodes)}}))
    return [finding.message for finding in compiled.findings]


def test_many_bodies_by_id_are_read_like_few() -> None:
    loops = [loop(f"l{n}", f"n{n}") for n in range(MANY)]
    nodes = [tool(f"n{n}") for n in range(MANY)]
    assert messages(*loops, *nodes) == []
    assert messages(*loops, *nodes[:-1], tool(f"n{MANY - 1}", x="${1 +}")) == ["the expression ends too early"]


def test_one_mistake_in_a_body_hides_no_other() -> None:
    found = messages(
        loop("each", {**tool("a"), "inputz": {}}, tool("b", x="${1 +}"), tool("c", y="${nodes.no.status}"))
    )
    assert len(found) == 3
    assert any("inputz" in message for message in found)
    assert any("too early" in message for message in found)
    assert any("no node `no`" in message for message in found)
