"""``awr run --event``, `awr signal`, and what `awr status` and `awr history` show of charts."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess
from tests.processes.living import eventually

from workflow_runtime.backends.embedded.backend import open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.drawing import FORMATS
from workflow_runtime.frontends.cli.progress import LINES_AT_ONCE_MAX, LINES_PER_SECOND, Pace
from workflow_runtime.frontends.cli.repeating import REPEATS_MAX, Repetition
from workflow_runtime.runtime.in_process import LocalRuntime

ORDER = """
workflow:
  id: order
  type: state_machine
  initial_state: created
  final_states: [shipped, cancelled]
  variables: {amount: 10}
  states:
    - name: created
      transitions:
        - {event: pay, condition: "${method} == 'card'", target: paid}
        - {event: cancel, condition: "amount < 5", target: cancelled}
      after: [{delay: 30d, target: cancelled}]
    - name: paid
      run: [{id: fetch, type: tool, tool: echo, inputs: {by: "${method}"}}]
      on_done: packed
    - name: packed
      transitions: [{event: ship, target: shipped}]
"""
HEARING = """
workflow:
  id: hearing
  nodes:
    - {id: hear, type: control, subtype: wait, event: news, timeout: 2d}
  triggers: [{type: event, topic: hearing.begin}]
"""
MOMENT = re.compile(r" *\d[\d. ]* [smhd]\b.*  ")  # begins the lines of what happened
PAY = """pay={"method": "card"}"""


@pytest.fixture
def order(tmp_path: Path) -> Path:
    path = tmp_path / "order.yaml"
    path.write_text(ORDER, "utf-8")
    return path


def test_events_are_sent_one_after_the_other_each_when_all_before_has_settled(awr: Awr, order: Path) -> None:
    result = awr("run", order, "--event", PAY, "--event", "ship", "--json")
    assert result.exit_code == 0, result.stderr
    document = only_document(result.stdout)
    assert (document["status"], document["current_states"]) == ("completed", ["shipped"])
    events = [step["event"] for step in document["transitions"]]
    assert events == [None, "pay", "done.run.paid", "ship"]
    lines = [line[12:] for line in result.stderr.splitlines()]
    assert [line for line in lines if "→" in line] == [
        "→ created",
        "created → paid  on pay",
        "paid → packed  on done.run.paid",
        "packed → shipped  on ship",
    ]


def test_a_run_that_stays_open_says_which_events_it_listens_to(awr: Awr, order: Path) -> None:
    result = awr("run", order, "--event", PAY)
    assert result.exit_code == 5
    assert "state: packed" in result.stdout
    assert "event: ship  packed → shipped" in result.stderr


def test_time_that_is_skipped_ends_after_a_year_of_timers_that_repeat(awr: Awr, tmp_path: Path) -> None:
    path = tmp_path / "ever.yaml"
    path.write_text(
        "workflow: {id: ever, type: state_machine, initial_state: a, states: [{name: a, after: "
        "[{delay: 10d, every: 30d, actions: []}], transitions: [{event: end, target: done}]}]}"
    )
    result = awr("run", path, "--skip-time")
    assert result.exit_code == 5
    assert "a  stays  on timeout  12 times" in result.stdout
    assert "waiting: a year has passed, and timers go on" in result.stderr


TICKING = """
workflow:
  id: ticking
  type: state_machine
  initial_state: a
  final_states: [z]
  variables: {n: 0}
  states:
    - name: a
      after: [{delay: 30m, every: 30m, actions: [{ACTION}]}, {MORE}]
      always: [{condition: "n > 100", target: z}]
      transitions: [{event: end, target: z}]
"""


def ticking(path: Path, action: str, more: str = "delay: 1h, every: 1h") -> Path:
    path.write_text(TICKING.replace("ACTION", action).replace("MORE", more), "utf-8")
    return path


def test_time_that_is_skipped_ends_when_timers_only_repeat(awr: Awr, tmp_path: Path) -> None:
    result = awr("run", ticking(tmp_path / "t.yaml", "log: tick"), "--skip-time")
    assert result.exit_code == 5
    assert "waiting: nothing is left but timers that repeat" in result.stderr
    assert "a repeats every 30 m 00 s" in result.stderr
    assert "a repeats every 1 h 00 m" in result.stderr
    assert "--event @24h" in result.stderr
    lines = [line[12:] for line in result.stderr.splitlines() if MOMENT.match(line)]
    assert lines == ["→ a", "a  stays  on timeout", f"… again, {REPEATS_MAX} times"]  # the last two at once


def test_timers_that_repeat_do_not_hide_one_that_comes_later(awr: Awr, tmp_path: Path) -> None:
    path = ticking(tmp_path / "t.yaml", "log: tick", "delay: 3d, target: z")
    result = awr("run", path, "--skip-time")
    assert (result.exit_code, "completed in 3 d 00 h" in result.stdout) == (0, True)
    assert "… again, 142 times" in result.stderr


def test_timers_that_count_are_given_time_to_come_to_an_end(awr: Awr, tmp_path: Path) -> None:
    counting = ticking(tmp_path / "t.yaml", "set_variable: {name: n, value: '${n + 1}'}")
    assert "state: z" in awr("run", counting, "--skip-time").stdout
    counting = ticking(tmp_path / "t.yaml", "set_variable: {name: n, value: '${n - 1}'}")
    result = awr("run", counting, "--skip-time")
    assert (result.exit_code, "nothing is left but timers that repeat" in result.stderr) == (5, True)


def test_nodes_that_still_run_are_waited_for_while_timers_repeat(awr: Awr, tmp_path: Path) -> None:
    path = ticking(tmp_path / "t.yaml", "log: tick")
    often = path.read_text("utf-8").replace("30m", "10s")
    path.write_text(f"{often}      run: {{id: think, type: agent, agent: thinker}}\n      on_done: z\n", "utf-8")
    mocks = tmp_path / "mocks.yaml"
    mocks.write_text("agents: {thinker: {delay: 800, return: 1}}\n", "utf-8")
    result = awr("run", path, "--mocks", mocks, "--skip-time")
    assert (result.exit_code, "state: z" in result.stdout) == (0, True), result.stderr


def test_the_same_line_again_waits_for_what_comes_next(awr: Awr, tmp_path: Path) -> None:
    path = ticking(tmp_path / "t.yaml", "log: tick")
    result = awr("run", path, "--event", "@59m", "--event", "@4h", "--event", "end")
    lines = [line[12:] for line in result.stderr.splitlines() if MOMENT.match(line)]
    assert lines == ["→ a", "a  stays  on timeout", "a  stays  on timeout", "… again, 11 times", "a → z  on end"]


def test_an_event_that_is_not_taken_is_told_with_the_reason(awr: Awr, order: Path) -> None:
    result = awr("run", order, "--event", 'pay={"method": "cash"}', "--event", PAY, "--event", "ship", "--event", PAY)
    assert result.exit_code == 0
    assert "pay: not taken: `${method} == 'card'` of `created` is false" in result.stderr
    assert "pay: not taken: the execution has ended, it is completed" in result.stderr


def test_time_passes_when_it_is_told_to_and_stands_still_otherwise(awr: Awr, order: Path) -> None:
    early = awr("run", order, "--event", "@24h")
    assert early.exit_code == 5
    assert "time: 24 h 00 m pass" in early.stderr
    assert "time does not move on without --skip-time" in early.stderr
    assert "event: cancel  created → cancelled  if amount < 5  (now false)" in early.stderr
    assert "timer: created is due at " in early.stderr
    late = awr("run", order, "--event", "@30d12h")
    assert (late.exit_code, "created → cancelled  on timeout" in late.stderr) == (0, True)


def test_with_skip_time_timers_fire_once_no_event_is_left(awr: Awr, order: Path) -> None:
    assert "state: shipped" in awr("run", order, "--skip-time", "--event", PAY, "--event", "ship").stdout
    assert "state: cancelled" in awr("run", order, "--skip-time", "--event", 'pay={"method": "cash"}').stdout


@pytest.mark.parametrize(
    ("event", "code", "words"),
    [
        ("pya", 1, "did you mean 'pay'?"),
        ("pay={a: 1}", 1, "the data of event 'pay' is not valid JSON: --event pay:1:2: "),
        ('pay={"a": {"b": 1, "b": 2}}', 1, "the key `a.b` stands twice in the data of event 'pay': --event pay"),
        ("pay=", 1, "for example --event pay='"),
        ("=1", 2, "names no event"),
        ("@tomorrow", 2, "not a duration"),
        ("pay=@none.json", 1, "none.json"),
    ],
)
def test_a_wrong_event_is_refused_before_anything_runs(
    awr: Awr, order: Path, event: str, code: int, words: str
) -> None:
    result = awr("run", order, "--event", event)
    assert result.exit_code == code
    assert words in result.stderr
    assert "created" not in result.stdout


def test_the_data_of_an_event_may_be_a_file(awr: Awr, order: Path) -> None:
    Path("pay.json").write_text('{"method": "card"}')
    assert "state: packed" in awr("run", order, "--event", "pay=@pay.json").stdout


@pytest.fixture(scope="module")
def dev_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("dev")
    workflows = folder / "definitions" / "workflows"
    workflows.mkdir(parents=True)
    (workflows / "order.yaml").write_text(ORDER, "utf-8")
    (workflows / "hearing.yaml").write_text(HEARING, "utf-8")
    with DevProcess(folder / "log", "--definitions", folder / "definitions") as process:
        yield process.url


@pytest.fixture
def dev(dev_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWR_URL", dev_url)
    monkeypatch.delenv("AWR_TOKEN", raising=False)
    return dev_url


def status_of(awr: Awr, execution_id: str) -> Any:
    return only_document(awr("status", execution_id, "--json").stdout)


def until_packed(awr: Awr, execution_id: str) -> None:
    """What an event does is told when it has moved the chart: what the new state runs goes on by itself."""
    eventually(lambda: status_of(awr, execution_id)["current_states"] == ["packed"])


@pytest.mark.usefixtures("dev")
def test_signals_move_an_execution_of_a_server_and_tell_what_they_did(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    ignored = awr("signal", execution_id, "pay", '{"method": "cash"}', "--wait", "100")
    assert ignored.exit_code == 1
    assert "pay: not taken: `${method} == 'card'` of `created` is false" in ignored.stdout
    taken = awr("signal", execution_id, "pay", '{"method": "card"}', "--key", "k", "--wait", "100")
    assert taken.exit_code == 0
    assert "created → paid  on pay" in taken.stdout
    repeated = ("pay", '{"method": "card"}', "--key", "k", "--wait", "100", "--json")
    again = only_document(awr("signal", execution_id, *repeated).stdout)
    assert (again["outcome"], again["transition"]["configuration"]) == ("taken", ["paid"])
    until_packed(awr, execution_id)
    shown = awr("status", execution_id).stdout
    assert "event: ship  packed → shipped" in shown
    assert 'method = "card"' in shown
    assert awr("signal", execution_id, "ship", "--wait", "100").exit_code == 0
    late = awr("signal", execution_id, "ship")
    assert (late.exit_code, "it is completed" in late.stderr) == (1, True)
    history = awr("history", execution_id).stdout
    for line in ("signal_received pay", "created → paid  on pay", "paid → packed  on done.run.paid"):
        assert line in history


FAREWELL = """\
workflow:
  id: farewell
  type: state_machine
  initial_state: open
  final_states: [closed]
  states:
    - {name: open, transitions: [{event: close, target: closed, actions: [{publish_event: {topic: "${topic}"}}]}]}
"""


@pytest.mark.usefixtures("dev")
def test_an_action_that_fails_as_its_chart_ends_is_shown_wherever_transitions_are(awr: Awr, tmp_path: Path) -> None:
    path = tmp_path / "farewell.yaml"
    path.write_text(FAREWELL, "utf-8")
    why = "publish_event: a topic has 1 to 128 characters, this one 129"
    input = json.dumps({"topic": "题" * 129})
    assert f"✗ {why}" in awr("run", path, "--input", input, "--event", "close").stderr
    assert awr("publish", path).exit_code == 0
    execution_id = awr("start", "farewell", "--input", input).stdout.strip()
    assert f"✗ {why}" in awr("signal", execution_id, "close", "--wait", "100").stdout
    for command in ("status", "history"):
        assert f"✗ {why}" in awr(command, execution_id).stdout, command
    document = only_document(awr("status", execution_id, "--json").stdout)
    assert document["status"] == "completed"
    assert [step["failures"] for step in document["transitions"]] == [[], [why]]
    assert why in awr("logs", execution_id).stdout


@pytest.mark.usefixtures("dev")
def test_an_execution_of_a_server_is_cancelled_and_its_history_says_why(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    result = awr("cancel", execution_id, "--reason", "订单撤回", "--key", "k")
    assert (result.exit_code, result.stdout) == (0, f"cancelling: {execution_id}\n"), result.stderr
    assert awr("status", execution_id, "--watch").exit_code == 4
    assert "cancel_requested 订单撤回" in awr("history", execution_id).stdout
    again = awr("cancel", execution_id)
    assert (again.exit_code, again.stdout) == (0, f"cancelled already: {execution_id}\n")
    assert only_document(awr("cancel", execution_id, "--key", "k", "--json").stdout)["changed"] is True
    assert awr("cancel", "ex-none").exit_code == 1


@pytest.mark.usefixtures("dev")
def test_an_execution_of_a_server_is_suspended_and_resumed(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    result = awr("suspend", execution_id, "--reason", "停机维护")
    assert (result.exit_code, result.stdout) == (0, f"suspending: {execution_id}\n"), result.stderr
    eventually(lambda: status_of(awr, execution_id)["status"] == "suspended")
    assert awr("suspend", execution_id).stdout == f"suspended already: {execution_id}\n"
    held = awr("signal", execution_id, "pay", '{"method": "card"}', "--wait", "100")
    assert (held.exit_code, "held" in held.stdout) == (0, True), held.stdout
    shown = awr("status", execution_id).stdout
    assert ": 停机维护; 1 event held" in shown
    assert execution_id in awr("list", "order", "--status", "suspended").stdout
    assert "停机维护" in awr("why", execution_id).stdout
    result = awr("resume", execution_id)
    assert (result.exit_code, result.stdout) == (0, f"resuming: {execution_id}\n"), result.stderr
    eventually(lambda: len(status_of(awr, execution_id)["transitions"]) >= 2)
    document = status_of(awr, execution_id)
    assert document["status"] != "suspended"
    assert [step["event"] for step in document["transitions"]][:2] == [None, "pay"]
    history = awr("history", execution_id).stdout
    assert "suspend_requested 停机维护" in history
    assert awr("resume", "ex-none").exit_code == 1


@pytest.mark.usefixtures("dev")
def test_an_execution_of_a_server_goes_on_after_its_end(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    refused = awr("retry", execution_id)
    assert (refused.exit_code, "cannot be retried" in refused.stderr) == (1, True)
    awr("cancel", execution_id)
    awr("status", execution_id, "--watch")
    result = awr("retry", execution_id, "--reason", "又要了")
    assert (result.exit_code, result.stdout) == (0, f"retrying: {execution_id}\n"), result.stderr
    eventually(lambda: status_of(awr, execution_id)["status"] == "running")
    assert awr("signal", execution_id, "pay", '{"method": "card"}', "--wait", "100").exit_code == 0
    assert "retry_requested 又要了" in awr("history", execution_id).stdout
    assert awr("retry", execution_id, "--variables", "[1]").exit_code == 2
    unknown = awr("skip", execution_id, "nobody", "--output", "{}")
    assert (unknown.exit_code, "no node `nobody`" in unknown.stderr) == (1, True)


@pytest.mark.usefixtures("dev")
def test_events_put_on_the_bus_of_a_server_start_workflows(awr: Awr) -> None:
    result = awr("publish-event", "shop", "hearing.begin", '{"n": 1}')
    assert result.exit_code == 0, result.stderr
    assert awr("publish-event", "shop", "hearing.begin", "[1]").exit_code == 1
    assert awr("publish-event", "workflow-runtime", "hearing.begin").exit_code == 1
    assert awr("publish-event", "shop").exit_code == 2

    def found() -> Any:
        return only_document(awr("list", "hearing", "--json").stdout)["executions"]

    eventually(lambda: bool(found()))
    [execution] = found()
    assert awr("signal", execution["execution_id"], "news", '{"a": 1}', "--wait", "100").exit_code == 0
    ended = awr("status", execution["execution_id"], "--watch", "--json")
    assert (ended.exit_code, only_document(ended.stdout)["output"]) == (0, None)


@pytest.mark.usefixtures("dev")
def test_files_with_whole_events_are_put_on_the_bus(awr: Awr, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text('{"source": "shop", "detail-type": "nobody.asked", "detail": {"n": 1}, "id": "x"}', "utf-8")
    result = awr("publish-event", f"@{file}")
    assert (result.exit_code, result.stdout) == (0, "published: nobody.asked from shop\n"), result.stderr
    for wrong in ("[1]", '{"source": "shop", "detail": {}}', '{"source": "shop", "detail-type": "a", "detail": 1}'):
        file.write_text(wrong, "utf-8")
        result = awr("publish-event", f"@{file}")
        assert (result.exit_code, "holds no event" in result.stderr) == (1, True)


@pytest.mark.usefixtures("dev")
def test_the_graph_of_a_server_s_execution_marks_where_it_is(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    assert awr("signal", execution_id, "pay", '{"method": "card"}', "--wait", "100").exit_code == 0
    until_packed(awr, execution_id)
    drawn = {format: awr("graph", "--execution", execution_id, "--format", format) for format in FORMATS}
    assert [result.exit_code for result in drawn.values()] == [0] * len(FORMATS)
    assert "▶ packed" in drawn["text"].stdout
    assert " active\n" in drawn["mermaid"].stdout
    assert drawn["svg"].stdout.startswith("<svg")
    assert drawn["dot"].stdout.startswith("digraph")
    assert awr("graph", "--execution", "ex-0").exit_code == 1
    assert awr("graph", "--execution", execution_id, "--url", "http://127.0.0.1:9").exit_code == 6


def test_the_graph_of_an_execution_in_a_file_marks_where_it_is(awr: Awr, order: Path) -> None:
    execution_id = only_document(awr("run", order, "--event", PAY, "--db", "runs.db", "--json").stdout)["execution_id"]
    marked = awr("graph", "--execution", execution_id, "--db", "runs.db", "--format", "text")
    assert (marked.exit_code, "▶ packed" in marked.stdout) == (0, True), marked.stderr
    assert "fetch  (tool echo, success)" in marked.stdout
    unmarked = awr("graph", order, "--format", "text").stdout
    assert "▶ packed" not in unmarked
    assert awr("graph", "--execution", "ex-0", "--db", "runs.db").exit_code == 1


@pytest.mark.parametrize(
    "words",
    [[], ["--db", "runs.db"], ["order.yaml", "--execution", "ex-0"], ["--execution", "ex-0", "--db", "none.db"]],
)
@pytest.mark.usefixtures("order")
def test_a_graph_is_of_a_file_or_of_an_execution(awr: Awr, words: list[str]) -> None:
    Path("runs.db").touch()
    assert awr("graph", *words).exit_code == 2


RACE = """
workflow:
  id: race
  type: hybrid
  initial_state: working
  final_states: [late, on_time, stopped]
  states:
    - name: working
      run: {id: slow, type: tool, tool: sleeper}
      on_done: late
      after: [{delay: 1, target: on_time}]
      transitions: [{event: stop, target: stopped}, {event: hold, target: held}]
    - name: held
      run: {id: other, type: tool, tool: sleeper}
      transitions: [{event: stop, target: stopped}]
"""


@pytest.fixture
def race(tmp_path: Path) -> tuple[Path, str, Path]:
    workflow, mocks = tmp_path / "race.yaml", tmp_path / "mocks.yaml"
    workflow.write_text(RACE, "utf-8")
    mocks.write_text("tools: {sleeper: {delay: 3600}}", "utf-8")
    return workflow, "--mocks", mocks


@pytest.mark.parametrize("options", [(), ("--skip-time",)])
def test_timers_fire_while_a_node_runs(awr: Awr, race: tuple[Path, str, Path], options: tuple[str, ...]) -> None:
    document = only_document(awr("run", *race, *options, "--json").stdout)  # in an hour, if it waited for the node
    assert document["current_states"] == ["on_time"]


def test_events_come_at_times_of_their_own_while_a_node_runs(awr: Awr, race: tuple[Path, str, Path]) -> None:
    result = awr("run", *race, "--event", "@500ms:hold", "--event", '@2s:stop={"why": "enough"}', "--json")
    document = only_document(result.stdout)
    assert document["current_states"] == ["stopped"]
    at = [datetime.fromisoformat(step["at"]) for step in document["transitions"]]
    assert [round((each - at[0]).total_seconds(), 1) for each in at] == [0, 0.5, 2.5]


def test_an_event_whose_time_comes_after_the_end_is_told_to_be_refused(awr: Awr, race: tuple[Path, str, Path]) -> None:
    result = awr("run", *race, "--event", "@3s:stop")
    assert result.exit_code == 0
    assert "stop: not taken" in result.stderr


def test_a_chart_that_its_own_timers_move_for_ever_has_been_seen_enough_of() -> None:
    states = [
        {"name": "a", "after": [{"delay": 1, "target": "b"}]},
        {"name": "b", "after": [{"delay": 1, "target": "a"}]},
    ]
    turns = {"id": "turns", "type": "state_machine", "initial_state": "a", "states": states}
    clock = VirtualClock(0)
    with LocalRuntime(open_backend(None, clock)) as runtime:
        runtime.services.catalog.publish(json.dumps({"workflow": turns}).encode(), "turns.json", scheduled=False)
        execution_id = runtime.services.starter.start("turns", {})
        repetition = Repetition(runtime, execution_id, turns_max=40)
        year = 366 * 24 * 3600 * 1000
        asyncio.run(runtime.settle(execution_id, [(year, lambda: None)], repetition.seen))
    assert repetition.endless >= 40
    assert clock.now() < 200_000


SELF_SENDING = """\
workflow:
  id: 回声
  type: state_machine
  initial_state: a
  states:
    - {name: a, on_enter: [{send: {event: x}}], transitions: [{event: x, target: a}]}
"""


def test_thousands_of_transitions_are_counted_and_not_printed(awr: Awr, tmp_path: Path) -> None:
    path = tmp_path / "echo.yaml"
    path.write_text(SELF_SENDING, "utf-8")
    result = awr("run", path, "--skip-time", "--db", "runs.db")
    assert result.exit_code == 3
    assert "events follow each other without end (more than 10,000)" in result.stdout
    assert len(result.stderr.splitlines()) < 200
    assert len(result.stdout.splitlines()) < 50
    [told] = [line for line in result.stderr.splitlines() if "more lines: awr history ex-" in line]
    assert "--db runs.db" in told


def test_lines_are_shown_at_the_pace_of_who_reads_them() -> None:
    seconds = [0.0]
    pace = Pace(lambda: seconds[0])
    assert sum(pace.allows() for _ in range(10 * LINES_AT_ONCE_MAX)) == LINES_AT_ONCE_MAX
    assert pace.missed == 9 * LINES_AT_ONCE_MAX
    seconds[0] = 2.0
    assert sum(pace.allows() for _ in range(100)) == 2 * LINES_PER_SECOND
    seconds[0] = 10_000.0
    assert sum(pace.allows() for _ in range(1_000)) == LINES_AT_ONCE_MAX
