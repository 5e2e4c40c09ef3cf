"""What the fixture `replayed` takes again: executions of every kind, as they were recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.invokers.cassettes.file import decode_cassette, encode_cassette, redacted
from workflow_runtime.testing.cassettes import Replays
from workflow_runtime.testing.kit import WorkflowTester

ROOT = Path(__file__).parents[3]
DEFINITIONS = ROOT / "definitions"
APPROVING = 5  # more people than any shipped workflow asks


def workflow(nodes: str, more: str = "") -> str:
    return f"workflow:\n  id: w\n  type: dag\n  nodes:\n{nodes}{more}"


@pytest.fixture
def project(tmp_path: Path) -> Callable[[str], Path]:
    """The definitions directory with workflows of these texts."""

    def made(*texts: str) -> Path:
        folder = tmp_path / "definitions"
        (folder / "workflows").mkdir(parents=True)
        for number, text in enumerate(texts):
            (folder / "workflows" / f"w{number}.yaml").write_text(text, "utf-8")
        return folder

    return made


SHIPPED = sorted(path.stem for path in (DEFINITIONS / "workflows").glob("*.yaml") if path.stem != "incident_response")


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_workflow_is_taken_again(name: str) -> None:
    input = json.loads((ROOT / "events" / f"{name}.input.json").read_text("utf-8"))
    with WorkflowTester.embedded(DEFINITIONS) as tester:
        result = tester.run(name, input, mocks=DEFINITIONS / "mocks" / f"{name}.yaml")
        for _ in range(APPROVING):
            asked = tester.approvals(result.execution_id)
            if result.status == "running" and asked:
                tester.approve(result.execution_id, str(asked[0]["path"]))
                result = tester.finish(result.execution_id)
        assert result.status in ("completed", "failed")
        cassette = tester.cassette(result.execution_id)
    again = Replays(DEFINITIONS, ROOT)(decode_cassette(encode_cassette(cassette)))
    assert {id: entry["status"] for id, entry in again.nodes.items()} == {
        id: entry["status"] for id, entry in result.nodes.items()
    }


def test_events_come_when_they_came() -> None:
    with WorkflowTester.embedded(DEFINITIONS) as tester:
        id = tester.start(
            "order_state_machine", {"order_id": "A-1", "amount": 259}, DEFINITIONS / "mocks/order_state_machine.yaml"
        )
        for name, data in (("pay", {"payment_method": "card"}), ("confirm", None), ("ship", {"tracking_no": "S"})):
            tester.advance(minutes=5)
            tester.send_event(id, name, data)
        tester.send_event(id, "deliver")
        tester.advance(days=7)
        recorded = tester.finish(id).assert_completed()
        cassette = tester.cassette(id)
    again = Replays(DEFINITIONS, ROOT)(cassette)
    assert [step["event"] for step in again.transitions] == [step["event"] for step in recorded.transitions]


def test_events_from_the_bus_come_by_their_key() -> None:
    paid = {"order_id": "A-2", "payment_method": "alipay"}
    with WorkflowTester.embedded(DEFINITIONS) as tester:
        id = tester.start(
            "order_state_machine", {"order_id": "A-2", "amount": 1}, DEFINITIONS / "mocks/order_state_machine.yaml"
        )
        tester.publish_event("payments", "payment.succeeded", paid)
        tester.send_event(id, "cancel")
        result = tester.finish(id)
        result.assert_status("completed")
        cassette = tester.cassette(id)
    Replays(DEFINITIONS, ROOT)(cassette).assert_variables(payment_method="alipay")


def test_attempts_fail_as_they_did(project: Callable[..., Path]) -> None:
    nodes = """
    - {id: a, type: agent, agent: a, inputs: {q: "${q}"}, retry_policy: {max_retries: 2, retry_delay: 1m}}
    - {id: t, type: tool, tool: http_request, dependencies: [a], inputs: {url: "https://x.example"}, on_error: continue}
"""
    definitions = project(workflow(nodes, '  outputs: {a: "${a}"}\n'))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", script=[{"raise": {"type": "rate_limited"}}, {"return": "fine"}])
        tester.fail("t", "timeout")
        recorded = tester.run("w", {"q": 1}).assert_completed()
        cassette = tester.cassette(recorded.execution_id)
    again = Replays(definitions, ROOT)(cassette)
    again.assert_node("a", attempts=2).assert_node("t", status="failed", handled=True)


def test_an_execution_that_another_one_started_answers_as_it_ended(project: Callable[..., Path]) -> None:
    child = "    - {id: a, type: agent, agent: a, inputs: {}}\n  outputs: {a: '${a}'}\n"
    nodes = """
    - {id: s, type: sub_workflow, workflow_id: child, inputs: {}, outputs: {said: "${output.a}"}}
"""
    definitions = project(
        workflow(nodes, "  outputs: {said: '${s.said}'}\n"), workflow(child).replace("id: w", "id: child")
    )
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", "hello")
        cassette = tester.cassette(tester.run("w", {}).assert_completed().execution_id)
    Replays(definitions, ROOT)(cassette).assert_output({"said": "hello"})


def test_what_the_engine_decides_is_not_on_tape_and_what_a_worker_goes_on_with_is(
    project: Callable[..., Path],
) -> None:
    nodes = """
    - {id: a, type: tool, tool: echo, inputs: {q: 1}}
    - {id: b, type: tool, tool: echo, dependencies: [a], inputs: {q: "${a}"}}
    - {id: c, type: tool, tool: echo, inputs: {q: 2}}
    - {id: all, type: aggregation, dependencies: [c], strategy: collect}
"""
    definitions = project(workflow(nodes))
    with WorkflowTester.embedded(definitions) as tester:
        recorded = tester.run("w", {}).assert_completed()
        cassette = tester.cassette(recorded.execution_id)
    assert sorted((visit.path, visit.number, len(visit.runs)) for visit in cassette.visits) == [
        ("a", 1, 1),
        ("b", 1, 1),
        ("c", 1, 1),
    ]
    Replays(definitions, ROOT)(cassette).assert_output(recorded.output)


def test_each_pass_of_a_loop_is_answered_by_its_own(project: Callable[..., Path]) -> None:
    nodes = """
    - id: each
      type: control
      subtype: loop
      items: "${xs}"
      body: [{id: a, type: agent, agent: a, inputs: {x: "${item}"}}]
"""
    definitions = project(workflow(nodes, "  outputs: {all: '${each}'}\n"))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", lambda inputs: inputs["x"])
        recorded = tester.run("w", {"xs": [3, 1, 2]}).assert_completed()
        cassette = tester.cassette(recorded.execution_id)
    again = Replays(definitions, ROOT)(cassette)
    assert again.output == recorded.output


def test_another_output_of_the_same_answers_is_an_error_unless_it_is_meant(project: Callable[..., Path]) -> None:
    nodes = "    - {id: a, type: agent, agent: a, inputs: {}}\n"
    definitions = project(workflow(nodes, "  outputs: {a: '${a}'}\n"))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", "hello")
        cassette = tester.cassette(tester.run("w", {}).execution_id)
    (definitions / "workflows" / "w0.yaml").write_text(workflow(nodes, "  outputs: {b: '${a}'}\n"), "utf-8")
    replays = Replays(definitions, ROOT)
    with pytest.raises(AssertionError, match=r"\$\.b"):
        replays(cassette)
    replays(cassette, same_output=False).assert_output({"b": "hello"})


def test_what_nobody_can_take_again_is_not_recorded(project: Callable[..., Path]) -> None:
    nodes = "    - {id: w, type: control, subtype: wait, event: go}\n"
    definitions = project(workflow(nodes))
    with WorkflowTester.embedded(definitions) as tester:
        id = tester.start("w", {})
        with pytest.raises(RequestError, match="only what has ended"):
            tester.cassette(id)
        tester.cancel(id)
        with pytest.raises(RequestError, match="was cancelled"):
            tester.cassette(id)


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"[]", "Expected `object`"), (b"{", "truncated"), (b'{"cassette": 1}', "missing required field")],
)
def test_what_is_no_cassette_is_told_so(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(ValueError, match=rf"x\.json is not a cassette: .*{reason}"):
        Replays(tmp_path / "definitions", tmp_path)("x.json")


def test_a_cassette_of_a_newer_version_is_refused(project: Callable[..., Path]) -> None:
    definitions = project(workflow("    - {id: a, type: agent, agent: a, inputs: {}}\n"))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", "hello")
        document = json.loads(encode_cassette(tester.cassette(tester.run("w", {}).execution_id)))
    with pytest.raises(ValueError, match="a newer one made it"):
        decode_cassette(json.dumps({**document, "cassette": 99}).encode())


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "sk-ant-api03-abcdefghijklmnop",
        "ghp_" + "a1" * 18,
        "xoxb-123456789012-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
        "Bearer abcdefghijklmnop1234",
        "postgres://me:hunter22@db.example/x",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_what_looks_like_a_credential_is_hidden(secret: str, project: Callable[..., Path]) -> None:
    definitions = project(workflow("    - {id: a, type: agent, agent: a, inputs: {}}\n"))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", {"text": f"it is {secret}, keep it"})
        cassette = redacted(tester.cassette(tester.run("w", {}).execution_id), ())
    hidden = secret.removeprefix("Bearer ").removeprefix("postgres://").removesuffix("@db.example/x")
    assert hidden not in str(json.loads(encode_cassette(cassette)))
    assert ", keep it" in encode_cassette(cassette).decode()
    Replays(definitions, ROOT)(cassette)


@pytest.mark.parametrize("shown", ["horse-battery-7", "HORSE-BATTERY-7", "aG9yc2UtYmF0dGVyeS03"])
def test_what_is_a_secret_when_it_is_recorded_is_hidden_in_names_too(shown: str, project: Callable[..., Path]) -> None:
    definitions = project(workflow("    - {id: a, type: agent, agent: a, inputs: {}}\n"))
    with WorkflowTester.embedded(definitions) as tester:
        tester.mock_agent("a", {"text": f"it is {shown}, keep it", shown: 1})
        cassette = tester.cassette(tester.run("w", {}).execution_id)
    assert shown in encode_cassette(cassette).decode()
    content = encode_cassette(redacted(cassette, ["horse-battery-7"])).decode()
    assert shown not in content
    assert "it is ***, keep it" in content
    assert '"***": 1' in content
    Replays(definitions, ROOT)(decode_cassette(content.encode()))
