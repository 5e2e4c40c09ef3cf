"""Triggers are registered with the version that has them, and retired with the last one that has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.compiler.pipeline import Compilation
from workflow_runtime.errors import DefinitionError
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.triggers import EventTrigger, ScheduleTrigger, Trigger
from workflow_runtime.ports import Key
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.catalog.triggers import (
    EXECUTION_SECONDS_MAX,
    SPARE_SECONDS,
    Occasion,
    Triggers,
    schedule_name,
    start_key,
)
from workflow_runtime.storage import keys
from workflow_runtime.storage.stores import Stores
from workflow_runtime.storage.triggers import TriggerStore, digest
from workflow_runtime.storage.workflows import WorkflowStore

START = 1_700_000_000_000
CREATED = EventTrigger(topics=("created", "订单"), sources=("shop",), filters={"n": [1]})
ANYTHING = EventTrigger(sources=("shop",))
ROUTED = EventTrigger(topics=("paid",), event="pay", correlate=Formula("${detail.id}"), with_key=Formula("${id}"))
HOURLY = ScheduleTrigger("rate(1 hour)")


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(START)) as opened:
        yield opened


class Services:
    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.runtime = Runtime(backend.ports, dict, secrets=EnvironmentSecrets({}))
        self.store = TriggerStore(backend.ports.table)

    def plan(self, *triggers: Trigger, node: str = "a") -> Plan:
        source = f"workflow: {{id: 订单, nodes: [{{id: {node}, type: tool, tool: echo}}]}}"
        plan = self.runtime.catalog.compile(source.encode()).plan
        assert plan is not None
        return replace(plan, triggers=triggers)

    def publish(self, *triggers: Trigger, node: str = "a") -> int:
        plan = self.plan(*triggers, node=node)
        return self.runtime.catalog.store(Compilation(plan, []), b"source").version.number

    def registered(self, topic: str) -> list[EventTrigger]:
        return [found.trigger for found in self.store.of(topic)]

    def expiry(self, topic: str, trigger: EventTrigger) -> Any:
        key = Key(keys.triggers(topic), f"{keys.safe('订单')}#{digest(trigger)}")
        return self.backend.ports.table.get([key])[key].attributes.get(keys.EXPIRES)

    @property
    def schedules(self) -> int | None:
        return self.backend.scheduler.next_at(ticks=False)


@pytest.fixture
def services(backend: Backend) -> Services:
    return Services(backend)


def test_a_trigger_is_found_by_each_of_its_topics_and_without_any_by_the_star(services: Services) -> None:
    services.publish(CREATED, ANYTHING)
    assert services.registered("created") == services.registered("订单") == [CREATED]
    assert services.registered("*") == [ANYTHING]
    assert services.registered("other") == []
    [found] = services.store.of("created")
    assert found.workflow_id == "订单"
    assert found.pattern is not None
    assert found.pattern.matches({"n": 1})


def test_the_same_trigger_of_several_versions_is_registered_once_and_stays(services: Services) -> None:
    services.publish(CREATED)
    services.publish(CREATED, node="b")
    assert services.registered("created") == [CREATED]
    assert services.expiry("created", CREATED) is None
    assert services.runtime.triggers.current("订单", digest(CREATED)) == CREATED


def test_superseded_triggers_start_nothing_and_expire_the_routing_ones_after_any_execution(services: Services) -> None:
    services.publish(CREATED, ROUTED)
    services.publish(node="b")
    assert services.runtime.triggers.current("订单", digest(CREATED)) is None
    assert services.expiry("created", CREATED) == START // 1000 + SPARE_SECONDS
    assert services.expiry("paid", ROUTED) == START // 1000 + EXECUTION_SECONDS_MAX
    services.publish(CREATED, ROUTED)
    assert services.expiry("created", CREATED) is None, "published again, it stays"
    assert services.expiry("paid", ROUTED) is None


def test_a_removed_workflow_starts_nothing_and_has_no_schedules(services: Services) -> None:
    services.publish(CREATED, HOURLY)
    assert services.schedules == START + 3_600_000
    services.runtime.publishing.remove("订单", lambda _: True)
    assert services.runtime.triggers.current("订单", digest(CREATED)) is None
    assert services.schedules is None
    services.publish(CREATED, HOURLY)
    assert services.schedules is not None


def test_a_new_version_leaves_the_schedules_alone_that_it_keeps(services: Services) -> None:
    services.publish(HOURLY)
    services.backend.ports.clock.advance_to(START + 1_800_000)  # type: ignore[attr-defined]
    services.publish(HOURLY, CREATED)
    assert services.schedules == START + 3_600_000, "its hour goes on"
    services.publish(replace(HOURLY, expression="rate(2 hours)"))
    assert services.schedules == START + 1_800_000 + 7_200_000


def test_a_run_from_the_command_line_creates_no_schedules(services: Services) -> None:
    compilation = Compilation(services.plan(HOURLY, CREATED), [])
    services.runtime.catalog.store(compilation, b"source", scheduled=False)
    assert services.schedules is None
    assert services.registered("created") == [CREATED]


def test_names_of_schedules_are_short_ascii_whatever_the_workflow_is_called() -> None:
    name = schedule_name("订" * 128, digest(HOURLY))
    assert name.isascii()
    assert len(name) <= 64
    assert name != schedule_name("单", digest(HOURLY))


def test_a_publisher_that_loses_leaves_only_the_winners_triggers(services: Services) -> None:
    services.publish(CREATED)
    with pytest.raises(Exception, match="latest"):
        services.runtime.catalog.store(Compilation(services.plan(HOURLY, ANYTHING), []), b"source", over=0)
    assert services.schedules is None
    assert services.expiry("*", ANYTHING) == START // 1000 + SPARE_SECONDS
    assert services.expiry("created", CREATED) is None


def test_retiring_never_takes_what_was_published_meanwhile(services: Services) -> None:
    """Another publisher stores a version with the trigger while this one retires it."""
    services.publish(CREATED, HOURLY)
    before = services.plan(CREATED, HOURLY)
    services.publish(node="b")
    workflows = services.runtime.stores.workflows

    class Meanwhile(WorkflowStore):
        asked = 0

        def latest(self, workflow_id: str) -> Any:
            self.asked += 1
            if self.asked == 2:
                services.publish(CREATED, HOURLY, node="c")
            return workflows.latest(workflow_id)

    stores = Stores(services.backend.ports)
    stores.workflows = Meanwhile(services.backend.ports.table)
    Triggers(services.backend.ports, stores).settle("订单", before)
    assert services.expiry("created", CREATED) is None
    assert services.schedules is not None


def test_malformed_filters_are_reported_when_published(services: Services) -> None:
    source = b"""
workflow:
  id: w
  triggers: [{type: event, topic: t, filters: {amount: [{numeric: [">", "5"]}]}}]
  nodes: [{id: a, type: tool, tool: echo}]
"""
    with pytest.raises(DefinitionError, match="compares with a number"):
        services.runtime.catalog.publish(source)
    assert services.registered("t") == []


def test_formulas_see_the_occasions_names_before_the_payloads_own_keys() -> None:
    occasion = Occasion("id", START, {"id": 5, "name": "王"}, {"id": "event-1"})
    assert occasion.value(Formula("${id} ${name} ${trigger.id}")) == "event-1 王 5"
    assert Occasion("id", START, ["no", "object"]).value(Formula("${trigger[1]}")) == "object"
    assert start_key(occasion, replace(ANYTHING, key=Formula("${missing}"))) is None
    assert start_key(occasion, replace(ANYTHING, key=Formula("${trigger.id}"))) == "\0key\x005"


def test_a_trigger_that_cannot_be_read_does_not_stop_the_others(services: Services) -> None:
    services.publish(CREATED)
    table = services.backend.ports.table
    [item] = table.query(keys.triggers("created"))
    for number, data in enumerate((b'{"type":"later"}', b'{"type":"event","filters":{"a":[{"like":1}]}}')):
        key = Key(item.key.partition, f"{item.key.sort}{number}")
        table.put(replace(item, key=key, attributes={**item.attributes, "trigger": data}))
    assert services.registered("created") == [CREATED]
