"""Which budgets and rates the requests of an attempt are held to, and its gate, if there are any."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import msgspec

from workflow_runtime.engine.state import Parent
from workflow_runtime.errors import RetryableError
from workflow_runtime.invokers.gate import Beyond, NestedBudget
from workflow_runtime.invokers.invocation import Invoker
from workflow_runtime.plan.graph import NodePlan
from workflow_runtime.plan.limiters import Budget, Limiter, Share
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits.accounts import Account, Draw
from workflow_runtime.services.limits.admission import Admitted, limiters_of_call
from workflow_runtime.services.limits.budgets import Budgets
from workflow_runtime.services.limits.gating import Answers, AttemptGate, Rated
from workflow_runtime.services.limits.line import Lines
from workflow_runtime.services.limits.named import limiter_named
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.messages import Order
from workflow_runtime.storage import keys
from workflow_runtime.storage.limiters import LimiterName, holder_of
from workflow_runtime.storage.records import Header
from workflow_runtime.storage.stores import Stores

NO_BUDGET = Budget()
ANCESTORS_KNOWN_MAX = 1000


class Payer(msgspec.Struct, frozen=True):
    """An execution that pays for what it runs, and for what those run that it awaits."""

    plan: Plan
    shares: Mapping[str, Share]
    parent: Parent | None
    attempt: int


class Gates:
    def __init__(self, ports: Ports, stores: Stores, budgets: Budgets, lines: Lines, looks: Looks) -> None:
        self._ports = ports
        self._executions = stores.executions
        self._workflows = stores.workflows
        self._budgets = budgets
        self._lines = lines
        self._looks = looks
        self._answers = Answers()
        self._ancestors: dict[str, Payer] = {}

    def gate(
        self,
        order: Order,
        plan: Plan,
        node: NodePlan,
        header: Header,
        admitted: Admitted,
        invokers: Mapping[NodeType, Invoker],
        target: str,
        deadline: int,
    ) -> AttemptGate | None:
        """The gate of an attempt of an agent. None if nothing limits its tokens or money. ``admitted``: what it has
        taken of limiters before it began. Raises `RetryableError`."""
        invoker = invokers[node.type]
        own = frozenset(invoker.limiters(target))
        rated = [
            Rated(booking, use.tokens, use.name.name in own)
            for use, booking in zip(admitted.uses, admitted.bookings, strict=True)
            if use.limiter.tokens is not None or (use.limiter.requests is not None and use.name.name in own)
        ]
        beyond = invoker.beyond(target)
        more = self._more(plan, header, beyond, {use.name.name for use in admitted.uses})
        held = {use.name.name: (use.name.line, use.limiter) for use in admitted.uses if use.name.name in own}
        timed = {name: found for name, found in {**held, **more}.items() if found[1].has_rates}
        accounts = self._accounts(order, plan, node, header, invokers, invoker.budget(target), beyond)
        if not (rated or accounts or more or beyond.budgets):
            return None
        holder = holder_of(order.execution_id, order.command.path, order.command.serial)
        visit = f"{order.execution_id}#{order.command.path}#{order.command.visit}"
        return AttemptGate(
            self._ports,
            self._budgets,
            self._lines,
            self._answers,
            target,
            accounts,
            partial(_nested_account, order),
            rated,
            more,
            timed,
            own.union(beyond.limiters).difference(node.limiters),
            holder,
            visit,
            deadline,
            order.command.answers,
        )

    def _more(
        self, plan: Plan, header: Header, beyond: Beyond, taken: Collection[str]
    ) -> Mapping[str, tuple[LimiterName, Limiter]]:
        """The limiters of which requests take beside those that were taken before it began, by name."""
        found = {}
        for name in beyond.limiters:
            named = limiter_named(self._looks, plan, header.shares, name)
            if named is not None and name not in taken and not named[1].holds_nothing:
                found[name] = named[:2]
        return found

    def _accounts(
        self,
        order: Order,
        plan: Plan,
        node: NodePlan,
        header: Header,
        invokers: Mapping[NodeType, Invoker],
        of_visit: Budget | None,
        beyond: Beyond,
    ) -> Sequence[Account]:
        found = []
        command, id = order.command, order.execution_id
        if of_visit is not None:
            key = keys.visit_budget(id, command.path, command.visit)
            found.append(Account(key, id, of_visit, f"this visit of `{command.path}`"))
        payer = Payer(plan, header.shares, header.parent, header.attempt)
        names = (*node.limiters, *limiters_of_call(node, invokers), *beyond.limiters)
        seen: set[LimiterName] = set()
        while True:
            draws = [draw for draw in self._draws(payer, names) if draw.name not in seen]
            seen.update(draw.name for draw in draws)
            budget = _budget(payer)
            if draws or budget is not None:
                of = "the execution" if id == order.execution_id else f"the execution {id}"
                found.append(Account(keys.budget(id), id, budget or NO_BUDGET, of, tuple(draws), payer.attempt))
            id, names = payer.parent.payer if payer.parent is not None else "", ()
            if not id:
                return found
            payer = self._ancestor(id)

    def _draws(self, payer: Payer, names: Iterable[str]) -> Iterable[Draw]:
        """The limiters with budgets that these names are; and the one that holds the whole execution."""
        awaited = payer.parent is not None and payer.parent.notify
        whole = payer.plan.limits.executions
        for name in dict.fromkeys((*names, *((whole,) if whole and not awaited else ()))):
            named = limiter_named(self._looks, payer.plan, payer.shares, name)
            if named is not None and named[1].budget is not None:
                yield Draw(named[0], named[1].budget)

    def _ancestor(self, execution_id: str) -> Payer:
        """An execution that pays for one that it awaits, as it was when it was first looked at."""
        known = self._ancestors.get(execution_id)
        if known is None:
            header = self._executions.header(execution_id)
            if header is None:
                raise RetryableError(f"there is no execution {execution_id}")
            known = Payer(self._workflows.plan(header.plan_hash), header.shares, header.parent, header.attempt)
            if len(self._ancestors) >= ANCESTORS_KNOWN_MAX:
                self._ancestors.clear()
            self._ancestors[execution_id] = known
        return known


def _nested_account(order: Order, nested: NestedBudget) -> Account:
    """That of an agent which the attempt's own has called."""
    command, id = order.command, order.execution_id
    key = keys.visit_budget(id, f"{command.path}/{nested.within}", command.visit)
    return Account(key, id, nested.budget, f"this call of the agent `{nested.agent}`")


def _budget(payer: Payer) -> Budget | None:
    """Its own; of an execution that runs a part of another one, that one's is enough."""
    return None if payer.parent is not None and payer.parent.part is not None else payer.plan.limits.budget
