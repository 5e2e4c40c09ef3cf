"""What the item of an account must be for a request to be paid from it, and what it becomes then. Pure, like
`arithmetic`.

An account is what one execution (or one visit of an agent) may spend: an item with these attributes. Money is in
micro-dollars; what is *used* holds what is reserved, too.

- ``usd``, ``tok``: used; ``cap_usd``, ``cap_tok``: caps that somebody has raised
- ``o#<request>``: what a request has reserved that is not settled, as ``usd/tok``: its presence makes reserving and
  settling idempotent
- ``y#<run>``: that a run waits for others to settle, since when (epoch ms) and of whose budget, as ``since/whose``
- ``a#<approval>``: that people have raised a cap, so that it is raised once
- ``end``: the attempt of the execution that is over: nothing more is reserved, its slices are given back
- of each limiter whose budget it draws slices from (``h``: a hash of the name): ``w#h`` the window; ``d#h`` how much it
  has drawn in that, as ``usd/tok``; ``ru#h``, ``rt#h`` what is left of it; ``n#h`` the name

The budget of a limiter is an item for each window: ``usd``, ``tok`` drawn by all, and ``o#<execution>`` by one of them.
A slice is drawn there first and credited to the account then: a crash in between leaves the first number larger than
``d#h``, and the next one who needs a slice credits the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from workflow_runtime.plan.limiters import MICROS, Budget
from workflow_runtime.ports import (
    AllOf,
    AnyOf,
    Attribute,
    Below,
    Between,
    Change,
    Condition,
    Equals,
    Key,
    Missing,
    Present,
)
from workflow_runtime.services.limits.arithmetic import number
from workflow_runtime.storage.limiters import LimiterName, holder_of

USED = ("usd", "tok")
CAPS = ("cap_usd", "cap_tok")
OPEN = "o#"
APPROVED = "a#"
WAITS = "y#"
ENDED = "end"
PLENTY = 1 << 53
SLICES_OF_A_CAP = 20  # a slice is this part of a limiter's budget, so that many can draw at once
SLICES_OF_THE_REST = 10  # and no more than this part of what is left of it: the last ones share it
SLICE_MICROS_MAX = 250_000  # $0.25

Balance = Mapping[str, Attribute]
"""The attributes of an account's item, or of a limiter's budget; empty if there is none yet."""


class Amount(NamedTuple):
    """Money and tokens."""

    micros: int = 0
    tokens: int = 0

    def __str__(self) -> str:
        return f"{self.micros}/{self.tokens}"

    def minus(self, other: Amount) -> Amount:
        return Amount(self.micros - other.micros, self.tokens - other.tokens)


def amount_of(held: Attribute) -> Amount:
    """As ``usd/tok`` says it."""
    micros, _, tokens = str(held or "0/0").partition("/")
    return Amount(int(micros), int(tokens))


class Draw(msgspec.Struct, frozen=True):
    """A limiter whose budget an account draws slices from, in the window that began at ``window`` (epoch ms)."""

    name: LimiterName
    budget: Budget

    @property
    def mark(self) -> str:
        return holder_of(*self.name)

    def window(self, now: int) -> int:
        return now - now % self.budget.window_ms if self.budget.window_ms else 0

    def room(self, balance: Balance) -> Amount:
        """What the account has left of its slices."""
        return Amount(number(balance, f"ru#{self.mark}"), number(balance, f"rt#{self.mark}"))


class Account(msgspec.Struct, frozen=True):
    """``attempt``: of its execution, ``execution_id``; ``of``: whose it is, for people."""

    key: Key
    execution_id: str
    budget: Budget
    of: str
    draws: tuple[Draw, ...] = ()
    attempt: int = 1

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All that a request must fit into."""
        all_of_them = (self.budget, *(draw.budget for draw in self.draws))
        return tuple(budget for budget in all_of_them if budget.micros or budget.tokens)

    @property
    def expects(self) -> bool:
        """Whether what is expected of a request is enough to reserve."""
        return all(budget.expected for budget in self.budgets)


def cap(budget: Budget, balance: Balance) -> Amount:
    """What may be used in all; 0: any number."""
    raised = (max(own, number(balance, name)) for own, name in zip(_caps(budget), CAPS, strict=True))
    return limited(budget, Amount(*raised))


def used(balance: Balance) -> Amount:
    return Amount(*(number(balance, name) for name in USED))


def reserved(balance: Balance) -> Amount:
    """What is reserved and not settled."""
    held = [amount_of(value) for name, value in balance.items() if name.startswith(OPEN)]
    return Amount(sum(one.micros for one in held), sum(one.tokens for one in held))


def limited(budget: Budget, amount: Amount) -> Amount:
    """What of it the budget counts."""
    return Amount(amount.micros if budget.micros else 0, amount.tokens if budget.tokens else 0)


def fits(cap: Amount, used: Amount, need: Amount) -> bool:
    return all(not most or before + more <= most for most, before, more in zip(cap, used, need, strict=True))


def reserving(account: Account, balance: Balance, request: str, need: Amount, now: int) -> tuple[Change, Condition]:
    """Reserve what a request needs; of slices, as they were drawn by now."""
    conditions: list[Condition] = [Missing(OPEN + request), Missing(ENDED)]
    conditions += _room(cap(account.budget, balance), need)
    adds = dict(zip(USED, need, strict=True))
    for draw in account.draws:
        conditions.append(Equals(f"w#{draw.mark}", draw.window(now)))
        for name, wanted in _of_slice(draw, need):
            adds[name] = -wanted
            conditions.append(Between(name, wanted, PLENTY))
    return Change(set={OPEN + request: str(need)}, add=adds), AllOf(tuple(conditions))


def settling(
    account: Account, request: str, need: Amount, actual: Amount, windows: Mapping[str, int], balance: Balance
) -> tuple[Change, Condition]:
    """Count what a request has used instead of what it had reserved. ``windows``: of the slices it was paid from, by
    their marks; what it had too much goes back to those that are still the account's."""
    rest = need.minus(actual)
    adds = {name: -value for name, value in zip(USED, rest, strict=True)}
    conditions: list[Condition] = [Present(OPEN + request)]
    for draw in account.draws:
        window = windows.get(draw.mark)
        if window is not None and number(balance, f"w#{draw.mark}") == window:
            adds |= dict(_of_slice(draw, rest))
            conditions.append(Equals(f"w#{draw.mark}", window))
    return Change(add=adds, remove=(OPEN + request,)), AllOf(tuple(conditions))


def opening(draw: Draw, balance: Balance, now: int) -> tuple[Change, Condition]:
    """Begin to draw in the window of now."""
    mark = draw.mark
    name = msgspec.json.encode(draw.name).decode()
    fresh: dict[str, Attribute] = {f"w#{mark}": draw.window(now), f"d#{mark}": str(Amount()), f"n#{mark}": name}
    before = balance.get(f"w#{mark}")
    seen: Condition = Equals(f"w#{mark}", before) if isinstance(before, int) else Missing(f"w#{mark}")
    return Change(set={**fresh, f"ru#{mark}": 0, f"rt#{mark}": 0}), seen


def drawing(budget: Budget, execution: str, before: Amount, amount: Amount) -> tuple[Change, Condition]:
    """Of a limiter's budget: draw so much for an execution that has drawn ``before``."""
    mine = OPEN + execution
    total = Amount(before.micros + amount.micros, before.tokens + amount.tokens)
    seen: Condition = Equals(mine, str(before)) if before != Amount() else Missing(mine)
    change = Change(set={mine: str(total)}, add=dict(zip(USED, amount, strict=True)))
    return change, AllOf((seen, *_room(_caps(budget), amount)))


def crediting(draw: Draw, window: int, before: Amount, total: Amount) -> tuple[Change, Condition]:
    """Of the account: take over what was drawn for it."""
    mark, more = draw.mark, total.minus(before)
    change = Change(set={f"d#{mark}": str(total)}, add={f"ru#{mark}": more.micros, f"rt#{mark}": more.tokens})
    return change, AllOf((Equals(f"w#{mark}", window), Equals(f"d#{mark}", str(before))))


def slice_of(budget: Budget, left: Amount, lacking: Amount) -> Amount:
    """How much to draw when so much is ``lacking``, and so much is ``left`` of the budget."""
    parts = [
        min(most // SLICES_OF_A_CAP, rest // SLICES_OF_THE_REST) for most, rest in zip(_caps(budget), left, strict=True)
    ]
    return limited(budget, Amount(max(lacking.micros, min(parts[0], SLICE_MICROS_MAX)), max(lacking.tokens, parts[1])))


def raising(balance: Balance, approval: str, most: Amount) -> tuple[Change, Condition]:
    """Raise the caps to what people have approved, once; caps that are higher by now stay."""
    caps = {name: max(value, number(balance, name)) for name, value in zip(CAPS, most, strict=True) if value}
    return Change(set={APPROVED + approval: 1, **caps}), Missing(APPROVED + approval)


def ending(attempt: int) -> tuple[Change, Condition]:
    """Nothing more is reserved in this attempt of the execution."""
    return Change(set={ENDED: attempt}), AnyOf((Missing(ENDED), Below(ENDED, attempt)))


def reopening(balance: Balance) -> tuple[Change, Condition]:
    """The execution goes on: it has no slices, and draws new ones."""
    gone = [name for name in balance if name[:2] in ("w#", "d#", "n#") or name[:3] in ("ru#", "rt#")]
    return Change(remove=(ENDED, *gone)), Equals(ENDED, number(balance, ENDED))


def returning(execution: str, rest: Amount) -> tuple[Change, Condition]:
    """Of a limiter's budget: an execution that has ended gives back what is left of its slices."""
    mine = OPEN + execution
    return Change(add={USED[0]: -rest.micros, USED[1]: -rest.tokens}, remove=(mine,)), Present(mine)


def slices(balance: Balance) -> Iterator[tuple[LimiterName, int, Amount]]:
    """The limiters that an account has slices of: the window, and what is left of them."""
    for name, value in balance.items():
        if name.startswith("n#"):
            mark = name[2:]
            rest = Amount(number(balance, f"ru#{mark}"), number(balance, f"rt#{mark}"))
            yield LimiterName(*msgspec.json.decode(str(value))), number(balance, f"w#{mark}"), rest


def dollars(micros: int) -> str:
    """``$1.25``, with as many digits as it takes."""
    text = f"{micros / MICROS:,.6f}".rstrip("0")
    whole, _, part = text.partition(".")
    return f"${whole}.{part:0<2}"


def tokens_text(tokens: int) -> str:
    return f"{tokens:,} tokens"


def _caps(budget: Budget) -> Amount:
    return Amount(budget.micros, budget.tokens)


def _room(most: Amount, need: Amount) -> Iterator[Condition]:
    for name, cap, wanted in zip(USED, most, need, strict=True):
        if cap:
            yield AnyOf((Missing(name), Below(name, cap - wanted + 1))) if wanted <= cap else Below(name, 0)


def _of_slice(draw: Draw, amount: Amount) -> Iterator[tuple[str, int]]:
    """The attributes of a slice, as far as the limiter's budget counts that, with what of the amount they are for."""
    for name, value, most in zip(("ru#", "rt#"), amount, _caps(draw.budget), strict=True):
        if most:
            yield name + draw.mark, value
