"""What the services of a runtime stand on: one backend's ports and stores, and what else they are given."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cached_property, partial
from itertools import count as counting
from typing import TYPE_CHECKING

from workflow_runtime.deployment.metrics import AttemptEnded, count_attempt
from workflow_runtime.deployment.settings import RETENTION_DAYS, Callers
from workflow_runtime.deployment.topology import POOLS
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.stores import Stores

if TYPE_CHECKING:
    from workflow_runtime.engine.state import Parent
    from workflow_runtime.invokers.invocation import Invoker
    from workflow_runtime.plan.catalogue import Catalogue
    from workflow_runtime.services.express import ExpressOrder
    from workflow_runtime.services.tally import Sums, Tally
    from workflow_runtime.services.work.attempt import Secrets
    from workflow_runtime.storage.counters import CounterStore

Invokers = Callable[[], "Mapping[NodeType, Invoker]"]

ID_BYTES = 16


BY_SUBJECT = Callers()
StandsIn = Callable[[str, "Parent", str], bool]
RunExpress = Callable[["ExpressOrder"], Awaitable[None]]


def no_mocks(_workflow_id: str, _parent: Parent, _correlation_id: str) -> bool:
    """No mock answers in the place of a workflow."""
    return False


def new_id() -> str:
    """A fresh identity, as unlikely to come twice as a UUID."""
    return os.urandom(ID_BYTES).hex()


def numbered_ids(first: str) -> Callable[[], str]:
    """Fresh identities that have much in common: all together they compress well. ``first`` is as `new_id` makes it."""
    numbers = counting(1)
    half = ID_BYTES  # in hexadecimal digits, half of an identity
    return lambda: f"{first[:half]}{next(numbers):0{half}x}"


def _ignore(name: str, value: int) -> None:
    """Takes a metric."""


class Foundation:
    """``invokers`` is called once, when the first node runs.

    ``catalogue``: the agents and tools there are, for the compiler. ``end_process``: called after a blocking tool
    outlived its timeout, when its result is recorded; on Lambda it ends the process, so that the thread ends too.
    ``count`` takes metrics; ``attempt_ended`` is told of attempts (None: they are counted).
    ``pools``: the worker pools there are; None: one worker serves whatever pool is named.
    ``stands_in``: whether a mock answers in the place of a workflow that another execution starts.
    ``is_ending``: whether the process is about to end, so that requests should not wait any longer. ``callers``: who
    callers of the API are. ``retention_days``: how long executions are kept after their end.
    ``run_express``: has an express execution run that somebody waits for. ``is_within``: it serves one execution, in
    whose invocation it is, see `within`. ``tally``: adds up what is counted; None: nothing is kept in the table.
    """

    def __init__(
        self,
        ports: Ports,
        invokers: Invokers,
        *,
        secrets: Secrets,
        env: Mapping[str, str] | None = None,
        catalogue: Catalogue | None = None,
        new_id: Callable[[], str] = new_id,
        end_process: Callable[[], None] = lambda: None,
        count: Callable[[str, int], None] = _ignore,
        attempt_ended: Callable[[AttemptEnded], None] | None = None,
        pools: Collection[str] | None = None,
        is_ending: Callable[[], bool] = lambda: False,
        stands_in: StandsIn = no_mocks,
        callers: Callers = BY_SUBJECT,
        retention_days: int = RETENTION_DAYS,
        run_express: RunExpress | None = None,
        is_within: bool = False,
        tally: Tally | None = None,
    ) -> None:
        self._retention_days = retention_days
        self.ports = ports
        self.count = count
        self._attempt_ended = partial(count_attempt, count) if attempt_ended is None else attempt_ended
        self.is_ending = is_ending
        self.callers = callers
        self._end_process = end_process
        self._invokers = invokers
        self._secrets = secrets
        self._env = dict(env or {})
        self._catalogue = catalogue
        self._pools = pools
        self._new_id = new_id
        self._stands_in = stands_in
        self._run_express = run_express
        self._is_within = is_within
        self.tally = tally

    @property
    def _served(self) -> Collection[str]:
        """The pools that have a queue."""
        return POOLS if self._pools is None else self._pools

    @cached_property
    def stores(self) -> Stores:
        return Stores(self.ports, self._retention_days)

    @cached_property
    def counters(self) -> CounterStore:
        """Sums of what was counted; this process adds to one of their shards."""
        return self.stores.counters(int(self._new_id(), 16))

    @cached_property
    def _sums(self) -> Sums:
        from workflow_runtime.services.tally import Sums

        return Sums(self.counters)

    def write_counts(self) -> None:
        """Add what is due of what was counted. Nothing depends on it: what cannot be written now is tried again."""
        due = self.tally.due() if self.tally is not None and not self._is_within else {}
        if self.tally is not None and due:
            self.tally.take(self._sums.add(due))

    @cached_property
    def mailer(self) -> Mailer:
        return Mailer(self.ports, self._new_id)
