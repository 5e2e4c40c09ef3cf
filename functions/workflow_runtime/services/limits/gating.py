"""The gate of an attempt: what its requests of models reserve of budgets, and take of rates, before they are made.

What it costs: nothing where nothing limits tokens or money; else two writes a request and account, a slice now and
then, and two writes for each rate of tokens.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from itertools import chain, repeat

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.awaited import BUDGET_CALL, CallAnswer, Wait
from workflow_runtime.errors import NodeError, RetryableError
from workflow_runtime.invokers.gate import ModelRequest, NestedBudget, OverBudget, Permit, Spent
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.limiters import MICROS, OUTPUT_TOKENS_DEFAULT, Limiter
from workflow_runtime.ports import Ports
from workflow_runtime.services.limits.accounts import Account, Amount, amount_of, dollars, tokens_text
from workflow_runtime.services.limits.arithmetic import Need
from workflow_runtime.services.limits.bookings import Booking, begin_on_time, booked_again
from workflow_runtime.services.limits.budgets import PATIENCE_SECONDS, Budgets, Lack, Reservation
from workflow_runtime.services.limits.line import LEASE_MS, Lines, busy_until
from workflow_runtime.services.patience import patiently
from workflow_runtime.storage.limiters import LimiterName, holder_of

ANSWERS_KEPT = 200  # of an agent and model, in this process: what is `expected` of the next one
ANSWERS_NEEDED = 20  # with fewer, the worst is expected
EXPECTED_QUANTILE = 0.95
ASKED_MAX = 20  # times that an agent's visit asks for more of a budget

logger = logging.getLogger(__name__)


class Rated(msgspec.Struct, frozen=True):
    """A limiter whose rates the requests of an attempt take of. ``begun``, ``tokens``: taken before it began;
    ``per_request``: also a request for each after the first, which was taken then."""

    begun: Booking
    tokens: int = 0
    per_request: bool = False


class Answers:
    """How long answers of models were, in this process: by agent and model."""

    def __init__(self) -> None:
        self._lengths: dict[tuple[str, str], deque[int]] = {}

    def note(self, agent: str, model: str, tokens: int) -> None:
        self._lengths.setdefault((agent, model), deque(maxlen=ANSWERS_KEPT)).append(tokens)

    def expected(self, agent: str, model: str) -> int | None:
        """The length that only few are beyond; None: too few are known."""
        lengths = sorted(self._lengths.get((agent, model), ()))
        return lengths[int(len(lengths) * EXPECTED_QUANTILE)] if len(lengths) >= ANSWERS_NEEDED else None


class _Open(msgspec.Struct):
    """A request that is not settled. ``made``: the model was asked."""

    request: ModelRequest
    paid: list[Reservation] = []
    booked: list[tuple[Booking, int]] = []
    slots: list[LimiterName] = []
    made: bool = False


class AttemptGate:
    """The `ModelGate` of one attempt. ``accounts``: those that a request is paid from, all of them, beside those of
    agents that it has called, which ``nested_account`` makes; ``rated``: limiters with rates, of which it took before
    it began; ``more``: others, by name, that only some requests take of; ``timed``: of both, those that have rates;
    ``named``: those that hold only requests that
    name them; ``holder``: names the attempt among all, ``visit`` its visit; ``deadline``: epoch ms;
    ``answers_of_people``: what they said of budgets, by what they were asked.
    """

    def __init__(
        self,
        ports: Ports,
        budgets: Budgets,
        lines: Lines,
        answers: Answers,
        agent: str,
        accounts: Sequence[Account],
        nested_account: Callable[[NestedBudget], Account],
        rated: Sequence[Rated],
        more: Mapping[str, tuple[LimiterName, Limiter]],
        timed: Mapping[str, tuple[LimiterName, Limiter]],
        named: frozenset[str],
        holder: str,
        visit: str,
        deadline: int,
        answers_of_people: Mapping[str, CallAnswer],
    ) -> None:
        self._said = answers_of_people
        self._ports = ports
        self._budgets = budgets
        self._lines = lines
        self._answers = answers
        self._agent = agent
        self._accounts = accounts
        self._nested_account = nested_account
        self._rated = rated
        self._unused = {rated.begun.name for rated in rated}
        self._more = more
        self._timed = timed
        self._named = named
        self._holder = holder
        self._visit = visit
        self._deadline = deadline
        self._count = 0
        self._open: dict[str, _Open] = {}

    async def reserve(self, request: ModelRequest) -> Permit:
        self._count += 1
        key = f"{self._holder}.{self._count}"
        opened = self._open[key] = _Open(request)
        accounts = [*self._accounts, *map(self._nested_account, request.budgets)]
        try:
            for account in accounts:
                opened.paid.append(await self._pay(self._of_request(account, request), key, request))
            starts = await self._taken(opened, key, request)
            if await begin_on_time(self._ports, self._lines, starts, self._deadline) is None:
                raise NodeError("throttled", "its limiters have no start for a request of the model in time")
        except NodeError:
            await self._settle(key, Spent())
            raise
        opened.made = True
        worst = any(not account.expects for account in accounts)
        bound = OUTPUT_TOKENS_DEFAULT if worst and not request.output_tokens else 0
        return Permit(key, request, bound)

    async def settle(self, permit: Permit, spent: Spent | None) -> None:
        if spent is not None and spent.output_tokens:
            self._answers.note(self._agent, permit.request.model, spent.output_tokens)
        await self._settle(permit.key, spent)

    async def heed(self, permit: Permit, retry_after_seconds: float | None) -> None:
        until = busy_until(self._ports.clock.now(), retry_after_seconds)
        for name in permit.request.limiters:
            if name in self._timed:
                with suppress(RetryableError):  # the next request that is too many tells of it, too
                    await patiently(self._ports, self._lines.close_until, *self._timed[name], until)

    @property
    def heeds(self) -> Collection[str]:
        """Names of the limiters that it has closed whenever one of their models had enough."""
        return self._timed if self._count else ()

    async def close(self, tokens_used: int | None) -> None:
        """The attempt is over: what is open is settled. ``tokens_used``: by an attempt that asked no model through
        this, if that is known."""
        for key, opened in list(self._open.items()):
            await self._settle(key, None if opened.made else Spent())
        if not self._count and tokens_used is not None:
            for rated in self._rated:
                await self._correct(rated.begun, tokens_used - rated.tokens)

    def _of_request(self, account: Account, request: ModelRequest) -> Account:
        """Without the budgets of limiters that hold other requests."""
        others = self._named.difference(request.limiters)
        draws = tuple(draw for draw in account.draws if draw.name.name not in others)
        return replace(account, draws=draws)

    async def _taken(self, opened: _Open, key: str, request: ModelRequest) -> list[Booking]:
        """Take what the request needs of limiters; the starts that they have booked for it."""
        starts = []
        for rated in self._rated:
            if rated.per_request and rated.begun.name.name not in request.limiters:
                continue
            is_first = rated.begun.name in self._unused
            self._unused.discard(rated.begun.name)
            opened.booked.append(await self._book(rated, request, is_first=is_first))
            starts.append(opened.booked[-1][0])
            starts += [rated.begun] if rated.per_request and is_first else []
        for name in request.limiters:
            if name in self._more:
                starts.append(await self._take_more(opened, key, request, *self._more[name]))
        return starts

    async def _take_more(
        self, opened: _Open, key: str, request: ModelRequest, name: LimiterName, limiter: Limiter
    ) -> Booking:
        """Take of a limiter that holds only some requests, for this one: waits until it has room. Raises `NodeError`
        (``throttled``)."""
        tokens = request.input_tokens + request.output_tokens if limiter.tokens is not None else 0
        need = Need(key, self._deadline + LEASE_MS, tokens=tokens)
        for seconds in chain(PATIENCE_SECONDS, repeat(PATIENCE_SECONDS[-1])):
            granted = await patiently(self._ports, self._lines.take, name, limiter, need, has_begun=True)
            if granted is not None:
                own = name.at(granted.shard)
                booking = Booking(own, limiter.part(own.shard), key, granted.starts_at)
                opened.booked.append((booking, tokens))
                opened.slots += [own] if limiter.concurrency else []
                return booking
            if self._ports.clock.now() + seconds * 1000 >= self._deadline:
                break
            await self._ports.clock.sleep(seconds)
        raise NodeError("throttled", f"the limiter `{name}` has no room for a request of {request.model} in time")

    async def _pay(self, account: Account, key: str, request: ModelRequest) -> Reservation:
        """Reserve of one account; wait a little if there would be enough once others have settled."""
        need = self._need(account, request)
        pauses = iter(PATIENCE_SECONDS)
        waits = False
        try:
            while True:
                found = await patiently(self._ports, self._budgets.reserve, account, key, need)
                if isinstance(found, Reservation):
                    return found
                if found.budget.on_exceeded == "ask" and not found.may_pass and not found.over:
                    await self._ask(account, found)
                    continue
                seconds = next(pauses, 0)
                in_time = self._ports.clock.now() + seconds * 1000 < self._deadline
                if not seconds or not in_time or not found.may_pass:
                    raise OverBudget(lack_text(found), degrades=found.budget.on_exceeded == "degrade")
                if not waits:
                    waits = True
                    await self._note(account, found)
                await self._ports.clock.sleep(seconds)
        finally:
            if waits:
                await self._note(account, None)

    async def _note(self, account: Account, lack: Lack | None) -> None:
        """Tell people that the attempt waits (``lack``: for what), or that it does not any more."""
        with suppress(RetryableError):  # nothing is decided by it
            await self._ports.offload(self._budgets.note_wait, account, self._holder, lack)

    async def _ask(self, account: Account, lack: Lack) -> None:
        """Have people raise the caps: return if they did. Raises `OverBudget`."""
        whose = holder_of(*account.key)
        for number in range(ASKED_MAX):
            asked = f"{BUDGET_CALL}{whose}.{number}:"
            id = next((id for id in self._said if id.startswith(asked)), "")
            if not id:
                more = _proposed(lack)
                prompt = f"{lack_text(lack)}. Approve to let it use more: with `data`, as much as that says."
                wait = Wait(f"{asked}{more}", "budget", account.of, _shown(more), prompt=prompt)
                raise OverBudget(lack_text(lack), wait=wait)
            said = self._said[id]
            if not said.approved:
                because = f": {said.comment}" if said.comment else ""
                raise OverBudget(f"{lack_text(lack)} ({said.by or 'somebody'} gives it no more{because})")
            most = amount_of(id.removeprefix(asked)) if said.value is msgspec.UNSET else _amount(said.value)
            if await patiently(self._ports, self._budgets.raise_caps, account, holder_of(self._visit, id), most):
                return
        raise OverBudget(lack_text(lack))

    def _need(self, account: Account, request: ModelRequest) -> Amount:
        """What a request may need. Raises `OverBudget` if that is money, and nobody knows how much."""
        output = request.output_tokens or OUTPUT_TOKENS_DEFAULT
        if account.expects:
            output = min(self._answers.expected(self._agent, request.model) or output, output)
        micros = request.price(request.input_tokens, output)
        if micros is None and any(budget.micros and not budget.tokens_suffice for budget in account.budgets):
            degrades = any(budget.on_exceeded == "degrade" for budget in account.budgets)
            text = f"no price of the model {request.model} is known, and the budget of {account.of} counts money"
            raise OverBudget(f"{text} (`unknown_price: tokens` counts its tokens only)", degrades=degrades)
        return Amount(micros or 0, request.input_tokens + output)

    async def _book(self, rated: Rated, request: ModelRequest, *, is_first: bool) -> tuple[Booking, int]:
        """Take of the rates of one limiter. From when on, and how many tokens are taken, those before included."""
        before = rated.tokens if is_first else 0
        tokens = max(request.input_tokens + request.output_tokens - before, 0) if rated.begun.limiter.tokens else 0
        need = Need(self._holder, 0, int(rated.per_request and not is_first), tokens)
        if not need.requests and not need.tokens:
            return replace(rated.begun, requests=0), before
        booked = await booked_again(self._ports, self._lines, rated.begun, need, 0, self._deadline)
        if booked is None:
            text = f"the limiter `{rated.begun.name}` has no room for a request of {tokens_text(tokens)} in time"
            raise NodeError("throttled", text)
        return booked, before + tokens

    async def _settle(self, key: str, spent: Spent | None) -> None:
        opened = self._open.get(key)
        if opened is None:
            return
        try:
            while opened.paid:
                await patiently(self._ports, self._budgets.settle, opened.paid[-1], _actual(opened.paid[-1], spent))
                opened.paid.pop()
            while opened.booked:
                booking, tokens = opened.booked[-1]
                if spent is not None:
                    await self._correct(booking, spent.input_tokens + spent.output_tokens - tokens)
                opened.booked.pop()
            while opened.slots:
                if await patiently(self._ports, self._lines.release, opened.slots[-1], key):
                    await patiently(self._ports, self._lines.nudge, opened.slots[-1])
                opened.slots.pop()
        except RetryableError as error:  # what it had reserved counts, until somebody settles it
            logger.warning("what a request of a model has used could not be recorded: %s", error)
        else:
            del self._open[key]

    async def _correct(self, booking: Booking, tokens: int) -> None:
        await patiently(self._ports, self._lines.correct_tokens, booking.name, booking.limiter, tokens)


def _actual(reservation: Reservation, spent: Spent | None) -> Amount | None:
    """What a request has really used; None: all that it had reserved."""
    if spent is None:
        return None
    micros = spent.micros if spent.micros is not None else reservation.need.micros
    return Amount(micros, spent.input_tokens + spent.output_tokens)


def _proposed(lack: Lack) -> Amount:
    """Twice as much as was allowed, or as much as it takes."""
    amounts = zip(lack.cap, lack.used, lack.need, strict=True)
    return Amount(*(max(2 * cap, used + need) if cap else 0 for cap, used, need in amounts))


def _shown(most: Amount) -> dict[str, Json]:
    """As people are shown it, and give it back."""
    usd: dict[str, Json] = {"usd": most.micros / MICROS} if most.micros else {}
    return {**usd, "tokens": most.tokens} if most.tokens else usd


def _amount(value: Json) -> Amount:
    """What people have given instead; what is not a number raises nothing."""
    given = value if isinstance(value, dict) else {}
    usd, tokens = (given.get(name) for name in ("usd", "tokens"))
    micros = round(usd * MICROS) if isinstance(usd, int | float) and not isinstance(usd, bool) and usd > 0 else 0
    return Amount(micros, tokens if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0 else 0)


def lack_text(lack: Lack) -> str:
    """Why a request was not made, for people."""
    if lack.over:
        return f"the budget of {lack.of} is closed: it has ended"
    lacking = [
        _lacking(most, used, need, money=money)
        for most, used, need, money in zip(lack.cap, lack.used, lack.need, (True, False), strict=True)
        if most and used + need > most
    ]
    return f"the budget of {lack.of} has not enough for another request of the model: {' and '.join(lacking)}"


def _lacking(most: int, used: int, need: int, *, money: bool) -> str:
    show = dollars if money else tokens_text
    return f"{show(used)} of {show(most)} are used or reserved, and it may need {show(need)}"
