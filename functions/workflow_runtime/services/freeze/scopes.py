"""What a switch can freeze, and which switches concern a start or an order.

A scope is a text: ``all``, ``workflow:<id>`` or ``agent:<id>``.
"""

from __future__ import annotations

from workflow_runtime.errors import RequestError
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.lookup import node_of
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import AgentSpec
from workflow_runtime.storage.limiters import FROZEN, LimiterName

ALL = "all"
WORKFLOW = "workflow:"
AGENT = "agent:"
ID_CHARS_MAX = 128


def checked_scope(text: str) -> str:
    """The scope as it is stored. Raises `RequestError` (``invalid_request``) for what is none."""
    if text == ALL:
        return text
    for kind in (WORKFLOW, AGENT):
        if text.startswith(kind) and 0 < len(id := normalized(text.removeprefix(kind))) <= ID_CHARS_MAX:
            return kind + id
    message = f"a freeze is of `{ALL}`, `{WORKFLOW}ID` or `{AGENT}ID`, with an id of at most {ID_CHARS_MAX} characters"
    raise RequestError("invalid_request", message)


def scope_of(*, workflow: str | None = None, agent: str | None = None, everything: bool = False) -> str:
    """The scope that one of these names. Raises `RequestError` (``invalid_request``) unless exactly one is given."""
    if (workflow is not None) + (agent is not None) + everything != 1:
        raise RequestError("invalid_request", "freeze and thaw take one of a workflow, an agent, and all")
    if workflow is not None:
        return checked_scope(WORKFLOW + workflow)
    return checked_scope(AGENT + agent) if agent is not None else ALL


def line_of(scope: str) -> LimiterName:
    """Where what a freeze of this scope holds waits."""
    return LimiterName(FROZEN, scope)


def scopes_of_start(workflow_id: str) -> tuple[str, ...]:
    """Those whose switches hold back the start of an execution."""
    return ALL, WORKFLOW + workflow_id


def scopes_of_run(plan: Plan, path: str) -> tuple[str, ...]:
    """Those whose switches hold back a run of the node of this path. If the node chooses its agent at run time, those
    of all it may choose."""
    node = node_of(plan, path)  # None: what puts the output together
    spec = node.spec if node is not None else None
    if not isinstance(spec, AgentSpec):
        return (ALL,)
    agents = (spec.agent,) if isinstance(spec.agent, str) else spec.allow
    return ALL, *(AGENT + agent for agent in agents)
