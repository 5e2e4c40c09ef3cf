"""What the API promises about agents that are published at run time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.api.conftest import YAML, Api, Reply

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.runtime.in_process import LocalRuntime
from workflow_runtime.storage.agents import SOURCE_BYTES_MAX

PACKAGED = """
agents:
  - id: reviewer
    model: test
    description: packaged
    output_schema: {type: object, required: [score], properties: {score: {type: integer}}, additionalProperties: false}
  - {id: caller, model: test, tools: [{agent: reviewer}]}
"""
SCORED = """
id: reviewer
model: test
description: by score
output_schema: {type: object, required: [score], properties: {score: {type: integer}}, additionalProperties: false}
"""
GRADED = SCORED.replace("score", "grade")
WORKFLOW = """
workflow:
  id: review
  nodes:
    - {id: a, type: agent, agent: reviewer, prompt: hello}
  outputs: {score: "${a.score}"}
"""
ANY = WORKFLOW.replace('{score: "${a.score}"}', '{said: "${a}"}')


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "all.yaml").write_text(PACKAGED)
    with LocalRuntime(open_backend(), tmp_path, environ={}) as runtime:
        yield Api(runtime)


def put(api: Api, source: str, id: str = "reviewer", query: str = "", **headers: str) -> Reply:
    return api("PUT", f"/agents/{id}{query}", source, {**YAML, **headers})


def test_an_agent_is_published_in_versions_and_the_same_definition_changes_nothing(api: Api) -> None:
    first = put(api, "id: 作者\nmodel: test\n", "%E4%BD%9C%E8%80%85")
    assert (first.status, first.json["version"], first.json["hides_packaged"]) == (201, 1, False)
    assert first.headers["location"] == "/agents/%E4%BD%9C%E8%80%85"
    same = put(api, "# a remark\nmodel: test\nid: 作者\n", "%E4%BD%9C%E8%80%85")
    assert (same.status, same.json["version"], same.headers["etag"]) == (200, 1, first.headers["etag"])
    changed = put(api, "id: 作者\nmodel: test\ninstructions: 短\n", "%E4%BD%9C%E8%80%85")
    assert (changed.status, changed.json["version"]) == (200, 2)
    versions = api("GET", "/agents/%E4%BD%9C%E8%80%85/versions").json["items"]
    assert [version["version"] for version in versions] == [2, 1]
    text = api("GET", "/agents/%E4%BD%9C%E8%80%85", headers={"Accept": "application/yaml"})
    assert text.body.decode() == "id: 作者\nmodel: test\ninstructions: 短\n"
    old = api("GET", "/agents/%E4%BD%9C%E8%80%85?version=1", headers={"Accept": "application/yaml"})
    assert old.body.decode() == "id: 作者\nmodel: test\n"
    assert api("GET", "/agents/%E4%BD%9C%E8%80%85", headers={"If-None-Match": changed.headers["etag"]}).status == 304
    assert api("GET", "/agents/%E4%BD%9C%E8%80%85?version=7").code == "not_found"


def test_a_published_agent_takes_the_place_of_the_packaged_one_until_it_is_deleted(api: Api) -> None:
    shown = api("GET", "/agents/reviewer").json
    assert (shown["source"], shown["version"], shown["description"]) == ("packaged", None, "packaged")
    published = put(api, SCORED)
    assert (published.status, published.json["hides_packaged"]) == (201, True)
    shown = api("GET", "/agents/reviewer").json
    assert (shown["source"], shown["version"], shown["description"]) == ("published", 1, "by score")
    listed = {item["agent_id"]: item for item in api("GET", "/agents").json["items"]}
    assert (listed["reviewer"]["source"], listed["reviewer"]["hides_packaged"]) == ("published", True)
    assert (listed["caller"]["source"], listed["caller"]["version"]) == ("packaged", None)
    assert api("DELETE", "/agents/reviewer").status == 204
    assert api("GET", "/agents/reviewer").json["source"] == "packaged"
    again = api("DELETE", "/agents/reviewer")
    assert (again.code, again.json["detail"]) == (
        "not_found",
        "the agent 'reviewer' is not published: it is packaged with the deployment",
    )
    assert put(api, SCORED).json["version"] == 2, "its numbers go on"


def test_what_is_published_is_what_runs(api: Api) -> None:
    api.publish(ANY)

    def said() -> object:
        execution = api.run("review", {"x": 1})
        return api("GET", f"/executions/{execution}?include=output").json["output"]["said"]

    assert said() == {"score": 0}
    put(api, GRADED)
    assert said() == {"grade": 0}
    api("DELETE", "/agents/reviewer")
    assert said() == {"score": 0}


def test_a_change_that_published_workflows_do_not_fit_is_refused_unless_it_is_forced(api: Api) -> None:
    api.publish(WORKFLOW)
    refused = put(api, GRADED)
    assert (refused.status, refused.code) == (409, "conflict")
    assert "`review`" in refused.json["detail"]
    assert "force=true" in refused.json["detail"]
    [finding] = refused.json["findings"]
    assert finding["message"].startswith("workflow `review`: ")
    assert finding["path"] == "outputs.score"
    assert api("GET", "/agents/reviewer").json["source"] == "packaged", "nothing was published"
    assert put(api, GRADED, query="?force=true").json["version"] == 1
    assert put(api, GRADED.replace("by grade", "the same to the compiler")).json["version"] == 2
    assert put(api, SCORED).json["version"] == 3, "what mends workflows is no harm"


def test_deleting_an_agent_that_is_needed_is_refused_unless_it_is_forced(api: Api) -> None:
    put(api, "id: extra\nmodel: test\n", "extra")
    put(api, "id: user\nmodel: test\ntools: [{agent: extra}]\n", "user")
    called = api("DELETE", "/agents/extra")
    assert (called.status, "`user`" in called.json["detail"]) == (409, True)
    assert api("DELETE", "/agents/user").status == 204
    api.publish(ANY.replace("agent: reviewer", "agent: extra"))
    named = api("DELETE", "/agents/extra")
    assert (named.status, [finding["id"] for finding in named.json["findings"]]) == (409, ["WF417"])
    assert api("DELETE", "/agents/extra?force=true").status == 204
    execution = api.run("review", {})
    assert api("GET", f"/executions/{execution}").json["error"]["type"] == "not_found"


def test_the_compiler_knows_published_agents(api: Api) -> None:
    unknown = api("POST", "/workflows/validate", WORKFLOW.replace("agent: reviewer", "agent: 新"), YAML)
    assert [finding["id"] for finding in unknown.json["findings"]] == ["WF417"]
    put(api, SCORED.replace("reviewer", "新"), "%E6%96%B0")
    known = api("POST", "/workflows/validate", WORKFLOW.replace("agent: reviewer", "agent: 新"), YAML)
    assert known.json["findings"] == []
    wrong = WORKFLOW.replace("agent: reviewer", "agent: 新").replace("${a.score}", "${a.points}")
    assert api("POST", "/workflows/validate", wrong, YAML).json["findings"]


@pytest.mark.parametrize(
    ("source", "id", "path"),
    [
        ("id: x\n", "WF602", "model"),
        ("id: x\nmodel: test\ntempreature: 1\n", "WF603", "tempreature"),
        ("id: x\nmodel: test\ntools: [ecoh]\n", "WF609", "tools[0]"),
        ("id: x\nmodel: test\ntools: [{agent: nobody}]\n", "WF609", "tools[0]"),
        ("id: x\nmodel: test\ntools: [{mcp: nobody}]\n", "WF609", "tools[0]"),
        ("id: reviewer\nmodel: test\ntools: [{agent: caller}]\n", "WF610", "tools[0]"),
        ("id: x\nmodel: openai:nobody-knows\nbudget: {usd: 1}\n", "WF611", "models[0]"),
        ("id: x\nmodel: test\noutput_schema: {type: 7}\n", "WF602", "output_schema"),
        ("agents: [{id: x, model: test}, {id: y, model: test}]\n", "WF602", ""),
        ("", "WF602", ""),
        ("id: [", "WF102", ""),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_definition_is_told_and_nothing_is_published(
    api: Api, source: str, id: str, path: str
) -> None:
    checked = api("POST", "/agents/validate", source or "# nothing\n", YAML)
    assert (checked.status, checked.json["valid"]) == (200, False)
    refused = put(api, source or "# nothing\n", "reviewer" if "reviewer" in source else "x")
    assert (refused.status, refused.code) == (422, "invalid_definition")
    assert refused.json["findings"] == checked.json["findings"]
    found = refused.json["findings"][0]
    assert (found["id"], found.get("path", "")) == (id, path), found
    assert all(item["source"] == "packaged" for item in api("GET", "/agents").json["items"])


def test_a_workflow_that_names_an_agent_is_warned_of_workflows_that_the_agent_calls(api: Api) -> None:
    put(api, "id: x\nmodel: test\ntools: [{workflow_id: later}]\n", "x")
    put(api, "id: y\nmodel: test\ntools: [{agent: x}]\n", "y")
    checked = api("POST", "/workflows/validate", ANY.replace("agent: reviewer", "agent: y"), YAML)
    assert ["later" in finding["message"] for finding in checked.json["findings"]] == [True]


def test_refusals_name_what_is_wrong_with_the_request(api: Api) -> None:
    other = put(api, SCORED, "x")
    assert (other.code, other.json["detail"]) == (
        "invalid_definition",
        "the definition is of the agent 'reviewer', not of 'x'",
    )
    assert put(api, "").code == "invalid_body"
    assert put(api, f"id: x\nmodel: test\ninstructions: '{'x' * SOURCE_BYTES_MAX}'\n", "x").code == "too_large"
    named = [f"  f{number}: {{description: *text}}\n" for number in range(5)]
    schema = f"{{type: object, description: &text '{'x' * 60_000}'}}\n"
    aliases = put(
        api,
        f"id: x\nmodel: test\noutput_schema:\n  type: object\n  x: {schema}  properties:\n  {'  '.join(named)}",
        "x",
    )
    assert (aliases.code, aliases.status) == ("too_large", 413)
    assert "360," in aliases.json["detail"]
    assert api("GET", "/agents/nobody").code == "not_found"
    assert api("GET", "/agents/caller/versions").code == "not_found"
    assert api("GET", "/agents?cursor=strange").code == "not_found"


def test_if_match_lets_nobody_overwrite_what_they_have_not_seen(api: Api) -> None:
    seen = put(api, SCORED, **{"If-None-Match": "*"}).headers["etag"]
    assert put(api, GRADED, **{"If-None-Match": "*"}).code == "precondition_failed"
    assert put(api, GRADED, **{"If-Match": seen}).status == 200
    assert put(api, SCORED, **{"If-Match": seen}).code == "precondition_failed"
    assert api("DELETE", "/agents/reviewer", headers={"If-Match": seen}).code == "precondition_failed"


def test_of_those_who_publish_at_once_each_gets_a_version_of_its_own(api: Api) -> None:
    async def all_at_once() -> list[Reply]:
        sources = [f"id: x\nmodel: test\ninstructions: '{number}'\n" for number in range(8)]
        return await asyncio.gather(*(api.ask("PUT", "/agents/x", source, YAML) for source in sources))

    replies = asyncio.run(all_at_once())
    done = [reply.json["version"] for reply in replies if reply.status in (200, 201)]
    assert sorted(done) == list(range(1, len(done) + 1))
    assert {reply.code for reply in replies if reply.status not in (200, 201)} <= {"conflict"}


def test_lists_have_pages(api: Api) -> None:
    for number in range(3):
        put(api, f"id: x{number}\nmodel: test\n", f"x{number}")
    found, cursor = [], ""
    while cursor is not None:
        page = api("GET", f"/agents?limit=2{f'&cursor={cursor}' if cursor else ''}").json
        found += [item["agent_id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == ["caller", "reviewer", "x0", "x1", "x2"]
