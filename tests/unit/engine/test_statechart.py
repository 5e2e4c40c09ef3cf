"""What a chart takes, exits and enters (SCXML), example by example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.engine.charts import Walk, chart, deep, final, on, parallel, shallow, state

from workflow_runtime.engine.chart.scxml import exit_set, initial_entry, is_done, leaves, select
from workflow_runtime.plan.chart import ChartPlan
from workflow_runtime.plan.events import descriptors, matches
from workflow_runtime.plan.states import TransitionPlan


@pytest.mark.parametrize(
    ("descriptor", "event", "heard"),
    [
        ("order", "order", True),
        ("order", "order.paid", False),
        ("order.*", "order", True),
        ("order.*", "order.paid", True),
        ("order.*", "order.paid.twice", True),
        ("order.*", "orders", False),
        ("order.*", "order_paid", False),
        ("order.paid.*", "order", False),
        ("order.*", "order.*", True),
        ("*", "order.paid", True),
        ("订单.*", "订单.已支付", True),
        ("订单", "订单.已支付", False),
    ],
)
def test_a_descriptor_hears_its_name_or_with_a_star_all_below_it(descriptor: str, event: str, heard: bool) -> None:
    assert matches(descriptor, event) is heard


NAMES = st.lists(st.sampled_from(["a", "b", "", "*"]), max_size=4).map(".".join)


@given(NAMES, NAMES)
def test_descriptors_of_an_event_are_those_that_match_it(descriptor: str, event: str) -> None:
    assert (descriptor in descriptors(event)) == matches(descriptor, event)


# --- compound states ------------------------------------------------------------------------------


def nested() -> ChartPlan:
    return chart(
        state("a", state("a1", on=[on("next", "a2")]), state("a2"), on=[on("next", "b"), on("reset", "a")]),
        state("b", state("b1", state("b11"), state("b12")), state("b2"), initial="b12", on=[on("back", "a2")]),
    )


def test_a_chart_starts_in_its_initial_states_down_to_an_atomic_one() -> None:
    walk = Walk(nested())
    assert walk.active == "a a1"
    assert walk.entry.defaults.keys() == {0, 1}


def test_an_inner_state_goes_before_the_states_around_it() -> None:
    walk = Walk(nested())
    assert walk.send("next") == ["a1"]
    assert (walk.exited, walk.entered, walk.active) == (["a1"], ["a2"], "a a2")


def test_an_outer_state_takes_what_no_inner_one_does() -> None:
    walk = Walk(nested())
    walk.send("next")
    assert walk.send("next") == ["a"]
    assert walk.exited == ["a2", "a"]


def test_an_initial_may_be_a_deep_descendant_and_only_its_state_is_entered_by_default() -> None:
    walk = Walk(nested())
    walk.send("next")
    walk.send("next")
    assert walk.entered == ["b", "b1", "b12"]
    assert list(walk.entry.defaults) == [walk.plan.index["b"]]


def test_states_on_the_way_to_a_target_are_entered_without_their_defaults() -> None:
    walk = Walk(nested())
    walk.send("next")
    walk.send("next")
    walk.send("back")
    assert walk.exited == ["b12", "b1", "b"]
    assert walk.entered == ["a", "a2"]
    assert walk.entry.defaults == {}


def test_a_transition_to_its_own_source_exits_and_enters_it() -> None:
    walk = Walk(nested())
    walk.send("next")
    walk.send("reset")
    assert (walk.exited, walk.entered) == (["a2", "a"], ["a", "a1"])


def test_without_a_target_nothing_is_exited_or_entered() -> None:
    walk = Walk(chart(state("a", on=[on("note")])))
    assert walk.send("note") == ["a"]
    assert (walk.exited, walk.entered, walk.active) == ([], [], "a")


def test_an_internal_transition_stays_in_its_source() -> None:
    plan = chart(
        state("a", state("a1"), state("a2"), on=[on("in", "a2", internal=True), on("ex", "a2")]),
    )
    walk = Walk(plan)
    walk.send("in")
    assert (walk.exited, walk.entered) == (["a1"], ["a2"])
    walk.send("ex")
    assert (walk.exited, walk.entered) == (["a2", "a"], ["a", "a2"])


def test_an_internal_transition_that_leads_out_or_to_its_source_is_external() -> None:
    walk = Walk(chart(state("a", state("a1"), on=[on("self", "a", internal=True), on("out", "b", internal=True)]),
                      state("b")))  # fmt: skip
    walk.send("self")
    assert (walk.exited, walk.entered) == (["a1", "a"], ["a", "a1"])
    walk.send("out")
    assert walk.active == "b"


def test_an_internal_transition_of_a_parallel_state_is_external() -> None:
    regions = (state("x", state("x1"), state("x2")), state("y"))
    walk = Walk(chart(parallel("p", *regions, on=[on("go", "x2", internal=True)])))
    walk.send("go")
    assert walk.exited == ["y", "x1", "x", "p"]
    assert walk.active == "p x x2 y"


def test_a_transition_of_the_chart_itself_is_the_last_resort_and_leaves_everything() -> None:
    walk = Walk(chart(state("a", state("a1", on=[on("go", "b")])), state("b"), state("c"), on=[on("*", "c")]))
    assert walk.send("go") == ["a1"]
    assert walk.send("go") == ["chart"]
    assert (walk.exited, walk.active) == (["b"], "c")


def test_of_one_states_transitions_the_first_that_is_enabled_is_taken_and_no_other_is_asked() -> None:
    plan = chart(state("a", on=[on("1", "a"), on("2", "b"), on("3", "a")]), state("b"))
    asked: list[str] = []

    def enabled(transition: TransitionPlan) -> bool:
        asked.extend(transition.events)
        return transition.events == ("2",)

    assert [t.events for t in select(plan, [1], enabled, {})] == [("2",)]
    assert asked == ["1", "2"]


def test_what_nothing_hears_takes_nothing() -> None:
    walk = Walk(nested())
    assert walk.send("unknown") == []
    assert (walk.exited, walk.entered, walk.active) == ([], [], "a a1")


def test_a_compound_state_without_an_initial_starts_in_its_first_child() -> None:
    plan = chart(state("a", shallow("h"), state("a1"), initial="h"), initial="a")
    assert Walk(plan).active == "a a1"


# --- parallel states ------------------------------------------------------------------------------


def regions() -> ChartPlan:
    return chart(
        state("idle", on=[on("all", "p"), on("one", "y2"), on("both", "y2", "x2")]),
        parallel(
            "p",
            state("x", state("x1", on=[on("step", "x2"), on("leave", "idle")]), state("x2"), final("xf")),
            state("y", state("y1", on=[on("step", "y2"), on("leave", "end")]), state("y2"), final("yf")),
            on=[on("stop", "end"), on("step", "end")],
        ),
        final("end"),
    )


def test_all_regions_are_entered_in_document_order() -> None:
    walk = Walk(regions())
    walk.send("all")
    assert walk.entered == ["p", "x", "x1", "y", "y1"]
    assert walk.names(leaves(walk.plan, walk.configuration)) == ["x1", "y1"]


def test_a_target_in_one_region_enters_the_others_by_default() -> None:
    walk = Walk(regions())
    walk.send("one")
    assert walk.entered == ["p", "x", "x1", "y", "y2"]
    assert walk.names(walk.entry.defaults) == ["x"]


def test_targets_may_lie_in_different_regions() -> None:
    walk = Walk(regions())
    walk.send("both")
    assert walk.entered == ["p", "x", "x2", "y", "y2"]
    assert walk.entry.defaults == {}


def test_every_region_takes_its_own_transition() -> None:
    walk = Walk(regions())
    walk.send("all")
    assert walk.send("step") == ["x1", "y1"]
    assert (walk.exited, walk.entered) == (["y1", "x1"], ["x2", "y2"])


def test_a_transition_of_the_states_around_is_taken_once() -> None:
    walk = Walk(regions())
    walk.send("all")
    assert walk.send("stop") == ["p"]
    assert walk.exited == ["y1", "y", "x1", "x", "p"]


def test_of_two_regions_that_leave_the_first_in_document_order_does() -> None:
    walk = Walk(regions())
    walk.send("all")
    assert walk.send("leave") == ["x1"]
    assert walk.active == "idle"


def test_a_region_that_stays_preempts_an_outer_transition_that_another_region_chose() -> None:
    walk = Walk(regions())
    walk.send("one")
    assert walk.send("step") == ["x1"]
    assert walk.active == "p x x2 y y2"


def test_an_inner_transition_preempts_an_outer_one_chosen_before_it() -> None:
    plan = chart(
        parallel(
            "p",
            state("x"),
            state("y", state("y1", on=[on("go", "y2")]), state("y2")),
            on=[on("go", "end")],
        ),
        state("end"),
    )
    walk = Walk(plan)
    assert walk.send("go") == ["y1"]
    assert walk.active == "p x y y2"


def test_transitions_without_targets_conflict_with_none() -> None:
    plan = chart(
        parallel("p", state("x", on=[on("go")]), state("y", on=[on("go", "end")]), on=[on("go", "p")]), state("end")
    )
    walk = Walk(plan)
    assert walk.send("go") == ["x", "y"]
    assert walk.active == "end"


def test_a_transition_many_regions_share_is_asked_about_once() -> None:
    plan = chart(parallel("p", state("x"), state("y"), state("z"), on=[on("go")]))
    asked: list[TransitionPlan] = []

    def enabled(transition: TransitionPlan) -> bool:
        asked.append(transition)
        return False

    assert select(plan, [1, 2, 3, 4], enabled, {}) == []
    assert len(asked) == 1


def test_an_inner_transition_that_loses_to_another_region_removes_none() -> None:
    plan = chart(
        parallel(
            "p",
            state("x", state("x1", on=[on("go", "x2")]), state("x2")),
            state(
                "y",
                parallel("q", state("u"), state("v", on=[on("go", "end")])),
                state("y2"),
                on=[on("go", "y2", internal=True)],
            ),
        ),
        state("end"),
    )
    walk = Walk(plan)
    assert walk.send("go") == ["x1", "y"]
    assert walk.active == "p x x2 y y2"


def test_a_configuration_may_come_in_any_order() -> None:
    plan = regions()
    configuration = [plan.index[name] for name in ("y1", "x1", "y", "p", "x")]
    chosen = select(plan, configuration, lambda t: t.events == ("leave",), {})
    assert [t.source for t in chosen] == [plan.index["x1"]]
    exited = exit_set(plan, configuration, chosen, {})
    assert exited == [plan.index[name] for name in ("y1", "y", "x1", "x", "p")]


def test_a_state_is_done_in_a_final_child_and_a_parallel_one_when_all_regions_are() -> None:
    plan = regions()
    p, x, y, x2, xf, yf, end = (plan.index[name] for name in ("p", "x", "y", "x2", "xf", "yf", "end"))
    assert is_done(plan, x, [p, x, xf, y, yf])
    assert is_done(plan, p, [p, x, xf, y, yf])
    assert not is_done(plan, p, [p, x, x2, y, yf])
    assert not is_done(plan, 0, [p, x, xf, y, yf])
    assert is_done(plan, 0, [end])
    assert not is_done(plan, end, [end])


# --- history --------------------------------------------------------------------------------------


def player() -> ChartPlan:
    return chart(
        state("off", on=[on("shallow", "hs"), on("deep", "hd"), on("plain", "on")]),
        state(
            "on",
            shallow("hs", default="b2"),
            deep("hd", default="b"),
            state("a", state("a1"), state("a2"), on=[on("down", "a2"), on("over", "b2")]),
            state("b", state("b1"), state("b2"), on=[on("resume", "hd")]),
            on=[on("power", "off"), on("refresh", "hd")],
        ),
    )


def test_history_without_a_record_enters_its_default() -> None:
    walk = Walk(player())
    walk.send("deep")
    assert walk.active == "on b b1"
    assert walk.names(walk.entry.history_defaults) == ["on"]
    assert walk.names(walk.entry.defaults) == ["b"]


def test_a_default_of_history_may_be_a_deep_descendant() -> None:
    walk = Walk(player())
    walk.send("shallow")
    assert walk.active == "on b b2"


def test_shallow_history_restores_the_child_and_enters_it_by_default() -> None:
    walk = Walk(player())
    for event in ("plain", "over", "power", "shallow"):
        walk.send(event)
    assert walk.active == "on b b1"
    assert walk.entry.history_defaults == {}
    assert walk.names(walk.entry.defaults) == ["b"]


def test_deep_history_restores_the_atomic_states() -> None:
    walk = Walk(player())
    for event in ("plain", "over", "power", "deep"):
        walk.send(event)
    assert walk.active == "on b b2"
    assert walk.entry.defaults == {}


def test_history_is_that_of_the_last_exit_also_the_present_one() -> None:
    walk = Walk(player())
    for event in ("plain", "down", "power", "plain", "over", "refresh"):
        walk.send(event)
    assert walk.exited == ["b2", "b", "on"]
    assert walk.active == "on b b2"


def test_history_taken_from_inside_its_parent_enters_no_active_state_twice() -> None:
    walk = Walk(player())
    for event in ("plain", "over", "power", "deep", "resume"):
        walk.send(event)
    assert (walk.exited, walk.entered) == (["b2", "b"], ["b", "b2"])


def test_a_restored_state_beside_the_source_leaves_what_is_around_both_active() -> None:
    plan = chart(
        state("on", deep("h"), state("a", state("a1", on=[on("back", "h")]), state("a2")), on=[on("off", "off")]),
        state("off", on=[on("a1", "a1")]),
    )
    walk = Walk(plan)
    walk.history = {plan.index["h"]: [plan.index["a2"]]}
    walk.send("off")
    walk.send("a1")
    walk.history = {plan.index["h"]: [plan.index["a2"]]}
    walk.send("back")
    assert (walk.exited, walk.entered, walk.active) == (["a1"], ["a2"], "on a a2")


def test_a_default_within_an_active_region_leaves_the_other_regions_alone() -> None:
    plan = chart(
        state(
            "on",
            shallow("h", default="x2"),
            parallel(
                "p",
                state("x", state("x1", on=[on("go", "h")]), state("x2")),
                state("y", state("y1", on=[on("step", "y2")]), state("y2")),
            ),
            initial="p",
        )
    )
    walk = Walk(plan)
    walk.send("step")
    walk.send("go")
    assert (walk.exited, walk.entered, walk.active) == (["x1"], ["x2"], "on p x x2 y y2")


def test_what_is_exited_on_the_way_to_history_is_another_thing_each_time() -> None:
    """The innermost state that holds both ends of the transition depends on what was recorded."""
    plan = chart(
        state(
            "p",
            deep("h", "b"),
            state("a", state("x", on=[on("back", "h")]), state("y")),
            state("b", on=[on("leave", "out")]),
        ),
        state("out", on=[on("again", "x")]),
    )
    walk = Walk(plan)
    walk.send("back")
    assert (walk.exited, walk.active) == (["x", "a"], "p b")
    walk.send("leave")
    walk.send("again")
    assert walk.active == "p a x"
    walk.history = {plan.index["h"]: [plan.index["y"]]}
    walk.send("back")
    assert (walk.exited, walk.active) == (["x"], "p a y")


def test_deep_history_remembers_every_region() -> None:
    plan = chart(
        state(
            "on",
            deep("h"),
            parallel(
                "p",
                state("x", state("x1", on=[on("step", "x2")]), state("x2")),
                state("y", state("y1"), state("y2", state("y21"), state("y22"))),
            ),
            initial="p",
            on=[on("off", "off"), on("far", "y22")],
        ),
        state("off", on=[on("back", "h")]),
    )
    walk = Walk(plan)
    for event in ("far", "step", "off"):
        walk.send(event)
    assert walk.names(walk.history[plan.index["h"]]) == ["x2", "y22"]
    walk.send("back")
    assert walk.active == "on p x x2 y y2 y22"


def test_an_initial_may_be_a_history_state() -> None:
    plan = chart(
        state("off", on=[on("go", "on")]),
        state("on", deep("h", default="b"), state("a"), state("b", on=[on("next", "a")]), initial="h",
              on=[on("off", "off")]),
    )  # fmt: skip
    walk = Walk(plan)
    walk.send("go")
    assert walk.active == "on b"
    assert walk.names(walk.entry.defaults) == walk.names(walk.entry.history_defaults) == ["on"]
    for event in ("next", "off", "go"):
        walk.send(event)
    assert walk.active == "on a"
    assert walk.entry.history_defaults == {}


def test_history_of_a_parallel_state_restores_its_regions() -> None:
    plan = chart(
        state("off", on=[on("shallow", "hs"), on("deep", "hd")]),
        parallel("p", shallow("hs"), deep("hd"), state("x", state("x1"), state("x2")), state("y"),
                 on=[on("off", "off"), on("x2", "x2")]),
    )  # fmt: skip
    walk = Walk(plan)
    for event, active in (("shallow", "p x x1 y"), ("x2", "p x x2 y"), ("off", "off"), ("deep", "p x x2 y"),
                          ("off", "off"), ("shallow", "p x x1 y")):  # fmt: skip
        walk.send(event)
        assert walk.active == active


def test_history_without_a_default_has_its_parents() -> None:
    plan = chart(
        state("off", on=[on("go", "h")]),
        state("on", state("a"), shallow("h"), state("b"), initial="b"),
    )
    walk = Walk(plan)
    walk.send("go")
    assert walk.active == "on b"


def test_histories_that_default_to_each_other_come_to_an_end() -> None:
    plan = chart(
        state("off", on=[on("go", "h1")]),
        state("on", shallow("h1", default="h2"), deep("h2", default="h1"), state("a")),
    )
    assert Walk(plan).send("go") == ["off"]


def test_the_start_enters_parallel_states_too() -> None:
    plan = chart(parallel("p", state("x", state("x1"), final("x2")), state("y")))
    assert initial_entry(plan).states == [1, 2, 3, 5]
