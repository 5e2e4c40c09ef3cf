"""What stands between an agent and its model when a budget or a rate of tokens is set: the seam of limits in agents.

Before each request of a model, output retries included, the agent reserves what it may need; after it, it settles what
that used. Both go through the `ModelGate` of its call, which belongs to one attempt and keeps the accounts; where
nothing limits a call's tokens or money it has none, and nobody is asked anything. `agents.gated_model` puts a gate
around any model: whatever runs an agent (one run, recorded steps, several models in turn) wraps each of its models.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from workflow_runtime.engine.awaited import Wait
from workflow_runtime.errors import NodeError
from workflow_runtime.plan.limiters import Budget
from workflow_runtime.plan.policies import BUDGET_EXCEEDED

Price = Callable[[int, int], "int | None"]
"""Micro-dollars for so many tokens of input and output; None: nobody knows a price of the model."""


class NestedBudget(msgspec.Struct, frozen=True):
    """The budget of an agent that another one calls. ``within``: names the call among all of the outer one's visit."""

    within: str
    agent: str
    budget: Budget


class ModelRequest(msgspec.Struct, frozen=True):
    """A request that is about to be made of a model.

    - ``model``: its name, as the provider has it
    - ``input_tokens``: estimated; ``output_tokens``: the most that its settings allow, 0 if they do not say
    - ``price``: what it costs
    - ``limiters``: names of those that hold requests of this agent and this model, if there are such
    - ``budgets``: those of agents that the attempt's own has called, from the outside in, if one of them makes it
    """

    model: str
    input_tokens: int
    output_tokens: int
    price: Price
    limiters: tuple[str, ...] = ()
    budgets: tuple[NestedBudget, ...] = ()


class Beyond(msgspec.Struct, frozen=True):
    """What requests of a call may be held to beside what holds the call itself: ``limiters`` of models that it falls
    back to, and of agents that it calls, by name; ``budgets``: whether those agents have any."""

    limiters: tuple[str, ...] = ()
    budgets: bool = False


NOTHING_BEYOND = Beyond()


class Permit(msgspec.Struct, frozen=True):
    """What was reserved for a request. ``key``: names it among all of its attempt; ``output_tokens``: the most that the
    model may be asked to write, or nothing more was reserved than that; 0: any number."""

    key: str
    request: ModelRequest
    output_tokens: int = 0


class Spent(msgspec.Struct, frozen=True):
    """What a request used: tokens, and micro-dollars (None: nobody knows a price of the model)."""

    input_tokens: int = 0
    output_tokens: int = 0
    micros: int | None = 0


class OverBudget(NodeError):
    """A budget has not enough for a request, which was not made. ``degrades``: another model, that may need less, is to
    be asked instead, if the agent has one. ``wait``: people are to say whether it may have more."""

    def __init__(self, message: str, *, degrades: bool = False, wait: Wait | None = None) -> None:
        super().__init__(BUDGET_EXCEEDED, message)
        self.degrades = degrades
        self.wait = wait


def is_for_next_model(error: Exception) -> bool:
    """Whether a budget wants the next of an agent's models to be asked."""
    return isinstance(error, OverBudget) and error.degrades


class ModelGate(Protocol):
    """Of one attempt. Both may be called again for the same permit, and count it once."""

    async def reserve(self, request: ModelRequest) -> Permit:
        """Reserve what a request needs, and wait until a rate allows it. Raises `OverBudget`, and `NodeError`
        (``throttled``: a rate has nothing before the attempt's time is over)."""

    async def settle(self, permit: Permit, spent: Spent | None) -> None:
        """Tell what a request used; None: nobody knows, and all that was reserved counts as used. Never raises: what
        the model answered is paid for."""

    async def heed(self, permit: Permit, retry_after_seconds: float | None) -> None:
        """The provider had enough when it was asked: nothing begins for a while, or as long as it says, that takes of
        the limiters of this request. Never raises."""
