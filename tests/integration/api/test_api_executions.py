"""What the API promises about executions."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from workflow_runtime.engine.recording import decode_recording, first_deviation
from workflow_runtime.frontends.api import parameters
from workflow_runtime.frontends.api.answers import BODY_BYTES_MAX
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX

JSON = {"Content-Type": "application/json"}
YAML = {"Content-Type": "application/yaml"}
PAIR = """
workflow:
  id: pair
  nodes:
    - {id: 甲, type: tool, tool: echo, inputs: {text: "${text}"}}
    - {id: 乙, type: tool, tool: echo, inputs: {text: "${甲.text}"}, dependencies: [甲]}
"""
JOURNALED = """
workflow:
  id: journaled
  nodes:
    - {id: a, type: tool, tool: echo, inputs: {text: "${text}"}}
    - {id: b, type: tool, tool: echo, inputs: {text: "${a.text}"}, when: "len(a.text) > 9"}
    - {id: c, type: tool, tool: echo, inputs: {text: "${b.text}"}, when: "len(b.text) > 9"}
    - {id: d, type: tool, tool: echo, inputs: {text: "${c.text}"}, when: "len(c.text) > 9"}
"""


def execute(api: Any, body: str | bytes, headers: dict[str, str] = JSON, query: str = "") -> Any:
    return api("POST", f"/workflows/greeting/execute{query}", body, headers)


def test_an_execution_is_started_and_found_at_its_location(api: Any) -> None:
    api.publish()
    started = api.start()
    assert started.status == 202
    assert started.json["status"] == "pending"
    assert api("GET", started.headers["location"]).json["execution_id"] == started.json["execution_id"]


def test_waiting_answers_with_the_document_when_it_ends_in_time(api: Any) -> None:
    api.publish()

    async def both() -> Any:
        waiting = asyncio.ensure_future(
            api.ask("POST", "/workflows/greeting/execute?wait=25", '{"input": {"name": "小明"}}', JSON)
        )
        while not waiting.done():
            await api.runtime.pump.run(waiting.done)
            await asyncio.sleep(0)
        return waiting.result()

    reply = asyncio.run(both())
    assert (reply.status, reply.json["status"], reply.json["output"]) == (200, "completed", {"text": "你好 小明"})


def test_waiting_answers_202_when_it_does_not_end_in_time(api: Any) -> None:
    api.publish()
    assert execute(api, '{"input": {"name": "x"}}', query="?wait=0.01").status == 202


def test_many_requests_wait_side_by_side_in_one_event_loop(api: Any) -> None:
    api.publish()

    async def all_of_them() -> list[Any]:
        url = "/workflows/greeting/execute?wait=25"
        asked = [api.ask("POST", url, msgspec.json.encode({"input": {"name": f"n{n}"}}), JSON) for n in range(20)]
        waiting = asyncio.gather(*asked)
        while not waiting.done():
            await api.runtime.pump.run(waiting.done)
            await asyncio.sleep(0)
        return list(waiting.result())

    replies = asyncio.run(all_of_them())
    assert [reply.json["output"]["text"] for reply in replies] == [f"你好 n{number}" for number in range(20)]


def test_p1_the_same_key_starts_one_execution(api: Any) -> None:
    api.publish()
    key = {"Idempotency-Key": "order-7, retry"}
    first = api.start(headers=key)
    assert api.start(headers=key).json["execution_id"] == first.json["execution_id"]
    assert api.start(headers={"idempotency-key": "order-7"}).json["execution_id"] != first.json["execution_id"]
    other = api.start(input={"name": "另一个"}, headers=key)
    assert (other.status, other.code) == (409, "conflict")
    assert len(api("GET", "/executions?workflow=greeting").json["items"]) == 2


OPEN_DOOR = """
workflow:
  id: door
  type: state_machine
  initial_state: shut
  final_states: [gone]
  states: [{name: shut, transitions: [{event: touch}, {event: end, target: gone}]}]
"""


@pytest.mark.parametrize("query", ["", "?wait=3"])
def test_an_event_key_used_again_for_another_event_is_a_conflict(api: Any, query: str) -> None:
    api.publish(OPEN_DOOR)
    execution_id = api.start("door").json["execution_id"]
    asyncio.run(api.runtime.settle(execution_id))
    url, key = f"/executions/{execution_id}/events", JSON | {"Idempotency-Key": "键"}
    assert api("POST", url, '{"event": "touch"}', key).status == 202
    asyncio.run(api.runtime.settle(execution_id))
    other = api("POST", f"{url}{query}", '{"event": "end"}', key)
    assert (other.status, other.code) == (409, "conflict")
    assert "another event" in other.json["detail"]
    assert api("POST", f"{url}{query}", '{"event": "touch"}', key).status in (200, 202), "the same event again"
    assert api("GET", f"/executions/{execution_id}").json["status"] == "running"


def test_an_event_whose_data_does_not_match_its_schema_is_refused(api: Any) -> None:
    api.publish(
        OPEN_DOOR + "  event_schemas: {end: {type: object, properties: {by: {type: string}}, required: [by]}}\n"
    )
    execution_id = api.start("door").json["execution_id"]
    asyncio.run(api.runtime.settle(execution_id))
    url = f"/executions/{execution_id}/events"
    for data in ('{"by": 1}', "{}", "null"):
        refused = api("POST", url, f'{{"event": "end", "data": {data}}}', JSON)
        assert (refused.status, refused.code) == (422, "invalid_event")
        assert "the data of `end` does not match its schema in event_schemas" in refused.json["detail"]
    assert api("POST", url, '{"event": "end", "data": {"by": "you"}}', JSON).status == 202


def test_context_means_input(api: Any) -> None:
    api.publish()
    same = '{"context": {"name": "x"}, "input": {"name": "x"}}'
    for body in ('{"context": {"name": "x"}}', same):
        execution_id = execute(api, body).json["execution_id"]
        assert api("GET", f"/executions/{execution_id}?include=input").json["input"] == {"name": "x"}
    different = execute(api, '{"context": {"name": "x"}, "input": {"name": "y"}}')
    assert (different.status, different.code) == (422, "invalid_request")
    assert "are different" in different.json["detail"]


def test_an_input_comes_as_yaml_too(api: Any) -> None:
    api.publish()
    execution_id = execute(api, "input: {name: on, count: 010}", YAML).json["execution_id"]
    assert api("GET", f"/executions/{execution_id}?include=input").json["input"] == {"name": "on", "count": 10}
    assert execute(api, "input: {name: [", YAML).code == "invalid_body"
    assert execute(api, "input: {a: 1, a: 2}", YAML).code == "invalid_body"


def test_no_body_is_an_empty_input(api: Any) -> None:
    api.publish()
    execution_id = execute(api, "", {}).json["execution_id"]
    assert api("GET", f"/executions/{execution_id}?include=input").json["input"] == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "invalid_body"),
        ('{"input": NaN}', "invalid_body"),
        (b'{"input": {"a": "\xff"}}', "invalid_body"),
        ('{"input": {"a": "\\ud800"}}', "invalid_body"),
        ("null", "invalid_request"),
        ("[]", "invalid_request"),
        ('{"input": null}', "invalid_request"),
        ('{"input": [1]}', "invalid_request"),
        ('{"input": {"a": 18446744073709551616}}', "invalid_input"),
        ('{"inputs": {}}', "invalid_request"),
        ('{"input": {"a": ' + "[" * 100 + "]" * 100 + "}}", "invalid_request"),
        ('{"input": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}", "invalid_request"),
    ],
)
def test_a_body_that_is_no_start_is_refused(api: Any, body: str | bytes, code: str) -> None:
    api.publish()
    assert execute(api, body).code == code


def test_an_input_that_is_too_large_is_refused(api: Any) -> None:
    api.publish()
    reply = execute(api, b'{"input": {"a": "' + b"x" * INPUT_BYTES_MAX + b'"}}')
    assert (reply.status, reply.code) == (413, "too_large")


def test_an_input_that_the_schema_refuses_is_told(api: Any) -> None:
    api.publish(
        "workflow: {id: strict, input_schema: {type: object, required: [a]}, "
        "nodes: [{id: n, type: tool, tool: echo, inputs: {a: '${a}'}}]}"
    )
    reply = api.start("strict")
    assert (reply.status, reply.code) == (422, "invalid_input")
    assert "required" in reply.json["detail"]


def test_executions_are_listed_newest_first_each_once(api: Any) -> None:
    api.publish()
    started = [api.start().json["execution_id"] for _ in range(5)]
    for execution_id in started[:3]:
        asyncio.run(api.runtime.run_until_ended(execution_id))
    whole = [item["execution_id"] for item in api("GET", "/executions?workflow=greeting").json["items"]]
    found: list[str] = []
    cursor = ""
    while True:
        page = api("GET", f"/executions?workflow=greeting&limit=2{cursor}").json
        found += [item["execution_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == whole
    assert sorted(found) == sorted(started)
    times = [item["started_at"] for item in api("GET", "/executions?workflow=greeting").json["items"]]
    assert times == sorted(times, reverse=True)


def test_executions_are_listed_by_status(api: Any) -> None:
    api.publish()
    execution_id = api.run()
    api.start()
    completed = api("GET", "/executions?workflow=greeting&status=completed").json["items"]
    assert [item["execution_id"] for item in completed] == [execution_id]
    assert api("GET", "/executions?workflow=greeting&status=done").code == "invalid_request"
    assert api("GET", "/executions?workflow=nobody-has-it").json["items"] == []


def test_executions_of_all_workflows_are_listed_by_time_and_status(api: Any) -> None:
    api.publish()
    api.publish("workflow: {id: 第二, nodes: [{id: n, type: control, subtype: pass}]}")
    first, second, third = api.run(), api.start("第二").json["execution_id"], api.start().json["execution_id"]

    def listed(query: str = "") -> list[str]:
        return [item["execution_id"] for item in api("GET", f"/executions?{query}").json["items"]]

    assert sorted(listed()) == sorted([first, second, third])
    assert listed("status=completed") == [first]
    page = api("GET", "/executions?limit=1").json
    rest = api("GET", f"/executions?limit=9&cursor={page['next_cursor']}").json
    assert [item["execution_id"] for item in page["items"] + rest["items"]] == listed()
    assert rest["next_cursor"] is None
    assert listed("started_after=2100-01-01T00:00:00Z") == []
    assert listed("started_before=2000-01-01T00:00:00Z") == []
    assert len(listed("started_after=2000-01-01T00:00:00%2B08:00&started_before=2100-01-01T00:00:00Z")) == 3
    for wrong in ("started_after=yesterday", "started_before=2026-01-01T00:00:00", "started_before=0.5"):
        assert api("GET", f"/executions?{wrong}").code == "invalid_request"


def test_dead_letters_are_listed_and_brought_back_once(api: Any) -> None:
    api.publish(CHART.replace("AFTER", "1h"))
    execution_id = api.start("door").json["execution_id"]
    asyncio.run(api.runtime.settle(execution_id))
    mail = {"execution_id": execution_id, "event": {"event": "signal_received", "event_id": "signal:1", "at": 1,
            "name": "leave", "id": "1"}}  # fmt: skip
    letters = api.runtime.services.stores.dead_letters
    letters.put(execution_id, "m1", "given up", msgspec.json.encode(mail).decode(), 1_700_000_000_000)
    listed = api("GET", f"/dead-letters?execution={execution_id}").json["items"]
    assert [(one["id"], one["reason"], one["redriven_at"]) for one in listed] == [("m1", "given up", None)]
    asked = {"execution_id": execution_id}

    def redrive(body: Any) -> Any:
        return api("POST", "/dead-letters/redrive", msgspec.json.encode(body).decode(), JSON)

    assert redrive({**asked, "dry_run": True}).json["items"][0]["outcome"] == "would_send"
    assert redrive({}).json["items"][0]["outcome"] == "sent"
    assert redrive(asked).json["items"][0]["why"] == "it was brought back already"
    assert api("GET", "/dead-letters").json["items"][0]["redriven_at"]
    assert redrive({"execution_id": "no id"}).code == "not_found"
    assert redrive({"dry_run": "perhaps"}).code == "invalid_request"
    assert redrive({"execution": execution_id}).code == "invalid_request"


def test_a_cursor_of_another_list_is_refused(api: Any) -> None:
    api.publish()
    for _ in range(3):
        api.start()
    cursor = api("GET", "/executions?workflow=greeting&limit=1").json["next_cursor"]
    edited = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for wrong in (
        f"workflow=greeting&status=running&cursor={cursor}",
        f"workflow=x&cursor={cursor}",
        f"workflow=greeting&cursor={edited}",
        "workflow=greeting&cursor=%21%21",
        "workflow=greeting&cursor=",
    ):
        assert api("GET", f"/executions?{wrong}").code == "not_found"
    assert api("GET", f"/executions?workflow=greeting&cursor={'A' * 301}").code == "invalid_request"


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many", "1&limit=2", ""])
def test_a_limit_is_1_to_100(api: Any, limit: str) -> None:
    assert api("GET", f"/executions?workflow=greeting&limit={limit}").code == "invalid_request"


CHART = """
workflow:
  id: door
  type: state_machine
  initial_state: shut
  final_states: [gone]
  states:
    - name: shut
      run: [{id: look, type: tool, tool: echo}]
      on_done: watched
    - name: watched
      after: [{delay: AFTER, target: gone}]
      transitions: [{event: leave, target: gone}]
"""


@pytest.mark.parametrize(("after", "status", "states"), [("1h", "running", ["watched"]), ("1s", "completed", ["gone"])])
def test_a_start_that_waits_is_answered_when_only_an_event_could_move_it(
    api: Any, after: str, status: str, states: list[str]
) -> None:
    """Timers that fire in the meantime are waited for."""
    api.publish(CHART.replace("AFTER", after))

    async def start() -> Any:
        asking = asyncio.create_task(api.ask("POST", "/workflows/door/execute?wait=20", "{}", JSON))
        pumping = asyncio.create_task(api.runtime.pump.run(asking.done))
        reply = await asking
        pumping.cancel()
        return reply

    reply = asyncio.run(start())
    assert reply.status == 200
    assert (reply.json["status"], reply.json["current_states"]) == (status, states)


def test_an_execution_shows_what_is_included(api: Any) -> None:
    api.publish()
    execution_id = api.run()
    plain = api("GET", f"/executions/{execution_id}").json
    assert plain["output"] == {"text": "你好 小明"}
    assert "input" not in plain
    assert "node_executions" not in plain
    whole = api("GET", f"/executions/{execution_id}?include=nodes,input,output,variables").json
    assert whole == api.runtime.services.documents.document(execution_id)
    assert api("GET", f"/executions/{execution_id}?include=secrets").code == "invalid_request"


@pytest.mark.parametrize("id", ["ex-0", "x" * 3000, "%E6%88%91", "a%00b", "..", "%2e%2e%2fa", "HEADER%23"])
def test_what_is_no_execution_is_not_there(api: Any, id: str) -> None:
    for path in ("", "/history", "/nodes/a"):
        assert api("GET", f"/executions/{id}{path}").status == 404


@pytest.mark.parametrize("path", ["甲", "%E7%94%B2"])
def test_a_node_is_found_by_its_path(api: Any, path: str) -> None:
    api.publish(PAIR)
    execution_id = api.run("pair", {"text": "x"})
    node = api("GET", f"/executions/{execution_id}/nodes/{path}").json
    assert node["path"] == "甲"
    assert node["output"] == {"text": "x"}
    assert [(run["serial"], run["status"]) for run in node["runs"]] == [(1, "success")]


def test_a_node_that_has_not_run_is_shown_waiting(api: Any) -> None:
    api.publish(PAIR)
    execution_id = api.start("pair", {"text": "x"}).json["execution_id"]
    node = api("GET", f"/executions/{execution_id}/nodes/乙").json
    assert (node["status"], node["runs"], node["output"]) == ("waiting", [], None)


@pytest.mark.parametrize("path", ["each[1]/double", "each%5B1%5D%2Fdouble", "~outputs", "a/b?c", "/", "%00", "甲/"])
def test_a_node_that_there_is_not_is_not_found(api: Any, path: str) -> None:
    api.publish(PAIR)
    execution_id = api.run("pair", {"text": "x"})
    assert api("GET", f"/executions/{execution_id}/nodes/{path}").status in (404, 422)


def test_the_history_tells_what_happened(api: Any) -> None:
    api.publish()
    execution_id = api.run()
    history = api("GET", f"/executions/{execution_id}/history").json
    assert history["next_cursor"] is None
    entries = history["items"]
    assert [entry["version"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[0]["events"][0]["event"] == "execution_started"
    commands = [command for entry in entries for command in entry["commands"]]
    assert {"command": "set_status", "status": "completed"} in commands
    assert any(command["command"] == "run_node" and command["path"] == "称呼" for command in commands)
    assert "小明" not in str(history)  # payloads stay out


def test_the_history_is_read_page_by_page_each_entry_once(api: Any) -> None:
    api.publish()
    execution_id = api.run()
    whole = api("GET", f"/executions/{execution_id}/history").json["items"]
    found: list[Any] = []
    cursor = ""
    for _ in range(len(whole) + 1):
        page = api("GET", f"/executions/{execution_id}/history?limit=1{cursor}").json
        found += page["items"]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == whole


def test_the_history_waits_for_something_new(api: Any) -> None:
    api.publish()
    execution_id = api.start().json["execution_id"]
    before = api("GET", f"/executions/{execution_id}/history").json
    assert before["items"] == []

    async def both() -> Any:
        url = f"/executions/{execution_id}/history?wait=25&cursor={before['next_cursor']}"
        waiting = asyncio.ensure_future(api.ask("GET", url))
        await asyncio.sleep(0)
        await api.runtime.run_until_ended(execution_id)
        return await waiting

    assert asyncio.run(both()).json["items"]


def test_the_history_of_nothing_new_ends_its_wait(api: Any) -> None:
    api.publish()
    execution_id = api.start().json["execution_id"]
    page = api("GET", f"/executions/{execution_id}/history?wait=0.01").json
    assert page["items"] == []
    assert page["next_cursor"] is not None


@pytest.mark.parametrize("wait", ["26", "-1", "nan", "inf", "soon", ""])
def test_a_wait_is_0_to_25_seconds(api: Any, wait: str) -> None:
    api.publish()
    assert execute(api, "{}", query=f"?wait={wait}").code == "invalid_request"


def test_a_value_too_large_for_an_answer_is_named_and_read_in_slices(api: Any) -> None:
    api.publish(PAIR)
    text = "大" * (BODY_BYTES_MAX // 2)  # three bytes each
    execution_id = api.run("pair", {"text": text})
    url = f"/executions/{execution_id}"
    for address, key in ((url, "output"), (f"{url}?include=input", "input"), (f"{url}/nodes/{quote('甲')}", "output")):
        note = api("GET", address).json[key]
        assert (note["truncated"], note["bytes"]) == (True, len(msgspec.json.encode({"text": text})))
        assert msgspec.json.decode(read_in_slices(api, note["href"])) == {"text": text}
    nodes = api("GET", f"{url}?include=nodes").json["node_executions"]
    assert nodes["甲"]["output"]["truncated"] is True
    assert nodes["甲"]["status"] == "success"


def read_in_slices(api: Any, href: str) -> bytes:
    found = b""
    size = 1
    while len(found) < size:
        reply = api("GET", href.replace("range=0-", f"range={len(found)}-"))
        assert reply.status == 206
        size = int(reply.headers["content-range"].rpartition("/")[2])
        found += reply.body
    return found


def test_outputs_in_the_blob_store_are_not_read_for_a_list_of_nodes(api: Any) -> None:
    import random

    api.publish(PAIR)
    text = random.Random(7).randbytes(20_000).hex()
    execution_id = api.run("pair", {"text": text})
    nodes = api("GET", f"/executions/{execution_id}?include=nodes").json["node_executions"]
    assert nodes["甲"]["output"]["truncated"] is True
    assert api("GET", f"/executions/{execution_id}/nodes/甲").json["output"] == {"text": text}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("include=output&range=0-3", 206),
        ("include=output&range=3-", 206),
        ("include=output&range=99999-", 416),
        ("include=output&range=3-2", 416),
        ("include=output&range=a-b", 422),
        ("include=input,output&range=0-1", 416),
        ("include=nodes&range=0-1", 416),
    ],
)
def test_a_range_is_of_one_value(api: Any, query: str, status: int) -> None:
    api.publish()
    execution_id = api.run()
    reply = api("GET", f"/executions/{execution_id}?{query}")
    assert reply.status == status
    assert reply.status == 206 or reply.code


def test_an_answer_of_full_size_fits_into_lambdas() -> None:
    from workflow_runtime.frontends.api.answers import BODY_BYTES_MAX, Answer

    lambda_answer_bytes_max = 6_291_556
    for body in (b'"\\' * (BODY_BYTES_MAX // 2), "大".encode() * (BODY_BYTES_MAX // 3)):
        event = Answer(200, body, "application/json").event()
        assert len(msgspec.json.encode(event)) < lambda_answer_bytes_max


def test_the_ids_that_starts_give_are_ids(api: Any) -> None:
    api.publish()
    for headers in ({}, {"Idempotency-Key": "k"}):
        assert parameters.EXECUTION_ID.fullmatch(api.start(headers=headers).json["execution_id"])


def test_the_journal_is_read_page_by_page_and_replays(api: Any) -> None:
    api.publish(JOURNALED)
    execution_id = api.run("journaled", {"text": "字" * 350_000})
    recording: dict[str, Any] = {"entries": [], "runs": []}
    pages, url = 0, f"/executions/{execution_id}/journal"
    cursor: str | None = ""
    while cursor is not None:
        page = api("GET", f"{url}?cursor={cursor}" if cursor else url).json
        recording |= page["head"] or {}
        recording["entries"] += page["items"]
        recording["runs"] += page["runs"]
        recording["state"], cursor = page["state"], page["next_cursor"]
        pages += 1
    assert pages > 1
    assert [entry["version"] for entry in recording["entries"]] == list(range(1, len(recording["entries"]) + 1))
    assert recording["state"]["version"] == len(recording["entries"])
    assert first_deviation(decode_recording(msgspec.json.encode(recording))) is None
    assert api("GET", "/executions/ex-nobody/journal").status == 404
    assert api("GET", f"{url}?cursor=abc").code == "not_found"


def test_what_an_execution_waits_for_is_read_page_by_page(api: Any) -> None:
    waits = ", ".join(f"{{id: 等{n}, type: control, subtype: wait, event: e{n}}}" for n in range(5))
    api.publish(f"workflow: {{id: waits, nodes: [{waits}]}}")
    execution_id = api.run("waits")
    url = f"/executions/{execution_id}/why"
    page = api("GET", f"{url}?limit=3").json
    assert ([waiting["path"] for waiting in page["waits"]], page["open_nodes"]) == (["等0", "等1", "等2"], 5)
    assert [event["event"] for event in page["available_events"]] == [f"e{n}" for n in range(5)]
    rest = api("GET", f"{url}?limit=3&cursor={page['next_cursor']}").json
    assert ([waiting["path"] for waiting in rest["waits"]], rest["next_cursor"]) == (["等3", "等4"], None)
    (one,) = api("GET", f"{url}?node={quote('等4')}").json["waits"]
    assert (one["waiting_on"], one["until"]) == ("event", None)
    assert api("GET", f"{url}?node=x").code == "not_found"
    assert api("GET", "/executions/ex-nobody/why").code == "not_found"
