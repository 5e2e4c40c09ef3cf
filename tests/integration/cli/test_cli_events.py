"""``awr run --event``, `awr signal`, and what `awr status` and `awr history` show of charts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess

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


def test_an_event_that_is_not_taken_is_told_with_the_reason(awr: Awr, order: Path) -> None:
    result = awr("run", order, "--event", 'pay={"method": "cash"}', "--event", PAY, "--event", "ship", "--event", PAY)
    assert result.exit_code == 0
    assert "pay: not taken: `${method} == 'card'` of `created` is false" in result.stderr
    assert "pay: not taken: the execution has ended, it is completed" in result.stderr


def test_time_passes_when_it_is_told_to_and_stands_still_otherwise(awr: Awr, order: Path) -> None:
    early = awr("run", order, "--event", "@24h")
    assert early.exit_code == 5
    assert "time: 24 h 00 m pass" in early.stderr
    assert "time moves no further without --skip-time" in early.stderr
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
        ("pay={a: 1}", 1, "the data of event 'pay' is no JSON: --event pay:1:2: "),
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


@pytest.mark.usefixtures("dev")
def test_signals_move_an_execution_of_a_server_and_tell_what_they_did(awr: Awr) -> None:
    execution_id = awr("start", "order").stdout.strip()
    ignored = awr("signal", execution_id, "pay", '{"method": "cash"}', "--wait", "20")
    assert ignored.exit_code == 1
    assert "pay: not taken: `${method} == 'card'` of `created` is false" in ignored.stdout
    taken = awr("signal", execution_id, "pay", '{"method": "card"}', "--key", "k", "--wait", "20")
    assert taken.exit_code == 0
    assert "created → paid  on pay" in taken.stdout
    again = only_document(awr("signal", execution_id, "pay", "--key", "k", "--wait", "20", "--json").stdout)
    assert (again["outcome"], again["transition"]["configuration"]) == ("taken", ["paid"])
    shown = awr("status", execution_id).stdout
    assert "event: ship  packed → shipped" in shown
    assert 'method = "card"' in shown
    assert awr("signal", execution_id, "ship", "--wait", "20").exit_code == 0
    late = awr("signal", execution_id, "ship")
    assert (late.exit_code, "it is completed" in late.stderr) == (1, True)
    history = awr("history", execution_id).stdout
    for line in ("signal_received pay", "created → paid  on pay", "paid → packed  on done.run.paid"):
        assert line in history


@pytest.mark.usefixtures("dev")
def test_events_put_on_the_bus_of_a_server_start_workflows(awr: Awr) -> None:
    result = awr("publish-event", "shop", "hearing.begin", '{"n": 1}')
    assert result.exit_code == 0, result.stderr
    assert awr("publish-event", "shop", "hearing.begin", "[1]").exit_code == 1
    assert awr("publish-event", "workflow-runtime", "hearing.begin").exit_code == 1
    for _ in range(100):
        found = only_document(awr("list", "hearing", "--json").stdout)["executions"]
        if found:
            break
    [execution] = found
    assert awr("signal", execution["execution_id"], "news", '{"a": 1}', "--wait", "20").exit_code == 0
    ended = awr("status", execution["execution_id"], "--watch", "--json")
    assert (ended.exit_code, only_document(ended.stdout)["output"]) == (0, None)
