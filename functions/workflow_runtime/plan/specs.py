"""Specs: what each type of node does, its formulas ready to evaluate."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import msgspec

from workflow_runtime.language.enumerations import direct
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.formulas import Formula
from workflow_runtime.plan.policies import RetryPolicy

PEOPLE_MAX = 100
"""Whom one approval may ask: each of them, and what they say, stands in the execution's state."""


CALLBACK_SECONDS = 86_400.0
"""How long somebody has to complete a task token, unless the node says otherwise."""


class CallbackPlan(msgspec.Struct, frozen=True, omit_defaults=True):
    """After its code has returned, a node waits for its task token: at most ``timeout_seconds``, and with
    ``heartbeat_seconds`` at most so long for the next sign of life."""

    timeout_seconds: float = CALLBACK_SECONDS
    heartbeat_seconds: float | None = None


@direct
class NodeType(StrEnum):
    AGENT = "agent"
    TOOL = "tool"
    CONTROL = "control"
    AGGREGATION = "aggregation"
    STATE_MACHINE = "state_machine"
    SUB_WORKFLOW = "sub_workflow"


class AgentSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="agent"):
    """Run an agent. ``agent`` is an id, or a formula that may only yield one of ``allow``.

    ``session``: name of the session that its visits go on with, instead of the agent's own (``has_no_session``: of
    none); ``on_busy``: what a visit does while others work on that, "" for what the agent says.
    """

    agent: str | Formula
    allow: tuple[str, ...] = ()
    prompt: Formula | None = None
    output_schema: Json = None
    session: Formula | None = None
    on_busy: str = ""
    has_no_session: bool = False

    @property
    def target(self) -> str | Formula:
        """What runs, whether agent or tool."""
        return self.agent


class ToolSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="tool"):
    """Run a tool. ``tool`` is an id, or a formula that may only yield one of ``allow``. ``once``: an attempt that was
    lost with its worker may have made its call, and is not repeated unasked."""

    tool: str | Formula
    allow: tuple[str, ...] = ()
    once: bool = False

    @property
    def target(self) -> str | Formula:
        """What runs, whether agent or tool."""
        return self.tool


class SwitchCase(msgspec.Struct, frozen=True, omit_defaults=True):
    """Selects ``targets`` (node indices) when the condition equals one of ``values``, or when ``when`` holds, or
    (neither given) by default.
    """

    targets: tuple[int, ...]
    values: tuple[Json, ...] | None = None
    when: Formula | None = None

    @property
    def is_default(self) -> bool:
        return self.values is None and self.when is None


class SwitchSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="switch"):
    """First matching case wins. The default case, if any, stands last whatever its place in the file."""

    condition: Formula | None
    cases: tuple[SwitchCase, ...]


class ConditionSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="condition"):
    condition: Formula
    then: tuple[int, ...] = ()
    otherwise: tuple[int, ...] = ()


class ParallelSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="parallel"):
    """Starts its branches. ``members[i]``: the nodes of branch i (its head first and what only it leads to).

    Whoever waits for the parallel node has edges from the branches' ends, or from one `GatherSpec` node
    (``wait_all: false``), made by the compiler. ``cancel_rest``: the first branch to succeed cancels the others.
    """

    branches: tuple[int, ...]
    members: tuple[tuple[int, ...], ...]
    max_concurrency: int = 0
    wait_all: bool = True
    cancel_rest: bool = False


class GatherSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="gather"):
    """Made by the compiler, never by an author, and hidden from documents (its id starts with ``~``).

    With ``branch`` False it stands for "the first branch of ``parallel`` to succeed" and has join ``any``; with
    ``branch`` True it stands for the end of one branch that has several end nodes and has join ``all_success``.
    """

    parallel: int
    branch: bool = False


class PassSpec(msgspec.Struct, frozen=True, tag="pass"):
    """Output: its rendered inputs."""


class FailSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="fail"):
    error: Formula
    message: Formula


class SucceedSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="succeed"):
    """Completes its scope now; the scope's output is ``output`` when given, else what the scope's outputs say."""

    output: Formula | None = None


class WaitSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="wait"):
    """Wait for a time (``seconds`` from now, or ``until`` a time) or for an ``event`` (its name).

    ``match`` sees the event as ``event``. ``correlated``: number of the plan's trigger that carries bus events here,
    with ``key`` as this execution's side of it; -1: none. ``timeout`` in seconds; ``on_timeout`` is fail, continue or
    call (of node ``timeout_target``).
    """

    seconds: float | Formula | None = None
    until: Formula | None = None
    event: str = ""
    match: Formula | None = None
    correlated: int = -1
    key: Formula | None = None
    timeout: float | Formula | None = None
    on_timeout: str = "fail"
    timeout_target: int = -1


class AggregationSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="aggregation"):
    """Combines ``operands`` (nodes in dependency order, control nodes looked through) or the list ``items``."""

    strategy: str
    operands: tuple[int, ...] = ()
    items: Formula | None = None
    field: str | None = None
    score: Formula | None = None
    value: Formula | None = None
    ties: str = "first"
    min_votes: str | int | None = None
    detail: bool = False
    default: Formula | None = None


class MachineSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="state_machine"):
    """A chart inside a graph, by its number in the plan; its variables start as the node's inputs.

    ``reads``: plan-wide numbers of the nodes outside that anything inside reads.
    """

    chart: int
    reads: tuple[int, ...] = ()


class LoopSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="loop"):
    """Runs the graph ``body`` (its number in the plan) in passes: one for every element of ``items``, ``times`` of
    them, or while ``condition`` holds; ``until`` ends it after a pass.

    - ``name``: what the item is called besides ``item``
    - ``batch_size``: a pass gets a list of so many items
    - ``max_concurrency``: passes at once; 0: as many as an execution carries
    - ``max_iterations``: most passes
    - ``stops``: that many are enough, else more are an error
    - ``retry``: of a whole pass. ``on_item_error`` is fail, skip or collect
    - ``tolerated``: failed passes that do not fail the loop, as a number or a share in percent (``tolerated_share``);
      -1: any number of them
    - ``is_chained``: passes read the results of earlier ones, so that each is collected when it ends
    - ``reads``: plan-wide numbers of the nodes outside that anything inside reads
    - ``is_distributed``: passes run in executions of their own
    - ``reads_file``: ``items`` says where they lie, as ``{"s3": address, "format": word}``; a worker reads them

    What a pass contributes to the output is the output of its graph.
    """

    body: int
    items: Formula | None = None
    name: str = "item"
    times: int | Formula | None = None
    condition: Formula | None = None
    until: Formula | None = None
    batch_size: int = 0
    max_concurrency: int = 1
    max_iterations: int = 100
    stops: bool = False
    retry: tuple[RetryPolicy, ...] = ()
    on_item_error: str = "fail"
    tolerated: int = -1
    tolerated_share: int = -1
    is_chained: bool = False
    reads: tuple[int, ...] = ()
    is_distributed: bool = False
    reads_file: bool = False


class SubWorkflowSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="sub_workflow"):
    """Start an execution of another workflow with the node's inputs, and (``wait``) wait for its end.

    ``workflow`` is an id, or a formula that may only yield one of ``allow``. ``version``: a stored one; 0: the latest.
    """

    workflow: str | Formula
    allow: tuple[str, ...] = ()
    version: int = 0
    wait: bool = True


class ApprovalSpec(msgspec.Struct, frozen=True, omit_defaults=True, tag="approval"):
    """Ask people.

    - ``assignees``: who may answer (None: whoever may call the API); after ``escalate_after`` seconds, ``escalate_to``
      besides
    - ``data``: what they are shown and may change, within the JSON Schema ``form``
    - ``quorum``: how many must approve; with ``veto`` one rejection rejects, without it, one that makes the quorum
      unreachable
    - ``second_answer`` of the same person: refuse or replace; ``delegate``: somebody who is asked may name another
    - ``timeout`` in seconds; ``on_timeout``, ``on_reject``: fail, continue or call (of ``…_target``)
    """

    prompt: Formula | None = None
    assignees: Formula | None = None
    form: Json = None
    data: Formula | None = None
    quorum: int | Formula = 1
    veto: bool = True
    second_answer: str = "refuse"
    escalate_after: float | Formula | None = None
    escalate_to: Formula | None = None
    delegate: bool = True
    timeout: float | Formula | None = None
    on_timeout: str = "fail"
    timeout_target: int = -1
    on_reject: str = "fail"
    reject_target: int = -1


Spec: TypeAlias = (
    AgentSpec
    | ToolSpec
    | SwitchSpec
    | ConditionSpec
    | ParallelSpec
    | GatherSpec
    | PassSpec
    | FailSpec
    | SucceedSpec
    | AggregationSpec
    | WaitSpec
    | MachineSpec
    | LoopSpec
    | SubWorkflowSpec
    | ApprovalSpec
)
