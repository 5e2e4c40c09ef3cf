"""Limits under schedules with one stop or one death at each call, and under many wild ones; what is wrong is found by
them.

``DELIVERY_EVERY_FAULT=1`` has invocations stop before each call in every way, ``LIMITS_SEEDS`` says how many wild
schedules there are, ``LIMITS_FIRST_SEED`` where to begin; ``deep.py`` beside this tells many, in several processes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace
from tests.simulation.delivery.bugs import line_without_pump
from tests.simulation.delivery.invariants import Violation
from tests.simulation.limits.limited import NAMES, Planted, Stop, run_seed, tell_all

from workflow_runtime.ports import AllOf, AnyOf, Change, Condition, Key, Message, Missing, Ports
from workflow_runtime.services.limits import arithmetic
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.messages import parse_order
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import holder_of, place_of

Changed = tuple[Change, Condition | None]
Wrong = Callable[[Change, Condition | None], Changed]

SEEDS = int(os.environ.get("LIMITS_SEEDS", "48"))
FIRST_SEED = int(os.environ.get("LIMITS_FIRST_SEED", "0"))
PARTS = 4  # in which seeds are spread over processes


@pytest.mark.parametrize("stop", Stop, ids=lambda stop: stop.name.lower())
@pytest.mark.parametrize("name", NAMES)
def test_wherever_one_stops_or_dies_there_are_never_too_many_and_nothing_is_lost(name: str, stop: Stop) -> None:
    assert tell_all(name, stop) > 15


@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_there_are_never_too_many_and_nothing_is_lost(part: int) -> None:
    for seed in range(FIRST_SEED + part, FIRST_SEED + SEEDS, PARTS):
        try:
            run_seed(seed)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("seed", [2933, 9588])
def test_a_run_that_was_given_up_begins_only_once_it_has_taken_of_its_limiters(seed: int) -> None:
    """In these, a run is given up just when another message of it, which found it claimed, looks at it again."""
    run_seed(seed, "paced")


class Table:
    """A table that makes another change, or on another condition, than it is asked to."""

    def __init__(self, table: Any, wrong: Wrong) -> None:
        self._table = table
        self._wrong = wrong

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def change(self, key: Key, change: Change, condition: Condition | None = None) -> Any:
        return self._table.change(key, *self._wrong(change, condition))


class Queues:
    """Queues to which who was granted something is only sent when he has left the line."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ports.queues, name)

    def send(self, queue: str, messages: Sequence[Message]) -> Any:
        for order in [parse_order(message.body) for message in messages if queue.startswith("node-")]:
            for name in order.granted:
                holder = holder_of(order.execution_id, order.command.path, order.command.serial)
                place = place_of(0, order.tenant, order.command.at, holder)
                self._ports.table.delete_all([keys.waiter(name, "", place)])
        return self._ports.queues.send(queue, messages)


def has_no_size(change: Change, condition: Condition | None) -> Changed:
    if not isinstance(condition, AllOf):
        return change, condition
    no_slots = Missing(arithmetic.SLOTS_HELD)
    kept = tuple(one for one in condition.conditions if not (isinstance(one, AnyOf) and no_slots in one.conditions))
    return change, AllOf(kept)


def has_no_nonce(change: Change, condition: Condition | None) -> Changed:
    return change, None if arithmetic.LINE in change.remove else condition


def has_no_fence(change: Change, condition: Condition | None) -> Changed:
    adds = {name: value for name, value in change.add.items() if name != arithmetic.FENCE}
    return Change(change.set, adds, change.remove), condition


def frees_a_slot_too_early(change: Change, condition: Condition | None) -> Changed:
    sets = {name: 1 if name.startswith(arithmetic.HOLDER) else value for name, value in change.set.items()}
    return Change(sets, change.add, change.remove), condition


def counts_what_is_freed_twice(change: Change, condition: Condition | None) -> Changed:
    """The number of slots is counted by adding, whether or not it was counted before."""
    return change, None if change.add.get(arithmetic.SLOTS_HELD, 0) < 0 else condition


def never_books_again(ports: Ports) -> Ports:
    """A start that is too late for its rate is taken for one that was booked again."""

    async def offload(function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        if getattr(function, "__func__", None) is Lines.book:
            return True, ports.clock.now()
        return await ports.offload(function, *args, **named)

    return replace(ports, offload=offload)


def changing(wrong: Wrong) -> Planted:
    return lambda ports: replace(ports, table=Table(ports.table, wrong))


def deleting_before_sending(ports: Ports) -> Ports:
    return replace(ports, queues=Queues(ports))


PLANTED: dict[str, tuple[str, Planted]] = {
    "a waiter deleted before its message is sent": ("rated", deleting_before_sending),
    "no condition on the size": ("one_place", changing(has_no_size)),
    "a line cleared without its nonce": ("rated", changing(has_no_nonce)),
    "a line without a pump": ("rated", line_without_pump),
    "a grant without its fence": ("one_place", changing(has_no_fence)),
    "a late start that is not booked again": ("paced", never_books_again),
    "a counter by ADD": ("one_place", changing(counts_what_is_freed_twice)),
    "a slot freed before its holder is done": ("one_place", changing(frees_a_slot_too_early)),
}
"""By what is wrong: the workflow whose directed schedules find it, and what puts it there."""


@pytest.mark.parametrize("bug", PLANTED)
def test_what_is_planted_is_found(bug: str) -> None:
    with pytest.raises(Violation):
        _tell_everything(*PLANTED[bug])


def _tell_everything(name: str, planted: Planted) -> None:
    for stop in Stop:
        tell_all(name, stop, planted)
