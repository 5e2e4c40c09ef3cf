"""Charts that run graphs, graphs that hold charts, and both at the top."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.engine.driver import Driver, control, on, plan_of, started, state

from workflow_runtime.compiler import compile_or_raise
from workflow_runtime.engine.codec import decode_state, encode_state
from workflow_runtime.engine.commands import CancelRun, RunNode
from workflow_runtime.plan.addresses import TOP_CHART, TOP_GRAPH


def tool(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "tool", "tool": "t", **fields}


# ---- run graphs of states


def test_the_output_of_a_run_graph_comes_as_its_done_event() -> None:
    driver = started(
        state(
            "a",
            run=[tool("one"), tool("two", inputs={"x": "${one.n}"})],
            on_done={"target": "b", "actions": [{"set_variable": {"name": "got", "value": "${event.data}"}}]},
        ),
        state("b"),
    )
    driver.succeed("a/one", {"n": 1})
    assert driver.inputs("a/two") == {"x": 1}
    driver.succeed("a/two", {"m": 2})
    assert driver.configuration == ["b"]
    assert driver.variables == {"got": {"m": 2}}


def test_the_data_of_done_events_never_becomes_variables() -> None:
    driver = started(state("a", run=tool("one"), on_done={"target": "b", "actions": [{"log": "${n}"}]}), state("b"))
    driver.succeed("a/one", {"n": 1})
    assert driver.logs == ["1"]
    assert driver.variables == {}


def test_a_run_graph_sees_the_variables_as_they_are_when_a_node_becomes_ready() -> None:
    nodes = [tool("one", inputs={"x": "${x}"}), tool("two", inputs={"x": "${x}"}, dependencies=["one"])]
    driver = started(state("a", on("change", None), run=nodes), variables={"x": 1}, merge_event_data=True)
    assert driver.inputs("a/one") == {"x": 1}
    driver.send("change", {"x": 2})
    driver.succeed("a/one")
    assert driver.inputs("a/two") == {"x": 2}


def test_a_failing_run_graph_raises_an_error_with_its_document() -> None:
    driver = started(
        state("a", run=tool("one"), on_error={"target": "b", "actions": [{"log": "${type} ${node} ${event.name}"}]}),
        state("b"),
    )
    driver.fail("a/one", "rate_limited")
    assert driver.logs == ["rate_limited a/one error.run.a"]
    assert driver.configuration == ["b"]


def test_a_failing_run_graph_that_nobody_minds_fails_the_execution() -> None:
    driver = started(state("a", run=tool("one")))
    driver.fail("a/one", "rate_limited")
    assert (driver.status, driver.error) == ("failed", ("rate_limited", "a/one"))


def test_leaving_a_state_cancels_its_graph_and_its_late_result_is_ignored() -> None:
    driver = started(state("a", on("go", "b"), run=tool("one"), on_done="c"), state("b"), state("c"))
    late = driver.success("a/one")
    driver.ordered["a/one"] = driver.commands(RunNode)[0]
    driver.send("go")
    assert driver.cancelled == ["a/one"]
    driver.take(late)
    assert driver.configuration == ["b"]
    assert driver.ignored[-1][1] == "the state that ran it was left before its result came"


def test_a_state_that_is_entered_again_runs_its_graph_anew_with_new_serials() -> None:
    driver = started(
        state("a", on("again", "a"), run=[tool("one"), tool("two", dependencies=["one"])], on_done="b"), state("b")
    )
    first = driver.success("a/one")
    driver.ordered["a/one"] = driver.commands(RunNode)[0]
    driver.send("again")
    assert [command.serial for command in driver.commands(RunNode)] == [1, 2]
    driver.take(first)  # of the first visit
    assert list(driver.ordered) == ["a/one"]
    driver.succeed("a/one")
    driver.succeed("a/two")
    assert driver.configuration == ["b"]
    assert len({(command.path, command.serial) for command in driver.commands(RunNode)}) == 3


def test_a_worker_that_was_lost_before_the_state_was_left_takes_no_serial_of_the_next_visit() -> None:
    driver = started(state("a", on("again", "a"), run=tool("one"), on_done="b"), state("b"))
    driver.fail("a/one", "worker_lost")
    driver.send("again")
    assert [command.serial for command in driver.commands(RunNode)] == [1, 2, 3]
    driver.succeed("a/one")
    assert driver.configuration == ["b"]


def test_a_run_graph_of_decided_nodes_is_done_at_once() -> None:
    run = control("keep", "pass", inputs={"n": 1})
    driver = started(state("a", run=run, on_done={"target": "b", "actions": [{"log": "${n}"}]}), state("b"))
    assert driver.configuration == ["b"]
    assert driver.logs == ["1"]


def test_regions_run_their_graphs_side_by_side() -> None:
    def region(name: str) -> dict[str, Any]:
        work = state(f"{name}1", run=tool("work"), on_done=f"{name}2")
        return {"name": name, "initial": f"{name}1", "states": [work, {"name": f"{name}2", "type": "final"}]}

    both = {"name": "p", "type": "parallel", "states": [region("x"), region("y")], "on_done": "b"}
    driver = started(both, state("b"))
    assert list(driver.ordered) == ["x1/work", "y1/work"]
    driver.succeed("y1/work")
    assert driver.configuration == ["x1", "y2"]
    driver.succeed("x1/work")
    assert driver.configuration == ["b"]


def test_a_final_state_at_the_top_cancels_what_still_runs() -> None:
    driver = started(state("a", on("stop", "done"), run=tool("one")))
    driver.send("stop")
    assert driver.status == "completed"
    assert [command.path for command in driver.commands(CancelRun)] == ["a/one"]


def test_the_output_of_a_chart_is_its_outputs_or_its_variables() -> None:
    states = [state("a", on("go", "done"))]
    plain = started(*states, variables={"n": 1})
    plain.send("go", {"m": 2})
    shaped = started(*states, variables={"n": 1}, outputs={"sum": "${n + m}"})
    shaped.send("go", {"m": 2})
    assert (plain.output, shaped.output) == ({"n": 1, "m": 2}, {"sum": 3})


def test_outputs_that_do_not_fit_the_schema_fail_the_execution() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "string"}}}
    driver = started(state("a", on("go", "done")), variables={"n": 1}, output_schema=schema)
    driver.send("go")
    assert (driver.status, driver.error) == ("failed", ("validation_error", ""))


# ---- agents and tools as actions


def call(**fields: Any) -> dict[str, Any]:
    return {"tool": {"tool": "check", **fields}}


def test_the_result_of_a_called_tool_becomes_the_variable() -> None:
    driver = started(
        state("a", on("done.run.a", "b"), on_enter=[call(inputs={"n": "${n}"}, result="found")]),
        state("b"),
        variables={"n": 1},
    )
    assert driver.inputs("a/check") == {"n": 1}
    driver.succeed("a/check", {"ok": True})
    assert driver.variables["found"] == {"ok": True}
    assert driver.configuration == ["b"]


def test_the_inputs_of_a_call_are_those_of_its_moment() -> None:
    driver = started(
        state("a", on("go", "b", call(inputs={"n": "${n}"}), {"set_variable": {"name": "n", "value": 9}})), state("b")
    )
    driver.send("go", {"n": 1})
    ((path, command),) = driver.ordered.items()
    assert driver.inputs(path) == {"n": 1}
    assert command.has_inputs


def test_a_failed_call_raises_an_error_that_may_be_taken() -> None:
    driver = started(
        state("a", on("error.run.a", "b", {"log": "${event.data.type}"}), on_enter=[call()]),
        state("b"),
    )
    driver.fail("a/check", "not_found")
    assert driver.logs == ["not_found"]
    assert driver.configuration == ["b"]


def test_a_failed_call_that_nobody_minds_fails_the_execution() -> None:
    driver = started(state("a", on_enter=[call()]))
    driver.fail("a/check", "not_found")
    assert (driver.status, driver.error) == ("failed", ("not_found", "a/check"))


def test_a_failed_call_that_is_not_required_is_passed_over() -> None:
    driver = started(state("a", on_enter=[{**call(), "required": False}]))
    driver.fail("a/check", "not_found")
    assert driver.status == "running"


def test_a_call_ends_with_the_state_that_made_it_on_entry() -> None:
    driver = started(state("a", on("go", "b"), on_enter=[call(result="found")]), state("b"))
    driver.send("go")
    assert driver.cancelled == ["a/check"]
    assert driver.ordered == {}


def test_a_call_of_a_transition_goes_on_in_the_next_state() -> None:
    driver = started(state("a", on("go", "b", call(result="found"))), state("b", on("done.run.*", "c")), state("c"))
    driver.send("go")
    ((path, _),) = driver.ordered.items()
    driver.succeed(path, 1)
    assert driver.variables == {"found": 1}
    assert driver.configuration == ["c"]


def test_a_call_in_a_state_that_is_entered_again_is_made_again() -> None:
    driver = started(
        state("a", on("again", "a"), on_enter=[call(inputs={"n": "${n}"}, result="found")]),
        variables={"n": 1},
        merge_event_data=True,
    )
    driver.send("again", {"n": 2})
    assert driver.inputs("a/check") == {"n": 2}
    assert driver.ordered["a/check"].serial == 2
    driver.succeed("a/check", "second")
    assert driver.variables["found"] == "second"


# ---- charts inside graphs


def machine(id: str, *states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "state_machine", "initial_state": states[0]["name"], "states": list(states), **fields}


def test_a_chart_in_a_graph_starts_with_its_inputs_and_yields_its_variables() -> None:
    nodes = [
        tool("first"),
        machine("m", state("a", on("go", "done")), inputs={"n": "${first.n}"}, final_states=["done"]),
        tool("last", inputs={"got": "${m}"}),
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.succeed("first", {"n": 1})
    driver.send("go", {"m": 2})
    assert driver.inputs("last") == {"got": {"n": 1, "m": 2}}


def test_a_chart_that_sets_a_variable_leaves_the_definition_alone() -> None:
    count = {"set_variable": {"name": "n", "value": "${n + 1}"}}
    nodes = [machine("m", state("x", on("go", "done", count)), inputs={"n": 1}, final_states=["done"])]
    plan = plan_of(nodes)
    for _ in range(2):
        driver = Driver(plan).start()
        driver.send("go")
        assert driver.output == {"n": 2}


def test_a_chart_in_a_graph_can_shape_its_output() -> None:
    nodes = [
        machine("m", state("a", on("go", "done")), inputs={"n": 1}, outputs={"sum": "${n + m}"}, final_states=["done"])
    ]
    driver = Driver(plan_of(nodes)).start()
    driver.send("go", {"m": 2})
    assert (driver.status, driver.output) == ("completed", {"sum": 3})


def test_an_inner_chart_reads_outward_and_writes_its_own() -> None:
    inner = machine(
        "m",
        state("x", on("go", "done", {"set_variable": {"name": "n", "value": "${n + outer_n}"}})),
        inputs={"n": 1},
        final_states=["done"],
    )
    driver = started(
        state("a", run=[inner], on_done={"target": "b", "actions": [{"log": "${event.data.n}"}]}),
        state("b"),
        variables={"n": 10, "outer_n": 5},
    )
    driver.send("go")
    assert driver.logs == ["6"]
    assert driver.variables["n"] == 10


def test_events_go_to_the_innermost_chart_that_takes_them() -> None:
    inner = machine("m", state("x", on("go", "y", condition="ready"), on("in", None)), state("y"))
    driver = started(state("a", on("go", None, {"log": "outer"}), run=[inner]))
    driver.send("go", {"ready": False})
    assert driver.logs == ["outer"]
    driver.send("go", {"ready": True})
    assert driver.logs == ["outer"]
    assert [(step.machine, step.event) for step in driver.macrosteps[-2:]] == [("", "go"), ("a/m", "go")]


def test_a_chart_in_a_graph_that_fails_fails_its_node() -> None:
    nodes = [machine("m", state("x", on("go", None, {"log": "${1 / 0}"}), run=tool("one"))), tool("other")]
    driver = Driver(plan_of(nodes)).start()
    driver.send("go")
    assert (driver.status, driver.error) == ("failed", ("execution_error", "m"))
    assert set(driver.cancelled) == {"m/x/one", "other"}


def test_a_run_that_fails_in_a_chart_in_a_graph_fails_its_node() -> None:
    driver = Driver(plan_of([machine("m", state("x", run=tool("one")))])).start()
    driver.fail("m/x/one", "rate_limited")
    assert (driver.status, driver.error) == ("failed", ("rate_limited", "m/x/one"))


def test_ending_an_outer_state_ends_the_charts_inside_with_their_timers() -> None:
    inner = machine(
        "m",
        state(
            "x", run=tool("one"), after=[{"delay": 10, "target": "y"}], on_enter=[{"send": {"event": "e", "delay": 5}}]
        ),
        state("y", on("e", None)),
    )
    driver = started(state("a", on("go", "b"), run=[inner]), state("b"))
    assert len(driver.timers) == 2
    driver.send("go")
    assert driver.timers == {}
    assert driver.cancelled == ["a/m/x/one", "a/m"]
    assert driver.state.scopes.keys() == {TOP_GRAPH, TOP_CHART}


def test_a_chart_that_runs_again_has_new_serials_all_the_way_down() -> None:
    inner = machine("m", state("x", run=tool("one")))
    driver = started(state("a", on("again", "a"), run=[inner]))
    driver.send("again")
    driver.send("again")
    runs = [(command.path, command.serial) for command in driver.commands(RunNode)]
    assert len(set(runs)) == 3


def test_a_send_can_name_an_inner_chart_and_its_event_goes_nowhere_else() -> None:
    first = machine("m1", state("x", on("go", None, {"log": "first"})))
    second = machine("m2", state("y", on("go", None, {"log": "second"})))
    driver = started(state("a", on("pass_on", None, {"send": {"event": "go", "to": "a/m2"}}), run=[first, second]))
    driver.send("pass_on")
    assert driver.logs == ["second"]


def test_in_state_asks_the_charts_around() -> None:
    inner = machine("m", state("x", on("go", None, {"log": "${in_state('a')} ${in_state('x')} ${in_state('b')}"})))
    driver = started(state("a", run=[inner]), state("b"))
    driver.send("go")
    assert driver.logs == ["true true false"]


# ---- both at the top


def hybrid(nodes: list[dict[str, Any]], *states: dict[str, Any], **fields: Any) -> Driver:
    document = {
        "id": "w",
        "type": "hybrid",
        "nodes": nodes,
        "states": list(states),
        "initial_state": states[0]["name"],
        **fields,
    }
    return Driver(compile_or_raise(json.dumps({"workflow": document}))).start()


def test_graph_and_chart_start_together_and_the_final_state_ends_both() -> None:
    driver = hybrid([tool("one", inputs={"n": "${n}"})], state("a", on("go", "done")), variables={"n": 1})
    assert driver.inputs("one") == {"n": 1}
    driver.send("go")
    assert driver.status == "completed"
    assert driver.cancelled == ["one"]


def test_the_end_of_the_graph_does_not_end_the_chart() -> None:
    driver = hybrid([tool("one")], state("a", on("go", "done")))
    driver.succeed("one")
    assert driver.status == "running"
    driver.send("go")
    assert driver.status == "completed"


def test_a_failing_graph_fails_the_execution() -> None:
    driver = hybrid([tool("one")], state("a", on("go", "done"), after=[{"delay": 10, "target": "done"}]))
    driver.fail("one")
    assert (driver.status, driver.error) == ("failed", ("execution_error", "one"))
    assert driver.timers == {}


def test_the_graph_at_the_top_reads_the_charts_variables_of_its_moment() -> None:
    nodes = [tool("one"), tool("two", inputs={"n": "${n}"}, when="in_state('b')", dependencies=["one"])]
    driver = hybrid(nodes, state("a", on("go", "b")), state("b"), variables={"n": 1}, merge_event_data=True)
    driver.send("go", {"n": 2})
    driver.succeed("one")
    assert driver.inputs("two") == {"n": 2}


# ---- replay and encoding


@pytest.mark.parametrize("fails", [False, True])
def test_the_journal_of_a_chart_leads_to_its_state(fails: bool) -> None:
    inner = machine("m", state("x", on("go", "done"), run=tool("one")), final_states=["done"])
    after = {"delay": 60, "target": "b"}
    working = state("a", on("big", None), run=[tool("first"), inner], on_done="b", on_error="b", after=[after])
    driver = started(working, state("b", on("end_", "done")))
    driver.blobs["b1"] = {"text": "x" * 5000}
    driver.send("big", blob="b1")
    driver.send("nonsense")
    if fails:
        driver.fail("a/first")
    else:
        driver.succeed("a/first", {"n": 1})
    driver.send("go")
    driver.elapse(120)
    driver.send("end_")
    assert driver.status == "completed"
    assert driver.replayed() == driver.state
    assert decode_state(encode_state(driver.state)) == driver.state


def test_a_machine_that_takes_longer_than_its_node_may_is_ended() -> None:
    inner = {**machine("m", state("x", run=tool("one"))), "timeout": "10s"}
    rule = {"errors": ["timeout"], "do": "continue"}
    driver = Driver(plan_of([{**inner, "on_error": rule}, {**tool("other"), "dependencies": ["m"]}])).start()
    driver.elapse(9)
    assert driver.nodes == {"m": "running", "other": "waiting"}
    driver.elapse(2)
    assert driver.nodes == {"m": "failed", "other": "ready"}
    assert driver.cancelled == ["m/x/one"]
    assert not driver.timers
    assert driver.replayed() == driver.state


def test_a_machine_that_ends_in_time_leaves_no_timer() -> None:
    inner = {**machine("m", state("x", run=tool("one"), on_done="done"), state("done")), "timeout": "10s"}
    driver = Driver(plan_of([{**inner, "final_states": ["done"]}])).start()
    driver.succeed("m/x/one")
    assert driver.status == "completed"
    assert not driver.timers
