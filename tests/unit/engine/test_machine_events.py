"""Charts and their events: what is taken in which order, and what becomes of what nobody takes."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.engine.driver import START, Driver, chart_of, on, started, state

from workflow_runtime.engine.chart.scope import FAILURES_NOTED_MAX
from workflow_runtime.engine.commands import PublishEvent, SendSignal, StartChild
from workflow_runtime.engine.events import ChildEnded, SendFailed
from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import ErrorDocument

# ---- data of events


def test_the_data_of_an_event_becomes_variables_before_any_action() -> None:
    driver = started(
        state("a", on("go", "b", {"log": "${n}"}), on_exit=[{"log": "leaving with ${n}"}]), state("b"), final_states=[]
    )
    driver.send("go", {"n": 7})
    assert driver.logs == ["leaving with 7", "7"]
    assert driver.variables["n"] == 7


@pytest.mark.parametrize("where", ["chart", "transition"])
def test_without_merging_actions_see_the_data_and_nothing_remains(where: str) -> None:
    off = {"merge_event_data": False}
    on_transition, on_chart = (off, {}) if where == "transition" else ({}, off)
    driver = started(
        state("a", on("go", "b", {"set_variable": {"name": "kept", "value": "${n}"}}, **on_transition)),
        state("b", on_enter=[{"log": "${n} ${event.name}"}]),
        variables={"m": 1},
        **on_chart,
    )
    driver.send("go", {"n": 7})
    assert driver.logs == ["7 go"]
    assert driver.variables == {"m": 1, "kept": 7}


def test_a_guard_sees_the_data_by_name_and_a_refused_event_changes_nothing() -> None:
    driver = started(state("a", on("go", "b", condition="n > 5")), state("b"), variables={"m": 9})
    driver.send("go", {"n": 1, "k": 2})
    assert driver.configuration == ["a"]
    assert driver.variables == {"m": 9}
    assert driver.ignored[-1][1] == "`n > 5` of `a` is false"


def test_an_event_whose_data_does_not_match_its_schema_is_ignored_with_the_reason() -> None:
    schemas = {"go": {"properties": {"n": {"type": "number"}}, "required": ["n"]}}
    driver = started(state("a", on("go", "b")), state("b"), event_schemas=schemas)
    for data, reason in (({"n": "1"}, 'n: "1" is not of type "number"'), ({}, '"n" is a required property')):
        driver.send("go", data)
        assert driver.configuration == ["a"]
        assert driver.ignored[-1][1] == f"the data of `go` does not match its schema in event_schemas: {reason}"
    driver.send("go", {"n": 1})
    assert driver.configuration == ["b"]


# ---- what the workflow set, no event changes unasked

OWN: dict[str, dict[str, Any]] = {
    "declared": {"variables": {"price": 100}},
    "given": {"input": {"price": 100}},
    "set": {"on_enter": [{"set_variable": {"name": "price", "value": 100}}]},
}


@pytest.mark.parametrize("how", OWN)
def test_what_the_workflow_set_no_event_shadows_or_overwrites(how: str) -> None:
    fields = dict(OWN[how])
    enter = fields.pop("on_enter", [])
    pay = on("pay", None, {"log": "${price} ${event.data.price} ${by}"}, condition="price == 100")
    driver = started(state("a", pay, on_enter=enter), **fields)
    driver.send("pay", {"price": 1, "by": "card"})
    assert driver.logs == ["100 1 card"]
    assert driver.variables == {"price": 100, "by": "card"}
    driver.send("pay", {"by": "cash"})
    assert driver.variables == {"price": 100, "by": "cash"}, "what an event brought, later ones change"


def test_what_an_action_sets_is_the_workflows_own_from_then_on() -> None:
    keep = on("keep", None, {"set_variable": {"name": "by", "value": "${by}"}})
    driver = started(state("a", on("pay", None), keep))
    driver.send("pay", {"by": "card"})
    driver.send("keep", {})
    driver.send("pay", {"by": "cash"})
    assert driver.variables == {"by": "card"}


@pytest.mark.parametrize(("allowed", "price"), [(True, 1), (["price"], 1), (["other"], 100), (False, 100)])
@pytest.mark.parametrize("where", ["chart", "transition"])
def test_an_event_changes_what_it_is_allowed_to(where: str, allowed: Any, price: int) -> None:
    said = {"merge_event_data": allowed}
    on_transition, on_chart = (said, {}) if where == "transition" else ({}, said)
    pay = on("pay", None, {"log": "${price}"}, **on_transition)
    driver = started(state("a", pay), variables={"price": 100}, **on_chart)
    driver.send("pay", {"price": 1})
    assert driver.variables == {"price": price}
    assert driver.logs == [str(price)]


def test_an_inner_chart_does_not_let_events_shadow_what_outer_ones_set() -> None:
    inner = {"id": "m", "type": "state_machine", "initial_state": "x",
             "states": [state("x", on("pay", None, {"log": "${price} ${by}"}))]}  # fmt: skip
    driver = started(state("a", run=[inner]), variables={"price": 100})
    driver.send("pay", {"price": 1, "by": "card"})
    assert driver.logs == ["100 card"]


def test_data_that_is_no_object_is_read_from_the_event_only() -> None:
    driver = started(state("a", on("go", "b", {"log": "${event.data[1]}"})), state("b"))
    driver.send("go", [1, 2])
    assert driver.logs == ["2"]
    assert driver.variables == {}


def test_the_keys_of_the_input_are_variables() -> None:
    driver = started(
        state("a", on("go", None, {"log": "${n} ${m} ${variables.x}"})), variables={"m": 2, "x": 3}, input={"n": 1}
    )
    driver.send("go")
    assert driver.logs == ["1 2 3"]


# ---- order


def test_the_event_names_of_a_transition_match_as_the_language_says() -> None:
    driver = started(
        state(
            "a",
            on("order", None, {"log": "exact"}),
            on("order.*", None, {"log": "below"}),
            on(["x", "y"], None, {"log": "one of two"}),
            on("*", None, {"log": "any"}),
        )
    )
    for name in ("order", "order.paid", "orders", "y"):
        driver.send(name)
    assert driver.logs == ["exact", "below", "any", "one of two"]


def test_internal_events_come_before_those_from_outside() -> None:
    driver = started(
        state(
            "a",
            on("go", None, {"send": {"event": "outer"}}, {"raise": "inner"}),
            on("inner", None, {"log": "inner"}, {"raise": "second"}),
            on("second", None, {"log": "second"}),
            on("outer", None, {"log": "outer"}),
        )
    )
    driver.take(driver.signal("go"), driver.signal("outer", id="other"))
    assert driver.logs == ["inner", "second", "outer", "outer"]


def test_the_data_of_a_raised_event_becomes_variables() -> None:
    driver = started(
        state("a", on("go", None, {"raise": {"event": "more", "data": {"n": 3}}}), on("more", None, {"log": "${n}"}))
    )
    driver.send("go")
    assert driver.logs == ["3"]
    assert driver.variables == {"n": 3}


def test_done_state_carries_the_output_of_the_final_state() -> None:
    driver = started(
        {
            "name": "outer",
            "initial": "inner",
            "states": [
                state("inner", on("go", "end_")),
                {"name": "end_", "type": "final", "output": {"n": "${m + 1}"}},
            ],
            "on_done": {"target": "after_", "actions": [{"log": "${event.name} ${event.data.n}"}]},
        },
        state("after_"),
        variables={"m": 1},
    )
    driver.send("go")
    assert driver.logs == ["done.state.outer 2"]
    assert driver.configuration == ["after_"]
    assert "n" not in driver.variables


def test_transitions_without_end_fail_with_the_circle_shown() -> None:
    driver = started(
        state("calm", on("go", "a")),
        {"name": "a", "always": [{"condition": "true", "target": "b"}]},
        {"name": "b", "always": [{"condition": "true", "target": "a"}]},
        final_states=["never"],
    )
    driver.send("go")
    assert driver.status == "failed"
    assert driver.state.error is not None
    assert driver.state.error.message.endswith("(more than 1,000): a -> b; b -> a")


def test_raising_without_end_fails_too() -> None:
    driver = started(state("a", on("ping", None, {"raise": "pong"}), on("pong", None, {"raise": "ping"})))
    driver.send("ping")
    assert driver.state.error is not None
    assert driver.state.error.message.endswith("(more than 1,000): pong: a; ping: a")


# ---- failures


def test_a_guard_that_fails_counts_as_false_and_raises_an_error() -> None:
    driver = started(
        state("a", on("go", "b", condition="1 / n > 0"), on("error.execution", "c", {"log": "${event.data.message}"})),
        state("b"),
        state("c"),
    )
    driver.send("go", {"n": 0})
    assert driver.configuration == ["c"]
    assert driver.logs == ["guard of `a`: division by zero (character 3)"]


def test_a_failing_action_ends_its_block_only() -> None:
    driver = started(
        state("a", on("go", "b", {"log": "one"}, {"log": "${1 / 0}"}, {"log": "two"})),
        state("b", on("error.*", None, {"log": "${event.data.type}"}), on_enter=[{"log": "entered"}]),
    )
    driver.send("go")
    assert driver.logs == ["one", "entered", "execution_error"]


def test_an_action_that_may_fail_is_passed_over() -> None:
    driver = started(state("a", on("go", None, {"log": "${1 / 0}", "required": False}, {"log": "on"})))
    driver.send("go")
    assert driver.logs == ["on"]
    assert driver.status == "running"


@pytest.mark.parametrize(("policy", "status"), [("fail", "failed"), ("ignore", "running")])
def test_an_error_that_no_transition_takes(policy: str, status: str) -> None:
    driver = started(state("a", on("go", None, {"log": "${1 / 0}"})), on_unhandled_error=policy)
    driver.send("go")
    assert driver.status == status


def test_an_error_of_the_first_entry_fails_the_execution() -> None:
    driver = started(state("a", on_enter=[{"log": "${1 / 0}"}]))
    assert (driver.status, driver.error) == ("failed", ("execution_error", ""))


# ---- what nobody takes


def test_an_ignored_event_is_recorded_with_the_reason() -> None:
    driver = started(state("a", on("go", "b")), state("b", on("back", "a")))
    driver.send("back")
    assert driver.macrosteps[-1].reason == "no transition for `back` in a"
    assert driver.macrosteps[-1].configuration == ("a",)
    assert driver.ignored[-1][1] == "no transition for `back` in a"


def test_a_deferred_event_is_taken_once_the_configuration_is_another() -> None:
    driver = started(
        state("a", on("go", "b")),
        state("b", on("later", "c", {"log": "${n}"})),
        state("c"),
        on_unhandled_event="defer",
    )
    driver.send("later", {"n": 1})
    driver.send("later", {"n": 2})
    assert driver.configuration == ["a"]
    driver.send("go")
    assert driver.logs == ["1"]
    assert driver.configuration == ["c"]
    assert [signal.data for signal in driver.state.chart().deferred] == [{"n": 2}]


def test_deferred_events_are_taken_in_the_order_in_which_they_came() -> None:
    driver = started(
        state("a", on("go", "b")),
        state("b", on(["x", "y"], None, {"log": "${event.name}"})),
        on_unhandled_event="defer",
    )
    for name in ("y", "x", "y", "go"):
        driver.send(name)
    assert driver.logs == ["y", "x", "y"]


def test_an_unhandled_event_can_fail_the_execution() -> None:
    driver = started(state("a", on("go", "b", condition="ready")), state("b"), on_unhandled_event="fail")
    driver.send("go")
    assert driver.state.error is not None
    assert driver.state.error.message == "the event `go` was not handled: `ready` of `a` is false"


def test_an_event_is_taken_once() -> None:
    driver = started(state("a", on("go", None, {"log": "once"})))
    driver.send("go", id="one")
    driver.send("go", id="one")
    assert driver.logs == ["once"]
    assert driver.ignored[-1] == ("signal:one", "this event was taken already")


def test_a_refused_event_is_not_offered_again_when_it_is_repeated() -> None:
    driver = started(state("a", on("go", "b"), on("early", None)), state("b", on("late", None, {"log": "late"})))
    driver.send("late", id="one")
    driver.send("go")
    driver.send("late", id="one")
    assert driver.logs == []


def test_an_event_after_the_end_is_ignored() -> None:
    driver = started(state("a", on("go", "done")))
    driver.send("go")
    assert not driver.send("go").changed
    assert driver.ignored[-1][1] == "the execution has ended"


def test_data_stored_apart_is_fetched() -> None:
    driver = started(state("a", on("go", None, {"log": "${n}"})))
    driver.blobs["b1"] = {"n": 5}
    driver.send("go", blob="b1")
    assert driver.logs == ["5"]


def test_large_data_of_a_deferred_event_stays_apart_until_it_is_taken() -> None:
    driver = started(state("a", on("go", "b")), state("b", on("later", "c", {"log": "${n}"})), state("c"),
                     on_unhandled_event="defer")  # fmt: skip
    driver.blobs["b1"] = {"n": 7}
    driver.send("later", blob="b1")
    assert [(signal.data, signal.blob) for signal in driver.state.chart().deferred] == [(None, "b1")]
    driver.send("go")
    assert driver.logs == ["7"]


# ---- events out


def test_publish_event_puts_the_payload_on_the_bus_with_one_hop_more() -> None:
    driver = started(
        state("a", on("go", None, {"publish_event": {"topic": "order.${kind}", "payload": {"n": "${n}"}}}))
    )
    driver.send("go", {"kind": "paid", "n": 1}, hops=3)
    published = next(event for event in driver.published if event.custom)
    assert published == PublishEvent("order.paid", {"n": 1}, custom=True, hops=4)


def test_a_send_to_the_own_execution_is_an_event_from_outside() -> None:
    driver = started(
        state("a", on("go", "b", {"send": {"event": "next_", "data": {"n": 1}}})),
        state("b", on("next_", "c", {"log": "${event.source} ${n}"}), always=[]),
        state("c"),
    )
    driver.send("go")
    assert driver.logs == ["self 1"]


def test_a_send_to_another_execution_or_by_correlation_is_ordered() -> None:
    driver = started(
        state(
            "a",
            on("one", None, {"send": {"event": "hello", "to": "ex-2", "data": {"n": 1}}}),
            on("two", None, {"send": {"event": "hello", "to": {"correlate": "${key}"}}}),
        )
    )
    driver.send("one", hops=2)
    driver.send("two", {"key": 17})
    first, second = driver.commands(SendSignal)
    assert (first.name, first.to, first.data, first.key, first.hops) == ("hello", "ex-2", {"n": 1}, None, 3)
    assert (second.to, second.key) == ("", "17")
    assert first.id != second.id


def test_a_send_that_has_nowhere_to_go_raises_error_communication() -> None:
    driver = started(
        state(
            "a",
            on("up", None, {"send": {"event": "hello", "to": "parent"}}),
            on("error.communication", None, {"log": "${event.data.message}"}),
        )
    )
    driver.send("up")
    driver.take(SendFailed("failed:1", START, "", "there is no execution `ex-9`"))
    assert driver.logs == ["send: this execution has no parent", "there is no execution `ex-9`"]


def test_a_send_to_the_parent_goes_to_the_execution_that_started_this_one() -> None:
    plan = chart_of([state("a", on("up", None, {"send": {"event": "hello", "to": "parent"}}))])
    driver = Driver(plan, parent=Parent("ex-1", "c1")).start()
    driver.send("up")
    assert [command.to for command in driver.commands(SendSignal)] == ["ex-1"]


def test_the_end_of_a_started_workflow_comes_back_as_its_result_event() -> None:
    start = {"start_workflow": {"workflow_id": "invoice", "input": {"n": "${n}"}, "result_event": "invoiced"}}
    driver = started(state("a", on("go", None, start), on("invoiced", "done", {"log": "${event.data.output.number}"})))
    driver.send("go", {"n": 1})
    (command,) = driver.commands(StartChild)
    assert (command.workflow_id, command.input, command.notify) == ("invoice", {"n": 1}, True)
    event = ChildEnded("child:ex-2", START, command.token, "ex-2", "completed", {"number": 42})
    driver.take(event)
    assert driver.logs == ["42"]
    assert driver.status == "completed"


def test_a_started_workflow_that_failed_says_so() -> None:
    start = {"start_workflow": {"workflow_id": "invoice", "result_event": "invoiced"}}
    driver = started(
        state(
            "a", on("go", None, start), on("invoiced", None, {"log": "${event.data.status} ${event.data.error.type}"})
        )
    )
    driver.send("go")
    (command,) = driver.commands(StartChild)
    failed = ChildEnded("child:ex-2", START, command.token, "ex-2", "failed", error=ErrorDocument.of("timeout", "late"))
    driver.take(failed)
    assert not driver.take(failed).changed
    assert driver.logs == ["failed timeout"]


def test_a_workflow_started_without_a_result_event_is_left_alone() -> None:
    driver = started(state("a", on("go", None, {"start_workflow": {"workflow_id": "x"}})))
    driver.send("go")
    (command,) = driver.commands(StartChild)
    assert not command.notify
    assert driver.state.pending == {}


# ---- subscriptions


def test_correlation_keys_follow_the_variables() -> None:
    trigger = {"type": "event", "topic": "paid", "event": "pay", "correlate": "${detail.id}", "with": "${order}"}
    driver = started(
        state("a", on("rename", None), on("pay", "done", {"log": "${event.data.sum}"})),
        triggers=[trigger],
        input={"order": "o1"},
        merge_event_data=["order"],
    )
    assert driver.listens == {("pay", "o1")}
    driver.send("rename", {"order": 2})
    assert driver.listens == {("pay", "2")}
    driver.send("pay", {"sum": 1}, key="o1")
    assert driver.ignored[-1][1] == "nothing here waits for `pay` under this key any more"
    driver.send("pay", {"sum": 3}, key="2")
    assert driver.logs == ["3"]
    assert driver.listens == set()


# ---- what fails leaves a trace


@pytest.mark.parametrize(
    ("fields", "failure"),
    [
        ({"on_exit": [{"set_variable": {"name": "x", "value": "${1 + 'a'}"}}]}, "set_variable: "),
        ({"on_exit": [{"send": {"event": "bye", "to": "parent"}}]}, "send: this execution has no parent"),
        ({"on_exit": [{"log": "${1 + 'a'}", "required": False}]}, "log: "),
    ],
)
def test_what_fails_as_a_chart_ends_stands_in_its_macrostep(fields: dict[str, Any], failure: str) -> None:
    driver = started(state("a", on("go", "end"), **fields), state("end", type="final"))
    driver.send("go")
    assert driver.status == "completed"
    [told] = driver.macrosteps[-1].failures
    assert told.startswith(failure)
    assert driver.macrosteps[0].failures == ()


def test_failures_are_short_and_not_too_many() -> None:
    actions = [{"log": "${1 + 'a'}", "required": False} for _ in range(50)]
    driver = started(state("a", on("go", "end", *actions)), state("end", type="final"))
    driver.send("go")
    assert len(driver.macrosteps[-1].failures) == FAILURES_NOTED_MAX


def test_a_guard_that_fails_while_another_transition_is_taken_is_told() -> None:
    driver = started(
        state("a", on("go", "b", condition="n + 'x' > 1"), on("go", "end")), state("b"), state("end", type="final")
    )
    driver.send("go", {"n": 1})
    assert driver.configuration == ["end"]
    assert driver.macrosteps[-1].failures[0].startswith("guard of `a`: ")
