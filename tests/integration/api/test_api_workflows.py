"""What the API promises about workflows."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.language.yaml.text import MAX_SOURCE_BYTES

GREETING = """
workflow:
  id: greeting
  nodes:
    - {id: hello, type: tool, tool: echo, inputs: {name: "${name}"}}
"""
CHANGED = GREETING.replace("hello", "hallo")
THIRD = GREETING.replace("hello", "hola")
YAML = {"Content-Type": "application/yaml"}


def test_a_workflow_is_published_once(api: Any) -> None:
    first = api("POST", "/workflows", GREETING, YAML)
    assert first.status == 201
    assert first.headers["location"] == "/workflows/greeting"
    assert first.headers["etag"] == first.json["etag"]
    assert first.json["version"] == 1
    again = api("POST", "/workflows", GREETING, YAML)
    assert (again.status, again.json["version"]) == (200, 1)
    other = api("POST", "/workflows", CHANGED, YAML)
    assert (other.status, other.code) == (409, "conflict")
    assert api("GET", "/workflows/greeting").json["version"] == 1


def test_warnings_come_with_what_was_published(api: Any) -> None:
    source = GREETING.replace("tool: echo", "tool: 没有这个")
    assert [warning["severity"] for warning in api("POST", "/workflows", source, YAML).json["warnings"]] == ["warning"]


def test_a_bad_definition_is_answered_with_every_finding(api: Any) -> None:
    reply = api("POST", "/workflows", "workflow: {id: x, nodes: [{id: a, type: tool}, {id: a, type: gadget}]}", YAML)
    assert (reply.status, reply.code) == (422, "invalid_definition")
    assert len(reply.json["findings"]) >= 3
    assert all(finding["line"] == 1 and finding["id"].startswith("WF") for finding in reply.json["findings"])


def test_validate_stores_nothing(api: Any) -> None:
    reply = api("POST", "/workflows/validate", GREETING, YAML)
    assert reply.json["valid"] is True
    assert reply.json["workflow_id"] == "greeting"
    assert api("POST", "/workflows/validate", "workflow: {}", YAML).json["valid"] is False
    assert api("GET", "/workflows").json["items"] == []
    assert api("GET", "/workflows/greeting").code == "not_found"


def test_put_publishes_the_next_version(api: Any) -> None:
    assert api("PUT", "/workflows/greeting", GREETING, YAML).status == 201
    assert api("PUT", "/workflows/greeting", GREETING, YAML).json["version"] == 1
    changed = api("PUT", "/workflows/greeting", CHANGED, YAML)
    assert (changed.status, changed.json["version"]) == (200, 2)


def test_put_of_another_workflows_definition_is_refused(api: Any) -> None:
    assert api("PUT", "/workflows/other", GREETING, YAML).code == "invalid_definition"


def test_if_match_lets_nobody_overwrite_what_they_have_not_seen(api: Any) -> None:
    seen = api("PUT", "/workflows/greeting", GREETING, YAML).headers["etag"]
    assert api("PUT", "/workflows/greeting", CHANGED, YAML | {"If-Match": seen}).status == 200
    late = api("PUT", "/workflows/greeting", THIRD, YAML | {"If-Match": seen})
    assert (late.status, late.code) == (412, "precondition_failed")
    assert api("GET", "/workflows/greeting").json["version"] == 2
    assert api("PUT", "/workflows/greeting", THIRD, YAML | {"If-Match": f'"9-x", W/"a", {late_tag(api)}'}).status == 200
    assert api("PUT", "/workflows/new", GREETING.replace("greeting", "new"), YAML | {"If-Match": "*"}).status == 412


def late_tag(api: Any) -> str:
    return str(api("GET", "/workflows/greeting").headers["etag"])


def test_if_none_match_lets_put_only_create(api: Any) -> None:
    only_new = YAML | {"If-None-Match": "*"}
    assert api("PUT", "/workflows/greeting", GREETING, only_new).status == 201
    assert api("PUT", "/workflows/greeting", CHANGED, only_new).code == "precondition_failed"


def test_if_none_match_spares_a_known_answer(api: Any) -> None:
    tag = api("PUT", "/workflows/greeting", GREETING, YAML).headers["etag"]
    known = api("GET", "/workflows/greeting", headers={"If-None-Match": f"W/{tag}"})
    assert (known.status, known.body, known.headers["etag"]) == (304, b"", tag)
    api("PUT", "/workflows/greeting", CHANGED, YAML)
    assert api("GET", "/workflows/greeting", headers={"If-None-Match": tag}).status == 200


def test_the_definition_comes_back_as_it_was_published(api: Any) -> None:
    commented = "# 问候\n" + GREETING
    api("PUT", "/workflows/greeting", commented, YAML)
    api("PUT", "/workflows/greeting", GREETING, YAML)  # the same plan: still version 1, with its own text
    reply = api("GET", "/workflows/greeting", headers={"Accept": "application/yaml"})
    assert reply.headers["content-type"] == "application/yaml; charset=utf-8"
    assert reply.body.decode() == commented


def test_versions_are_listed_newest_first_page_by_page(api: Any) -> None:
    for source in (GREETING, CHANGED, THIRD):
        api("PUT", "/workflows/greeting", source, YAML)
    first = api("GET", "/workflows/greeting/versions?limit=2").json
    assert [item["version"] for item in first["items"]] == [3, 2]
    second = api("GET", f"/workflows/greeting/versions?limit=2&cursor={first['next_cursor']}").json
    assert [item["version"] for item in second["items"]] == [1]
    assert second["next_cursor"] is None


def test_workflows_are_listed_page_by_page_each_once(api: Any) -> None:
    for number in range(5):
        api("POST", "/workflows", GREETING.replace("greeting", f"流程{number}"), YAML)
    found, cursor = [], ""
    while True:
        page = api("GET", f"/workflows?limit=2{cursor}").json
        found += [item["workflow_id"] for item in page["items"]]
        api("PUT", "/workflows/%E6%B5%81%E7%A8%8B0", CHANGED.replace("greeting", "流程0"), YAML)  # moves nothing
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == [f"流程{number}" for number in range(5)]


def test_a_removed_workflow_cannot_be_started_and_its_executions_stay(api: Any) -> None:
    api.publish(GREETING)
    execution_id = api.run()
    assert api("DELETE", "/workflows/greeting").status == 204
    assert api("GET", "/workflows/greeting").code == "not_found"
    assert api("GET", "/workflows/greeting/versions").code == "not_found"
    assert api("GET", "/workflows").json["items"] == []
    assert api.start().code == "not_found"
    assert api("POST", "/workflows/greeting/execute?version=1", "{}").code == "not_found"
    assert api("DELETE", "/workflows/greeting").code == "not_found"
    assert api("GET", f"/executions/{execution_id}").json["status"] == "completed"
    assert api("GET", f"/executions/{execution_id}/history").json["items"]
    assert len(api("GET", "/executions?workflow=greeting").json["items"]) == 1
    assert api("GET", f"/workflows/greeting/graph?execution={execution_id}").status == 200


def test_publishing_a_removed_workflow_again_continues_its_numbers(api: Any) -> None:
    api.publish(GREETING)
    api("DELETE", "/workflows/greeting")
    again = api("POST", "/workflows", GREETING, YAML)
    assert (again.status, again.json["version"]) == (201, 2)
    assert [item["workflow_id"] for item in api("GET", "/workflows").json["items"]] == ["greeting"]
    assert len(api("GET", "/workflows/greeting/versions").json["items"]) == 2


def test_a_workflow_whose_executions_run_is_removed_only_by_force(api: Any) -> None:
    api.publish(GREETING)
    execution_id = api.start().json["execution_id"]
    refused = api("DELETE", "/workflows/greeting")
    assert (refused.status, refused.code) == (409, "conflict")
    assert api("DELETE", "/workflows/greeting?force=false").status == 409
    assert api("DELETE", "/workflows/greeting?force").status == 204
    import asyncio

    assert asyncio.run(api.runtime.run_until_ended(execution_id)) == "completed"


def test_delete_heeds_if_match(api: Any) -> None:
    tag = api("PUT", "/workflows/greeting", GREETING, YAML).headers["etag"]
    api("PUT", "/workflows/greeting", CHANGED, YAML)
    assert api("DELETE", "/workflows/greeting", headers={"If-Match": tag}).code == "precondition_failed"


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/yaml", "text/yaml; charset=UTF-8", "application/x-yaml", ""]
)
def test_definitions_come_as_yaml_or_json(api: Any, content_type: str) -> None:
    source = '{"workflow": {"id": "w", "nodes": [{"id": "a", "type": "tool", "tool": "echo"}]}}'
    headers = {"Content-Type": content_type} if content_type else {}
    assert api("POST", "/workflows", source, headers).status == 201


def test_a_declared_charset_is_heeded(api: Any) -> None:
    source = GREETING.replace("greeting", "问候").encode("gb18030")
    reply = api("POST", "/workflows", source, {"Content-Type": "text/yaml; charset=GB18030"})
    assert reply.json["workflow_id"] == "问候"
    assert reply.headers["location"] == "/workflows/%E9%97%AE%E5%80%99"
    assert api("POST", "/workflows", source, {"Content-Type": "text/yaml; charset=utf-8"}).code == "invalid_body"
    assert api("POST", "/workflows", source, {"Content-Type": "text/yaml; charset=rot13"}).status == 415


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json-patch+json", "multipart", "{"]
)
def test_other_types_of_body_are_refused(api: Any, content_type: str) -> None:
    reply = api("POST", "/workflows", GREETING, {"Content-Type": content_type})
    assert (reply.status, reply.code) == (415, "unsupported_media_type")
    assert "application/yaml" in reply.headers["accept-post"]


def test_a_definition_that_is_too_large_is_refused(api: Any) -> None:
    reply = api("POST", "/workflows", b"#" * (MAX_SOURCE_BYTES + 1), YAML)
    assert (reply.status, reply.code) == (413, "too_large")
    assert reply.json["bytes_max"] == MAX_SOURCE_BYTES


def test_the_graph_comes_as_a_drawing_or_json(api: Any) -> None:
    api.publish(GREETING)
    assert api("GET", "/workflows/greeting/graph").body.startswith(b"flowchart TD")
    asked = api("GET", "/workflows/greeting/graph", headers={"Accept": "application/json, text/plain;q=0.5"})
    assert asked.json["nodes"][0]["id"] == "hello"
    assert api("GET", "/workflows/greeting/graph?format=json").json == asked.json
    starts = {"mermaid": b"flowchart TD", "dot": b"digraph", "svg": b"<svg", "text": b"greeting: "}
    types = {"mermaid": "text/vnd.mermaid", "dot": "text/vnd.graphviz", "svg": "image/svg+xml", "text": "text/plain"}
    for format, start in starts.items():
        drawn = api("GET", f"/workflows/greeting/graph?format={format}")
        assert drawn.body.startswith(start)
        assert drawn.headers["content-type"] == f"{types[format]}; charset=utf-8"
    assert api("GET", "/workflows/greeting/graph?format=png").code == "invalid_request"
    assert api("GET", "/workflows/other/graph").code == "not_found"


def test_the_graph_of_an_execution_marks_its_statuses(api: Any) -> None:
    api.publish(GREETING)
    execution_id = api.run()
    url = f"/workflows/greeting/graph?format=json&execution={execution_id}"
    assert [node["status"] for node in api("GET", url).json["nodes"]] == ["success"]
    api.publish(GREETING.replace("greeting", "other"))
    for wrong in (f"/workflows/other/graph?execution={execution_id}", "/workflows/greeting/graph?execution=ex-0"):
        assert api("GET", wrong).code == "not_found"
