"""Limits, through the real handlers on a virtual clock: what begins when, who waits, and what that costs."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial
from zlib import crc32

import pytest
from tests.limits_world import START, LimitsWorld, fan

from workflow_runtime.deployment.topology import LIMITS
from workflow_runtime.errors import NodeError, RequestError, RetryableError
from workflow_runtime.frontends.client.limits import ResourceQuota
from workflow_runtime.language.json_values import Json
from workflow_runtime.storage import keys

CODE = "  limits: {code: {requests: 60/min, concurrency: 6}}\n"


def test_nodes_begin_at_the_rate_of_their_limiter_and_never_more_than_it_has_slots() -> None:
    world = LimitsWorld(3.0)
    world.publish(fan("w", 60, "limiter: code", CODE))
    assert world.run(world.start("w")) == "completed"
    assert world.worker.most <= 6
    assert world.worker.most_in(60_000) <= 60
    assert world.worker.starts[-1] == 59_984, "a sixtieth of the minute is left for starts that come late"


def test_a_limiter_that_is_divided_has_all_its_slots_and_its_rate() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 300, "limiter: code", "  limits: {code: {concurrency: 100, requests: 6k/min}}\n"))
    execution = world.start("w")
    assert world.run(execution) == "completed"
    assert 90 <= world.worker.most <= 100
    assert world.worker.most_in(60_000) <= 6_000
    assert max(world.worker.starts) <= 35_000
    world.play((world.now + 20_000, lambda: None))
    (gauge,) = world.services.limits.get("w/code")["gauges"]
    assert (gauge["held"], gauge["waiting"]) == (0, 0)
    assert world.waiting("w/code") == []


def test_executions_hold_slots_of_a_limiter_that_is_divided_also_when_it_no_longer_is() -> None:
    world = LimitsWorld(20.0)
    world.publish(fan("w", 1, "when: 'true'", "  limiter: whole\n  limits: {whole: {concurrency: 70}}\n"))
    executions = [world.start("w") for _ in range(80)]
    world.play((5_000, lambda: world.services.limits.put("w/whole", {"concurrency": 20})), (100_000, lambda: None))
    assert {world.document(one)["status"] for one in executions} == {"completed"}
    assert world.worker.most <= 70
    world.services.limits.delete("w/whole")
    assert world.services.limits.get("w/whole")["gauges"][0]["held"] == 0


def test_slots_are_handed_on_when_they_get_free() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 18, "limiter: code", "  limits: {code: {concurrency: 6}}\n"))
    assert world.run(world.start("w")) == "completed"
    assert world.worker.most == 6
    assert world.worker.starts == sorted([0, 10_000, 20_000] * 6)


def test_nobody_polls_while_a_limiter_is_full() -> None:
    world = LimitsWorld(600.0)
    world.publish(fan("w", 300, "limiter: code", "  limits: {code: {concurrency: 1}}\n"))
    world.start("w")
    sent: list[tuple[int, int]] = []
    world.play(
        (10_000, world.calls.clear),
        (70_000, lambda: sent.append((world.calls["sent node-tool"], world.calls["sent limits"]))),
    )
    ((orders, pumps),) = sent
    assert orders == 0
    assert pumps <= 12


def test_tenants_take_turns_however_long_their_lines_are() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 1, "limiter: code", "  tenant: '${who}'\n  limits: {code: {concurrency: 1}}\n"))
    loud = [world.start("w", who="loud") for _ in range(45)]
    quiet = {name: world.start("w", who=name) for name in ("a", "a1", "a2", "静", "b")}
    assert all(world.run(execution) == "completed" for execution in (*loud, *quiet.values()))
    order = [one.execution_id for one in world.worker.begun]
    assert max(order.index(execution) for execution in quiet.values()) <= 12


def test_a_tenant_of_more_weight_is_served_more_often_in_a_row() -> None:
    head = "  tenant: '${who}'\n  limits: {code: {concurrency: 1, weight: '${weight}'}}\n"
    world = LimitsWorld(1.0)
    world.publish(fan("w", 1, "limiter: code", head))
    started = {world.start("w", who=who, weight=weight): who for _ in range(9) for who, weight in (("x", 3), ("y", 1))}
    for execution in started:
        assert world.run(execution) == "completed"
    served = "".join(started[one.execution_id] for one in world.worker.begun)
    assert "xxxyxxxy" in served


def test_a_higher_priority_goes_first_and_a_lower_one_does_not_starve() -> None:
    nodes = "".join(
        f"    - {{id: n{index}, type: tool, tool: echo, limiter: code, priority: {2 if index < 40 else -2}}}\n"
        for index in range(42)
    )
    world = LimitsWorld(1.0)
    world.publish(f"workflow:\n  id: w\n  limits: {{code: {{concurrency: 1}}}}\n  nodes:\n{nodes}")
    assert world.run(world.start("w")) == "completed"
    order = [one.path for one in world.worker.begun]
    assert {"n40", "n41"}.isdisjoint(order[:5])
    assert max(order.index("n40"), order.index("n41")) < 30


def test_cancelling_an_execution_takes_all_its_nodes_out_of_the_line_at_once() -> None:
    world = LimitsWorld(100.0)
    world.publish(fan("w", 200, "limiter: code", "  limits: {code: {concurrency: 1}}\n"), fan("v", 1, "limiter: code"))
    first = world.start("w")
    waiting: list[int] = []
    world.play(
        (5_000, lambda: waiting.append(len(world.waiting("w/code")))),
        (5_001, lambda: world.ask("cancel", first)),
        (6_000, lambda: None),
    )
    assert waiting == [199]
    assert world.document(first)["status"] == "cancelled"
    assert world.waiting("w/code") == []


def test_a_limit_that_is_raised_lets_more_begin_within_one_period() -> None:
    world = LimitsWorld(1000.0)
    world.publish(fan("w", 20, "limiter: code", "  limits: {code: {concurrency: 2}}\n"))
    world.start("w")
    opened: list[int] = []
    world.play(
        (10_000, lambda: opened.append(world.worker.open)),
        (10_001, lambda: world.services.limits.put("w/code", {"concurrency": 9})),
        (15_001, lambda: opened.append(world.worker.open)),
    )
    assert opened == [2, 9]
    world.services.limits.delete("w/code")
    assert world.services.limits.get("w/code")["concurrency"] == 2


def test_a_provider_that_has_had_enough_stops_everybody_for_as_long_as_it_says() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 30, "limiter: code, on_error: skip", "  limits: {code: {requests: 60/min}}\n"))
    failed: list[int] = []

    def refuses(_call: object) -> BaseException | None:
        if failed or world.now < 5_000:
            return None
        failed.append(world.now)
        return NodeError("rate_limited", "too many requests", retry_after=30)

    world.worker.raises = refuses  # type: ignore[assignment]
    assert world.run(world.start("w")) == "completed"
    ahead = 5_000  # what was booked before is on its way
    assert not [at for at in world.worker.starts if failed[0] + ahead < at < failed[0] + 30_000]
    assert max(world.worker.starts) >= failed[0] + 30_000


def test_who_waits_longer_than_it_may_is_throttled_then_and_leaves_the_line() -> None:
    world = LimitsWorld(1000.0)
    world.publish(fan("w", 3, "limiter: code, max_wait: 2m", "  limits: {code: {concurrency: 1}}\n"))
    execution = world.start("w")
    assert world.run(execution) == "failed"
    document = world.document(execution)
    assert document["error"]["type"] == "throttled"
    assert 120_000 <= world.now <= 125_000
    assert world.waiting("w/code") == []


def test_time_in_which_the_execution_is_suspended_does_not_count_for_how_long_one_waits_in_line() -> None:
    world = LimitsWorld(1000.0)
    world.publish(fan("w", 2, "limiter: code, max_wait: 2m", "  limits: {code: {concurrency: 1}}\n"))
    execution = world.start("w")
    ended: list[str] = []
    steps = [(60_000, "suspend"), (660_000, "resume"), (715_000, ""), (730_000, "")]

    def take(asked: str) -> None:
        if asked:
            world.ask(asked, execution)
        ended.append(world.document(execution)["status"])

    world.play(*((at, partial(take, asked)) for at, asked in steps))
    assert ended[-2:] == ["running", "failed"]
    assert world.document(execution)["error"]["type"] == "throttled"
    assert world.waiting("w/code") == []


def test_a_workflow_s_limiter_holds_whole_executions_back() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 2, "when: 'true'", "  limiter: whole\n  limits: {whole: {concurrency: 2}}\n"))
    started = [world.start("w") for _ in range(6)]
    statuses: list[list[str]] = []

    def look() -> None:
        statuses.append([world.document(execution)["status"] for execution in started])

    world.play((5_000, look), (5_001, lambda: world.ask("cancel", started[-1])), (6_000, look), (60_000, lambda: None))
    assert statuses[0] == ["running"] * 2 + ["pending"] * 4
    assert statuses[1][-1] == "cancelled"
    assert [world.document(execution)["status"] for execution in started[:-1]] == ["completed"] * 5
    assert world.worker.most == 4
    assert len(world.worker.begun) == 10
    assert world.waiting("w/whole") == []


def test_a_limiter_with_a_key_is_one_for_each_of_its_values() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 2, "limiter: mine", "  limits: {mine: {concurrency: 1, key: '${账户}'}}\n"))
    executions = [world.start("w", 账户=name) for name in ("甲", "乙")]
    for execution in executions:
        assert world.run(execution) == "completed"
    assert world.worker.starts == [0, 0, 10_000, 10_000]
    assert [gauge["key"] for gauge in world.services.limits.get("w/mine")["gauges"]] == ["甲", "乙"]


def test_what_is_kept_of_a_key_that_nobody_uses_any_more_is_deleted_in_weeks() -> None:
    world = LimitsWorld(10.0)
    key = "key: '${who}'"
    head = f"  limiter: whole\n  limits: {{mine: {{concurrency: 1, {key}}}, whole: {{concurrency: 9, {key}}}}}\n"
    world.publish(fan("w", 2, "limiter: mine", head))
    assert world.run(world.start("w", who="甲")) == "completed"
    kept = {name: world.gauge(f"w/{name}", "甲")["expires_at"] - START // 1000 for name in ("mine", "whole")}
    assert 30 * 86_400 <= kept["mine"] < 31 * 86_400
    assert 400 * 86_400 < kept["whole"] < 432 * 86_400
    written = world.calls["writes"]
    assert world.run(world.start("w", who="甲")) == "completed"
    again = world.calls["writes"]
    assert world.run(world.start("w", who="甲")) == "completed"
    assert world.calls["writes"] - again == again - written


def test_publishing_reads_the_rules_of_its_own_limiters_only() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 1, "limiter: code", "  limits: {code: {concurrency: 1}, gone: {concurrency: 2}}\n"))
    world.publish(fan("w", 1, "limiter: code", "  limits: {code: {concurrency: 3}}\n"))
    assert world.calls[f"queried {keys.FREEZES}"] == 0
    assert [(one["name"], one["concurrency"]) for one in world.services.limits.list()] == [("w/code", 3)]


def test_publishing_reads_once_which_agents_are_published_if_it_names_any() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 3, "agent: echo", what="type: agent"))
    assert world.calls[f"queried {keys.FREEZES}"] == 1


def test_without_a_value_for_its_key_a_limiter_does_not_apply() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 3, "limiter: mine", "  limits: {mine: {concurrency: 1, key: '${account}'}}\n"))
    assert world.run(world.start("w")) == "completed"
    assert world.worker.starts == [0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"key": "${"}, "key: `${` is not a template: ${ is never closed"),
        ({"key": "${nodes.a.status}"}, "key: it is fixed when an execution starts, and cannot read `nodes`"),
        ({"weight": "${a +}"}, "weight: `${a +}` is not a template"),
        ({"requests": "5/fortnight"}, "is not a rate (For example `60/min`"),
    ],
)
def test_what_is_no_limiter_is_refused_when_somebody_sets_it(fields: dict[str, Json], text: str) -> None:
    world = LimitsWorld(1.0)
    with pytest.raises(RequestError) as caught:
        world.services.limits.put("shared", {"concurrency": 1, **fields})
    assert text in caught.value.message
    assert world.services.limits.list() == []


def test_a_template_that_does_not_fit_an_input_holds_up_only_those_that_name_its_limiter() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 1, "when: 'true'"), fan("v", 1, "limiter: shared"))
    world.services.limits.put("shared", {"concurrency": 1, "key": "${n + 1}"})
    assert world.run(world.start("w", n="text")) == "completed"
    with pytest.raises(RequestError, match="the key of limiter 'shared'"):
        world.start("v", n="text")


def test_a_paused_limiter_lets_nothing_begin_until_it_is_resumed() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 3, "limiter: code", "  limits: {code: {requests: 5/s}}\n"))
    world.services.limits.put("w/code", {"paused": True})
    execution = world.start("w")
    world.play((60_000, lambda: None))
    assert world.worker.begun == []
    assert world.services.limits.get("w/code")["gauges"][0]["paused"]
    world.services.limits.put("w/code", {"paused": False})
    assert world.run(execution) == "completed"
    assert min(world.worker.starts) < 62_000


def test_a_paused_limiter_costs_nothing_until_it_is_resumed() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 20, "limiter: code", "  limits: {code: {concurrency: 2}}\n"))
    execution = world.start("w")
    sent: list[int] = []
    world.play(
        (500, lambda: world.services.limits.put("w/code", {"paused": True})),
        (20_000, lambda: sent.append(world.calls[f"sent {LIMITS}"])),
        (3_600_000, lambda: sent.append(world.calls[f"sent {LIMITS}"])),
    )
    assert len(world.worker.begun) == 2
    assert len(world.waiting("w/code")) == 18
    assert sent[0] == sent[1], "the pump ends at its first look, and nobody begins another"
    world.services.limits.put("w/code", {"paused": False})
    assert world.run(execution) == "completed"
    assert min(world.worker.starts[2:]) < 3_605_000
    assert world.worker.most == 2


def test_a_pause_holds_values_of_a_key_and_shards_that_come_after_it() -> None:
    world = LimitsWorld(1.0)
    limits = "  limits: {code: {concurrency: 5, key: '${who}'}}\n"
    world.publish(fan("w", 2, "limiter: code", limits), fan("v", 2, "limiter: wide"))
    world.services.limits.put("wide", {"concurrency": 2})
    for name in ("w/code", "wide"):
        world.services.limits.put(name, {"paused": True})
    world.services.limits.put("wide", {"concurrency": 100})
    executions = [world.start("w", who="新"), world.start("v")]
    world.play((60_000, lambda: None))
    assert world.worker.begun == []
    assert [world.services.limits.get(name)["gauges"][0]["paused"] for name in ("w/code", "wide")] == [True, True]
    for name in ("w/code", "wide"):
        world.services.limits.put(name, {"paused": False})
    assert [world.run(execution) for execution in executions] == ["completed"] * 2


@pytest.mark.parametrize("which", [1, 2, 3])
@pytest.mark.parametrize("paused", [True, False])
def test_a_pause_or_a_resumption_that_dies_half_way_is_carried_through(which: int, paused: bool) -> None:
    """After its write of that number; what it has written of what people want holds then."""
    world = LimitsWorld(1.0)
    world.publish(fan("w", 6, "limiter: code", "  limits: {code: {concurrency: 2}}\n"))
    writes = 0

    def dies(call: str) -> bool:
        nonlocal writes
        writes += call in ("table.change", "queues.send")
        return writes > which

    def half() -> None:
        world.fails_this = dies
        with suppress(RetryableError):
            world.services.limits.put("w/code", {"paused": paused})
        world.fails_this = lambda _call: False

    if not paused:
        world.services.limits.put("w/code", {"paused": True})
    execution = world.start("w")
    world.play((500, half), (3_600_000, lambda: None))
    if paused:
        assert len(world.worker.begun) == 2
        world.services.limits.put("w/code", {"paused": False})
    assert world.run(execution) == "completed"


def test_a_pause_that_dies_before_it_has_closed_a_gate_holds_on_all_shards() -> None:
    world = LimitsWorld(20.0)
    world.publish(fan("w", 160, "limiter: code", "  limits: {code: {concurrency: 80}}\n"))
    execution = world.start("w")
    world.play((500, lambda: world.services.stores.limiters.pause("w/code")), (3_600_000, lambda: None))
    assert len(world.worker.begun) == 80
    world.services.limits.put("w/code", {"paused": False})
    assert world.run(execution) == "completed"
    assert world.worker.most == 80


def test_who_names_several_limiters_takes_of_all_or_waits_and_holds_none() -> None:
    world = LimitsWorld(10.0)
    head = "  limits: {a: {concurrency: 3}, b: {concurrency: 2}, c: {requests: 60/min}}\n"
    world.publish(fan("w", 8, "limiter: [a, b, c]", head))
    assert world.run(world.start("w")) == "completed"
    assert world.worker.most == 2
    for name in "abc":
        assert world.services.limits.get(f"w/{name}")["gauges"][0]["held"] == 0


def test_who_could_not_begin_finds_its_place_when_its_order_comes_again() -> None:
    world = LimitsWorld(12.0)
    world.publish(fan("w", 3, "limiter: code", "  limits: {code: {concurrency: 1}}\n"))
    failed: list[int] = []

    def fails(call: str) -> bool:
        """What the second one reads before it begins."""
        is_it = call == "table.get" and 12_000 <= world.now < 13_000 and len(world.worker.begun) == 1
        failed.extend([world.now] if is_it else [])
        return is_it

    world.fails_this = fails
    assert world.run(world.start("w")) == "completed"
    assert failed
    assert world.worker.most == 1


def test_each_grant_has_a_larger_fence_than_all_before() -> None:
    world = LimitsWorld(1.0)
    world.publish(fan("w", 10, "limiter: code", "  limits: {code: {concurrency: 2}}\n"))
    assert world.run(world.start("w")) == "completed"
    fences = [one.fences["w/code"] for one in world.worker.begun]
    assert len(set(fences)) == 10
    assert fences == sorted(fences)


def test_quotas_hold_all_nodes_and_those_of_a_type() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 6, "when: 'true'"))
    for name, slots in ResourceQuota(max_concurrent_tasks=3, max_tasks_per_type={"tool": 2}).limiters().items():
        world.services.limits.put(name, {"concurrency": slots})
    assert world.run(world.start("w")) == "completed"
    assert world.worker.most == 2


CHAIN = "workflow:\n  id: w\n  nodes:\n" + "".join(
    f"    - {{id: n{number}, type: tool, tool: echo, dependencies: [{f'n{number - 1}' if number else ''}]}}\n"
    for number in range(5)
)


def test_nodes_that_one_worker_runs_in_turn_share_what_quotas_give_them() -> None:
    """A slot for all of them, one order and one report; beside others, never more than the quota allows."""
    world = LimitsWorld(1.0)
    world.publish(CHAIN)
    for name, slots in ResourceQuota(max_concurrent_tasks=1, max_tasks_per_type={"tool": 1}).limiters().items():
        world.services.limits.put(name, {"concurrency": slots})
    world.run(world.start("w"))
    world.calls.clear()
    alone = world.start("w")
    assert world.run(alone) == "completed"
    assert world.calls["table.change"] == 4, "two slots are taken and given back"
    assert world.calls["invocations by node-tool"] == 1
    executions = [world.start("w") for _ in range(3)]
    assert [world.run(execution) for execution in executions] == ["completed"] * 3
    assert world.worker.most == 1


def test_nodes_that_take_long_together_hold_their_place_to_the_end_of_the_last() -> None:
    """No single one of them would have its lease renewed in time."""
    world = LimitsWorld(lambda call: {"n0": 29.0, "n1": 29.0, "n2": 60.0}.get(call.path, 1.0))
    world.publish(CHAIN, fan("other", 1, "when: 'true'"))
    world.services.limits.put("*", {"concurrency": 1})
    world.start("w")
    world.play((10_000, lambda: world.start("other")), (200_000, lambda: None))
    assert [one.path for one in world.worker.begun] == ["n0", "n1", "n2", "n0", "n3", "n4"]
    assert world.worker.most == 1


def test_a_quota_that_is_paused_lets_no_node_begin_in_place_either() -> None:
    world = LimitsWorld(10.0)
    world.publish(CHAIN)
    world.services.limits.put("*", {"concurrency": 3})
    execution = world.start("w")
    begun: list[int] = []
    world.play(
        (15_000, lambda: world.services.limits.put("*", {"paused": True})),
        (100_000, lambda: begun.append(len(world.worker.begun))),
        (100_001, lambda: world.services.limits.put("*", {"paused": False})),
        (300_000, lambda: None),
    )
    assert begun == [2]
    assert world.document(execution)["status"] == "completed"


@pytest.mark.parametrize("quota", [{"max_concurrent_tasks": 0}, {"max_tasks_per_type": {"humans": 1}}])
def test_quotas_that_make_no_sense_are_refused(quota: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"quota|max_tasks"):
        ResourceQuota(**quota)  # type: ignore[arg-type]


def test_suspended_executions_leave_the_line_and_come_back_to_their_place() -> None:
    world = LimitsWorld(10.0)
    world.publish(fan("w", 4, "limiter: code", "  limits: {code: {concurrency: 1}}\n"))
    first = world.start("w")
    waiting: list[int] = []
    second: list[str] = []
    world.play(
        (1_000, lambda: world.ask("suspend", first)),
        (2_000, lambda: waiting.append(len(world.waiting("w/code")))),
        (2_001, lambda: second.append(world.start("w"))),
        (3_000, lambda: world.ask("resume", first)),
        (100_000, lambda: None),
    )
    assert waiting == [0]
    assert [world.document(one)["status"] for one in (first, *second)] == ["completed"] * 2
    order = [one.execution_id for one in world.worker.begun]
    assert order.index(second[0]) >= 3


def failing(seed: int) -> LimitsWorld:
    """Three executions that wait for two limiters, in which a call in thirty fails."""
    world = LimitsWorld(lambda call: 1.0 + crc32(call.path.encode()) % 7, failures=30, seed=seed)
    world.publish(fan("w", 12, "limiter: [code, rate]", "  limits: {code: {concurrency: 3}, rate: {requests: 5/s}}\n"))
    executions = [world.start("w") for _ in range(3)]
    for execution in executions:
        assert world.run(execution) == "completed", (seed, world.document(execution)["error"])
    return world


def test_what_a_seed_says_happens_every_time() -> None:
    worlds = [failing(10) for _ in range(3)]
    assert worlds[0].calls == worlds[1].calls == worlds[2].calls
    assert worlds[0].worker.starts == worlds[1].worker.starts == worlds[2].worker.starts


@pytest.mark.parametrize("seed", range(40))
def test_whatever_fails_there_are_never_too_many_and_nothing_waits_for_ever(seed: int) -> None:
    world = failing(seed)
    assert world.worker.most <= 3
    assert world.worker.most_in(1_000) <= 6  # five, and what a message that comes late makes of it
    assert len({(one.execution_id, one.path) for one in world.worker.begun}) == 36
    world.failures = 0
    world.play((world.now + 200_000, lambda: None))  # what was granted, and could not be told so, finds that it is over
    assert world.waiting("w/code") == world.waiting("w/rate") == []


def test_a_rate_may_be_set_for_any_interval() -> None:
    from workflow_runtime.definition.rates import read_rate
    from workflow_runtime.plan.limiters import Rate

    assert read_rate("60/min") == Rate(60, 60_000)
    assert read_rate(" 200k / h ") == Rate(200_000, 3_600_000)
    assert read_rate(f"7/{timedelta(minutes=1.5).total_seconds():g}s") == Rate(7, 90_000)
