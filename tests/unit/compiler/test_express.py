"""Express workflows: what does not fit into one invocation is found when they are compiled."""

from __future__ import annotations

from typing import Any

import pytest

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.deployment.topology import EXPRESS_POOL, TOPOLOGY, WHOLE_TOPOLOGY, with_pools
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry, Effects
from workflow_runtime.plan.express import EXPRESS
from workflow_runtime.plan.policies import CallTerms, RetryPolicy

HEAD = "workflow:\n  id: w\n  durability: express\n"
NODES = "  nodes:\n    - {id: a, type: tool, tool: echo}\n"

LOOP = (
    "  nodes:\n    - id: each\n      type: control\n      subtype: loop\n      items: ${xs}\n"
    "      distribution: executions\n      body: [{id: b, type: tool, tool: echo}]\n"
)
HANDLERS = "  error_handlers:\n    - {node_pattern: a, action: "
TRIGGER = "  triggers:\n    - {type: event, topic: paid, event: paid, correlate: '${id}', with: '${data.id}'}\n" + NODES


def findings(source: str, catalogue: Catalogue | None = None, pools: tuple[str, ...] | None = None) -> list[str]:
    compiled = compile_workflow(source, catalogue=catalogue, pools=pools)
    return [f"{each.path}: {each.message}" for each in compiled.findings if each.id in ("WF460", "WF461")]


def test_a_plan_says_that_it_is_express_and_takes_a_minute_at_most() -> None:
    assert compile_or_raise(HEAD + NODES).timeout_seconds == 60
    plan = compile_or_raise(HEAD + "  timeout: 20s\n" + NODES)
    assert (plan.express, plan.timeout_seconds, plan.events) == (True, 20, ())
    assert compile_or_raise(HEAD + "  events: execution\n" + NODES).events == ("execution",)
    standard = compile_or_raise(HEAD.replace("express", "standard") + NODES)
    assert (standard.express, standard.timeout_seconds) == (False, None)


@pytest.mark.parametrize(
    ("source", "where", "what"),
    [
        ("  timeout: 2m\n" + NODES, "timeout", "60 s, not 120 s"),
        (NODES + "    - {id: p, type: control, subtype: approval, prompt: ok?}\n", "nodes[1].type", "people"),
        (NODES + "    - {id: p, type: control, subtype: wait, event: paid}\n", "nodes[1].event", "event"),
        (NODES + "    - {id: p, type: control, subtype: wait, seconds: 31}\n", "nodes[1].seconds", "30 s, not 31 s"),
        (NODES + "    - {id: p, type: control, subtype: wait, duration: 1m}\n", "nodes[1]", "30 s, not 60 s"),
        (NODES.replace("echo}", "echo, callback: {timeout: 1h}}"), "nodes[0].callback", "token"),
        (NODES.replace("echo}", "echo, pool: gpu}"), "nodes[0].pool", "pool `express`"),
        (
            NODES.replace("echo}", "echo, retry_policy: {max_retries: 1, retry_delay: 40, max_delay: 100}}"),
            "nodes[0].retry_policy",
            "30 s, not 40 s",
        ),
        (
            LOOP,
            "nodes[0].distribution",
            "in its invocation",
        ),
        (
            NODES.replace("echo}", "echo, retry_policy: {max_retries: 10, retry_delay: 1, jitter: none}}"),
            "nodes[0].retry_policy.max_retries",
            "30 s, not 60 s",
        ),
        (HANDLERS + "escalate}\n" + NODES, "error_handlers[0].action", "nobody can decide about a failure"),
        (
            HANDLERS + "{type: retry, retry_delay: 1m, max_delay: 2m}}\n" + NODES,
            "error_handlers[0].action.retry_delay",
            "30 s, not 60 s",
        ),
        ("  budget: {usd: 1, on_exceeded: ask}\n" + NODES, "budget.on_exceeded", "nobody can be asked"),
        (
            "  triggers: [{type: event, topic: paid, event: paid, correlate: '${id}', with: '${data.id}'}]\n" + NODES,
            "triggers[0].correlate",
            "over",
        ),
    ],
)
def test_what_takes_longer_is_an_error_where_it_stands(source: str, where: str, what: str) -> None:
    found = findings(HEAD + source)
    assert len(found) == 1, compile_workflow(HEAD + source).findings
    assert where in found[0]
    assert what in found[0]


@pytest.mark.parametrize(
    "source",
    [
        NODES.replace("echo}", "echo, retry_policy: {max_retries: 0, retry_delay: 1m}}"),
        NODES.replace("echo}", "echo, retry_policy: {max_retries: 3, retry_delay: 10}}"),
        HANDLERS + "{type: retry, retry_delay: 30}}\n" + NODES,
        HANDLERS + "compensate}\n" + NODES,
        "  budget: {usd: 1}\n" + NODES,
    ],
)
def test_what_may_pass_in_time_is_express(source: str) -> None:
    assert findings(HEAD + source) == []


CHART = (
    "  nodes:\n    - id: m\n      type: state_machine\n      initial_state: a\n      final_states: [b]\n      states:\n"
)


@pytest.mark.parametrize(
    ("states", "stuck"),
    [
        ("a: {transitions: [{event: paid, target: b}]}", "a"),
        ("a: {after: [{delay: 1h, target: b}]}", "a"),
        ("a: {transitions: [{event: paid, target: b}], after: [{delay: 2m, target: b}]}", "a"),
        ("a: {transitions: [{event: paid, target: b}], after: [{delay: 20s, target: b}]}", ""),
        ("a: {transitions: [{event: paid, target: b}], always: [{condition: 'x > 1', target: b}]}", ""),
        ("a: {on_enter: [{raise: paid}], transitions: [{event: paid, target: b}]}", ""),
        ("a: {on_enter: [{send: paid, delay: 2s}], transitions: [{event: 'paid.*', target: b}]}", ""),
        ("a: {on_enter: [{raise: '${x}'}], transitions: [{event: paid, target: b}]}", ""),
        ("a: {on_enter: [{raise: other}], transitions: [{event: paid, target: b}]}", "a"),
        ("a: {run: [{id: r, type: tool, tool: echo}], on_done: b}", ""),
        ("a: {on_enter: [{log: hello}], transitions: [{event: error.execution, target: b}]}", ""),
        ("a: {initial: i, on_done: b, states: {i: {transitions: [{event: paid, target: j}]}, j: {type: final}}}", "i"),
        ("a: {initial: i, states: {i: {on_exit: []}}, transitions: [{event: gone, target: b}]}", "i"),
        ("a: {initial: i, states: {i: {transitions: [{event: paid, target: b}]}}, always: [{target: b}]}", ""),
        ("a: {type: parallel, states: {i: {transitions: [{event: paid, target: b}]}, j: {always: [{target: b}]}}}", ""),
    ],
)  # fmt: skip
def test_a_state_machine_that_only_events_or_a_long_time_could_move_is_not_express(states: str, stuck: str) -> None:
    found = findings(HEAD + CHART + f"        {states}\n")
    assert len(found) == bool(stuck), found
    if stuck:
        assert f"nothing leaves the state `{stuck}`" in found[0]
        assert found[0].startswith("nodes[0].states.a")


AGENT = "  nodes:\n    - {id: a, type: agent, agent: desk}\n"


@pytest.mark.parametrize(
    ("source", "fields", "what"),
    [
        (AGENT.replace("desk}", "desk, session: '${who}'}"), {}, "nodes[0].session: `a`: an express execution has no"),
        (AGENT, {"has_session": True}, "nodes[0].agent: `a`: `desk` has a session"),
        (AGENT, {"call_terms": (CallTerms(pool="gpu"),)}, "the `pool` of a call of `desk` is not used"),
        (AGENT, {"call_terms": (CallTerms(retry=(RetryPolicy(delay=45),)),)}, "may wait 30 s, not 45 s"),
    ],
)
def test_what_agents_need_that_an_express_execution_has_not_is_an_error(
    source: str, fields: dict[str, Any], what: str
) -> None:
    catalogue = Catalogue({"desk": CatalogueEntry(id="desk", **fields)})
    (found,) = findings(HEAD + source, catalogue)
    assert what in found


@pytest.mark.parametrize("node", [AGENT, AGENT.replace("desk}", "desk, session: false}")])
def test_agents_that_fit_are_express(node: str) -> None:
    has_session = "session" in node
    terms = (CallTerms(timeout_seconds=5, retry=(RetryPolicy(delay=10),)),)
    entry = CatalogueEntry(id="desk", has_session=has_session, call_terms=terms)
    assert findings(HEAD + node, Catalogue({"desk": entry})) == []


def test_the_pool_of_an_agents_call_has_to_be_there() -> None:
    catalogue = Catalogue({"desk": CatalogueEntry(id="desk", call_terms=(CallTerms(pool="gpu"),))})
    source = "workflow:\n  id: w\n" + AGENT
    for pools, count in ((("agent", "tool"), 1), (("agent", "tool", "gpu"), 0), (None, 0)):
        found = compile_workflow(source, catalogue=catalogue, pools=pools).findings
        assert [each.id for each in found] == ["WF430"] * count


def test_a_wait_within_a_loop_is_found_too() -> None:
    body = "[{id: b, type: control, subtype: wait, seconds: 60}]"
    source = f"  nodes:\n    - {{id: each, type: control, subtype: loop, times: 2, body: {body}}}\n"
    (found,) = findings(HEAD + source)
    assert "seconds" in found


def test_a_chart_is_not_express() -> None:
    source = "  type: state_machine\n  initial_state: a\n  states: {a: {final: true}}\n"
    assert any("only `dag` can be express" in each for each in findings(HEAD + source))


def test_a_workflow_that_it_awaits_has_to_be_express() -> None:
    child = "  nodes:\n    - {id: c, type: sub_workflow, workflow_id: child}\n"

    def known(*, express: bool) -> Catalogue:
        entry = CatalogueEntry(id="child", source="workflow", express=express)
        return Catalogue(agents={}, tools={}, workflows={"child": entry})

    assert findings(HEAD + child, known(express=True)) == []
    (found,) = findings(HEAD + child, known(express=False))
    assert "write `wait: false`" in found
    assert findings(HEAD + child.replace("child}", "child, wait: false}"), known(express=False)) == []


def test_each_workflow_that_it_may_await_has_to_be_express() -> None:
    entries = {id: CatalogueEntry(id=id, source="workflow", express=id == "quick") for id in ("quick", "slow")}
    known = Catalogue(agents={}, tools={}, workflows=entries)
    child = "  nodes:\n    - {id: c, type: sub_workflow, workflow_id: '${x}', allow: [quick, slow]}\n"
    (found,) = findings(HEAD + child, known)
    assert "nodes[0].allow: `c`: `slow` is not express" in found
    handled = HANDLERS + "{type: fallback, target: slow}}\n" + NODES
    (found,) = findings(HEAD + handled, known)
    assert found.startswith("error_handlers[0].action.target: `slow` is not express")
    assert findings(HEAD + handled.replace("slow", "quick"), known) == []


@pytest.mark.parametrize(("effects", "declares", "refused"), [
    (Effects.ONCE, True, True), (Effects.ONCE, False, False), (Effects.NONE, True, False)
])  # fmt: skip
def test_a_tool_that_is_declared_once_is_refused(effects: Effects, declares: bool, refused: bool) -> None:
    entry = CatalogueEntry(id="echo", source="t", effects=effects, declares_effects=declares)
    assert bool(findings(HEAD + NODES, Catalogue(agents={}, tools={"echo": entry}, workflows={}))) is refused


def test_a_deployment_without_the_pool_refuses_it_and_nodes_cannot_choose_it() -> None:
    assert EXPRESS == EXPRESS_POOL
    assert findings(HEAD + NODES, pools=(*TOPOLOGY.pools, EXPRESS_POOL)) == []
    (found,) = findings(HEAD + NODES, pools=TOPOLOGY.pools)
    assert "has no pool `express`" in found
    chosen = NODES.replace("echo}", "echo, pool: express}")
    compiled = compile_workflow("workflow:\n  id: w\n" + chosen, pools=(*TOPOLOGY.pools, EXPRESS_POOL))
    assert any("there is no worker pool `express`" in each.message for each in compiled.findings)


def test_a_topology_has_the_function_where_the_pool_is_named() -> None:
    assert not TOPOLOGY.is_express
    named = with_pools(TOPOLOGY, ["gpu", EXPRESS_POOL])
    assert named.is_express
    assert named.pools == (*TOPOLOGY.pools, "gpu")
    assert named.function("api").invokes == ("run_express",)
    assert "node-express" in named.function("dispatch").sends
    assert WHOLE_TOPOLOGY.pools == TOPOLOGY.pools
