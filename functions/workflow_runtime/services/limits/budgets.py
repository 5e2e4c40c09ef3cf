"""Accounts in the table: reserving, settling, drawing slices of the budgets of limiters, giving their rest back.

Why a budget is never exceeded, whatever crashes: what a request may need is reserved by a conditional write before the
request is made, and only what was reserved is ever spent; a request that nobody has heard the end of keeps all that it
had reserved. With ``reserve: expected`` a request may need more than that, and then the next ones are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from workflow_runtime.deployment.metrics import Metric
from workflow_runtime.errors import RetryableError
from workflow_runtime.plan.limiters import Budget, Limiter
from workflow_runtime.ports import Change, Clock, Condition, Key, Missing, Present
from workflow_runtime.services.limits import accounts
from workflow_runtime.services.limits.accounts import Account, Amount, Balance, Draw, amount_of
from workflow_runtime.services.limits.arithmetic import number
from workflow_runtime.storage.budgets import BudgetStore
from workflow_runtime.storage.limiters import LimiterName, holder_of

TRIES_MAX = 20  # changes of an account that another one came before
KNOWN_MAX = 1000
PATIENCE_SECONDS = (1, 2, 4, 8, 15, 30)  # for others to settle what they have reserved of a budget
KEPT_SECONDS = 2 * 86_400  # a limiter's budget, after its window


class Reservation(msgspec.Struct, frozen=True):
    """What a request has reserved of an account. ``windows``: of the slices it is paid from, by their marks."""

    account: Account
    request: str
    need: Amount
    windows: Mapping[str, int]


class Lack(msgspec.Struct, frozen=True):
    """Why nothing was reserved. ``name``: of the budget that has not enough; ``cap``, ``used`` (what is reserved
    included), ``reserved``: of it; ``over``: the execution has ended."""

    of: str
    budget: Budget
    need: Amount
    cap: Amount = Amount()
    used: Amount = Amount()
    reserved: Amount = Amount()
    over: bool = False

    @property
    def may_pass(self) -> bool:
        """Whether there may be enough once those who have reserved before have settled."""
        return not self.over and accounts.fits(self.cap, self.used.minus(self.reserved), self.need)


class Budgets:
    """``count`` takes metrics."""

    def __init__(self, clock: Clock, store: BudgetStore, count: Callable[[str, int], None]) -> None:
        self._clock = clock
        self._store = store
        self._count = count
        self._known: dict[Key, Balance] = {}

    def reserve(self, account: Account, request: str, need: Amount) -> Reservation | Lack:
        """Reserve what a request may need, drawing slices for it; again, it is reserved once. Raises
        `RetryableError`."""
        for _ in range(TRIES_MAX):
            now = self._clock.now()
            lack = self._drawn(account, need, now) if account.draws else None
            if lack is not None:
                return lack
            windows = {draw.mark: draw.window(now) for draw in account.draws}
            balance = self._balance(account.key)
            done, balance = self._change(account.key, *accounts.reserving(account, balance, request, need, now))
            if done or accounts.OPEN + request in balance:
                return Reservation(account, request, need, windows)
            ended = number(balance, accounts.ENDED)
            if ended >= account.attempt:
                return Lack(account.of, account.budget, need, over=True)
            if ended:
                self._change(account.key, *accounts.reopening(balance))
                continue
            cap, used = accounts.cap(account.budget, balance), accounts.used(balance)
            if not accounts.fits(cap, used, need):
                return Lack(account.of, account.budget, need, cap, used, accounts.reserved(balance))
        raise RetryableError(f"too many others changed the budget of {account.of}")

    def settle(self, reservation: Reservation, actual: Amount | None) -> None:
        """Count what a request has used instead of what it had reserved (None: just that); again, nothing happens.
        Raises `RetryableError`."""
        key, request, need = reservation.account.key, reservation.request, reservation.need
        balance = self._balance(key)
        for _ in range(TRIES_MAX):
            spent = need if actual is None else actual
            change = accounts.settling(reservation.account, request, need, spent, reservation.windows, balance)
            done, balance = self._change(key, *change)
            if done or accounts.OPEN + request not in balance:
                return
        raise RetryableError(f"too many others changed the budget of {reservation.account.of}")

    def raise_caps(self, account: Account, approval: str, most: Amount) -> bool:
        """Raise its caps to what people have approved; whether that was not done before. Raises `RetryableError`."""
        for _ in range(TRIES_MAX):
            done, balance = self._change(account.key, *accounts.raising(self._balance(account.key), approval, most))
            if done or accounts.APPROVED + approval in balance:
                return done
        raise RetryableError(f"too many others changed the budget of {account.of}")

    def note_wait(self, account: Account, run: str, lack: Lack | None) -> None:
        """Have `accounts` tell people that a run waits for others to settle; None: it does not any more. Raises
        `RetryableError`."""
        name = accounts.WAITS + run
        noted = Change(set={name: f"{self._clock.now()}/{lack.of}"}) if lack is not None else Change(remove=(name,))
        self._change(account.key, noted, Missing(name) if lack is not None else Present(name))

    def close(self, key: Key, execution_id: str, attempt: int) -> None:
        """The execution has ended: what is left of its slices goes back to the limiters. Raises `RetryableError`."""
        if not self._store.balance(key):
            return
        _, balance = self._change(key, *accounts.ending(attempt))
        for name, window, rest in accounts.slices(balance):
            self._store.change(self._store.window(name, window), *accounts.returning(holder_of(execution_id), rest))

    def spent(self, name: LimiterName, limiter: Limiter) -> tuple[Budget, Amount, int]:
        """Of a limiter with a budget: that, what was drawn of it in this window, and when the window ends (epoch
        ms)."""
        assert limiter.budget is not None
        draw = Draw(name, limiter.budget)
        window = draw.window(self._clock.now())
        balance = self._store.balance(self._store.window(name, window))
        return limiter.budget, accounts.used(balance), window + limiter.budget.window_ms

    def _drawn(self, account: Account, need: Amount, now: int) -> Lack | None:
        """Have slices that are large enough; what lacks, if there is not enough left to draw."""
        for draw in account.draws:
            for _ in range(TRIES_MAX):
                balance = self._balance(account.key)
                if number(balance, accounts.ENDED):
                    return None  # to be looked at by who reserves
                if balance.get(f"w#{draw.mark}") != draw.window(now):
                    self._change(account.key, *accounts.opening(draw, balance, now))
                    continue
                room = draw.room(balance)
                wanted = accounts.limited(draw.budget, need)
                if all(not more or left >= more for left, more in zip(room, wanted, strict=True)):
                    break
                lack = self._draw(account, draw, need.minus(room), now)
                if lack is not None:
                    return lack
        return None

    def _draw(self, account: Account, draw: Draw, lacking: Amount, now: int) -> Lack | None:
        """Draw a slice, and credit it to the account."""
        window, execution = draw.window(now), holder_of(account.execution_id)
        key, before = self._store.window(draw.name, window), amount_of(self._balance(account.key).get(f"d#{draw.mark}"))
        lacking = accounts.limited(draw.budget, Amount(max(lacking.micros, 0), max(lacking.tokens, 0)))
        shared = self._known.get(key, {})
        cap = accounts.cap(draw.budget, {})
        for amount in (accounts.slice_of(draw.budget, cap.minus(accounts.used(shared)), lacking), lacking):
            change, condition = accounts.drawing(draw.budget, execution, before, amount)
            expires = (window + draw.budget.window_ms) // 1000 + KEPT_SECONDS
            change = Change(set={**change.set, **self._store.expiring(expires)}, add=change.add)
            done, shared = self._change(key, change, condition)
            total = amount_of(shared.get(accounts.OPEN + execution))
            if done or total != before:  # another worker of the execution has drawn, or we have, and were not told
                if done:
                    self._tell(draw.budget, shared)
                self._change(account.key, *accounts.crediting(draw, window, before, total))
                return None
        of = f"the limiter `{draw.name}`"
        return Lack(of, draw.budget, lacking, cap, accounts.used(shared))

    def _tell(self, budget: Budget, shared: Balance) -> None:
        """How much of a limiter's budget is drawn, in percent."""
        parts = zip(accounts.used(shared), accounts.cap(budget, {}), strict=True)
        self._count(Metric.BUDGET_DRAWN, max(100 * used // cap for used, cap in parts if cap))

    def _balance(self, key: Key) -> Balance:
        """As it was last seen; read if it never was."""
        if key not in self._known:
            self._keep(key, self._store.balance(key))
        return self._known[key]

    def _change(self, key: Key, change: Change, condition: Condition) -> tuple[bool, Balance]:
        done, balance = self._store.change(key, change, condition)
        self._keep(key, balance)
        return done, balance

    def _keep(self, key: Key, balance: Balance) -> None:
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[key] = balance
