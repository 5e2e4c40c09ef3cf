"""What a tool's author imports: the `tool` decorator, `NodeContext`, `ToolError`.

Nothing else of this package is promised to tools.

::

    from workflow_runtime.sdk import NodeContext, ToolError, tool

    @tool("查询订单", description="订单的状态")
    async def order_status(order_id: str, context: NodeContext) -> dict[str, str]:
        if not order_id.startswith("A"):
            raise ToolError("not_found", f"no order {order_id}")
        return {"order_id": order_id, "status": "shipped"}

The signature is the tool's interface: its JSON Schema comes from the annotations, arguments are checked against it,
and the return value must be JSON (pydantic models, dataclasses, dates and enums are converted). Functions may be sync
or async. A sync one runs in a thread of its own, which a timeout cannot stop; prefer async for anything that waits.
Async ones share an event loop, apart from the runtime's: one that blocks it (``time.sleep``, a long computation) holds
up the others until the runtime notices, warns, and takes another loop for what comes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

import msgspec

from workflow_runtime.errors import NodeError

__all__ = ["NodeContext", "ToolError", "pending", "tool"]

Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__workflow_tool__"
EFFECTS = ("none", "idempotent", "once")


class ToolError(NodeError):
    """Fails the attempt with error type ``type`` (one of the language's, or the tool's own) and ``message``."""


class NodeContext(msgspec.Struct, frozen=True, kw_only=True):
    """The attempt that calls the tool. A parameter annotated with this type receives it, whatever its name.

    ``idempotency_key`` is the same for all attempts of one visit of the node: hand it to whatever must not happen
    twice.
    ``hops``: executions that passed on the event which led to this call; events that the tool publishes go one further.
    ``correlation_id``: what brought the execution about, for calls to other systems.
    ``logger`` writes the execution and the node into each line. ``deadline`` is epoch ms.
    ``limit_fences``: of each limiter that let the attempt begin, by name, a number larger than all that it gave before.
    ``warnings``: see `warn`; ``is_stopped``: what `cancelled` asks; ``make_token``: what `task_token` is from.
    """

    execution_id: str
    workflow_id: str
    path: str
    attempt: int
    idempotency_key: str
    deadline: int
    logger: logging.LoggerAdapter[logging.Logger]
    now: Callable[[], int]
    hops: int = 0
    correlation_id: str = ""
    limit_fences: Mapping[str, int] = {}
    is_stopped: Callable[[], bool] = lambda: False
    make_token: Callable[[], str] = lambda: ""
    warnings: list[str] = msgspec.field(default_factory=list)

    @property
    def task_token(self) -> str:
        """What somebody else completes this node with (in an agent: this call), once the tool has returned `pending`,
        or its node has a `callback`: `POST /tasks/complete`. It is a secret of whoever may do that. Asking for it
        writes to the table.
        """
        return self.make_token()

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants the result any more: the execution was cancelled, say, or the time is over. A tool that
        takes long looks now and then, and returns; an async one is cancelled besides. Known within 30 seconds.
        """
        return self.is_stopped()

    def warn(self, message: str) -> None:
        """Tell people something about this node run; it succeeds all the same. At most 100 are kept."""
        self.warnings.append(message)

    def remaining_seconds(self) -> float:
        """Seconds left until the runner ends this attempt; 0 when none are."""
        return max(0.0, (self.deadline - self.now()) / 1000)


class Pending(msgspec.Struct, frozen=True):
    """What `pending` returns."""

    timeout: str | float | None = None
    heartbeat: str | float | None = None


def pending(*, timeout: str | float | None = None, heartbeat: str | float | None = None) -> Any:
    """What a tool returns when somebody else is to finish its work: the node then waits until the task token
    (`NodeContext.task_token`) is completed or failed.

    ``timeout``: how long, from now on (``"2h"``, or seconds; 24 hours, unless the node's `callback` says otherwise);
    ``heartbeat``: the longest silence meanwhile.
    """
    return Pending(timeout, heartbeat)


class ToolMark(msgspec.Struct, frozen=True):
    """What `tool` notes on a function."""

    id: str
    description: str
    effects: str | None = None


@overload
def tool(id: Function) -> Function: ...
@overload
def tool(
    id: str | None = None, *, description: str | None = None, effects: str | None = None
) -> Callable[[Function], Function]: ...


def tool(id: Any = None, *, description: str | None = None, effects: str | None = None) -> Any:
    """Make a function a tool: ``@tool`` or ``@tool("id", description="…")``. The function itself stays as it is.

    The id defaults to the function's name, the description to the first paragraph of its docstring. ``effects``: what
    a call does to the world: ``none`` (it computes or reads), ``idempotent`` (a second call with the same idempotency
    key does nothing more) or ``once`` (each call does something); by default ``idempotent`` for a function that reads
    the idempotency key, else ``once``. Raises `ValueError` for anything else.
    """
    if callable(id):
        return tool()(id)
    if effects is not None and effects not in EFFECTS:
        raise ValueError(f"effects must be one of {', '.join(EFFECTS)}, not {effects!r}")

    def mark(function: Function) -> Function:
        first_paragraph = (function.__doc__ or "").strip().split("\n\n")[0]
        text = description if description is not None else " ".join(first_paragraph.split())
        setattr(function, MARK, ToolMark(id or function.__name__, text, effects))
        return function

    return mark
