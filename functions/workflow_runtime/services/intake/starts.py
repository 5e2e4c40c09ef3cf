"""Starting an execution: check the input, fix what its formulas may read, create the header, poke the mailbox.

The header *is* the start (promise P1: the same start key creates one execution); the message is only a poke.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.identity import keyed_execution_id
from workflow_runtime.engine.lifecycle import ExecutionStatus
from workflow_runtime.engine.state import ExecutionState, Parent
from workflow_runtime.engine.values.evaluation import View, evaluate
from workflow_runtime.errors import RequestError, RetryableError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json, NotJson, kind_of, to_json
from workflow_runtime.language.look_alikes import normalized, with_normalized_keys
from workflow_runtime.language.schemas import violation
from workflow_runtime.plan.formulas import Binding, BindingKind, Formula
from workflow_runtime.plan.graph import GraphBlock, NodePlan
from workflow_runtime.plan.limiters import Limiter
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.policies import CallTerms
from workflow_runtime.plan.specs import NodeType, ToolSpec
from workflow_runtime.ports import Clock
from workflow_runtime.services.catalog.catalog import Catalog
from workflow_runtime.services.express import ExpressStart, Within
from workflow_runtime.services.intake.tenants import shares_of, tenant_of
from workflow_runtime.services.looks import Looks
from workflow_runtime.services.mail import Mailer
from workflow_runtime.storage.records import Globals, Header
from workflow_runtime.storage.stores import Stores

INPUT_BYTES_MAX = 10 * 1024 * 1024  # API Gateway takes no larger body either
CORRELATION_PATTERN = r"^[!-~]{1,128}$"  # printable ASCII without spaces: it stands in headers, logs and queries

RunStart: TypeAlias = Callable[[ExpressStart], None]

logger = logging.getLogger(__name__)

_correlation = re.compile(CORRELATION_PATTERN)


class Starter:
    """``new_id`` gives a fresh identity per call; ``env``: deployment settings that definitions may read as
    ``${env.NAME}``. ``stands_in``: whether a mock answers in the place of a workflow, by its id, the execution that
    starts it and the correlation id. ``looks``: what limiters there are. ``within``: runs what an express execution
    awaits, in its own invocation; None: executions that are awaited are like any others.
    """

    def __init__(
        self,
        clock: Clock,
        stores: Stores,
        mailer: Mailer,
        catalog: Catalog,
        new_id: Callable[[], str],
        env: Mapping[str, str],
        stands_in: Callable[[str, Parent, str], bool],
        looks: Looks,
        within: Within | None = None,
    ) -> None:
        self._within = within
        self._clock = clock
        self._looks = looks
        self._executions = stores.executions
        self._mailer = mailer
        self._catalog = catalog
        self._new_id = new_id
        self._env = dict(env)
        self._stands_in = stands_in
        self._workflows = stores.workflows
        self._runs = stores.runs

    def start(
        self,
        workflow_id: str,
        input: Json = None,
        *,
        version: int | None = None,
        start_key: str | None = None,
        parent: Parent | None = None,
        hops: int = 0,
        correlation_id: str = "",
        run_express: RunStart | None = None,
    ) -> str:
        """Start an execution and return its id; with a ``start_key`` seen before, that of the first. ``run_express``
        takes an express execution that can begin at once, of which nothing is stored, to have it run.

        ``parent``: the execution that starts it; ``hops``: executions that passed on the event which does;
        ``correlation_id``: what brought it about, if that is not the execution itself.

        Raises `RequestError`: ``not_found`` (workflow), ``invalid_input``, ``conflict`` (the key came with another
        input).
        """
        workflow_id, input = normalized(workflow_id), checked_input(input)
        now = self._clock.now()
        if start_key is None:
            execution_id = f"ex-{now:012x}-{self._new_id()[:16]}"
        else:
            execution_id = keyed_execution_id(workflow_id, start_key)
            earlier = self._executions.header(execution_id)
            if earlier is not None:  # whatever version is the latest by now
                return self._started_before(earlier, input, parent)
        plan, number = self._plan_of(workflow_id, version, parent, correlation_id)
        data = initial_globals(plan, execution_id, number, input, self._env, now)
        view = initial_view(plan, execution_id, number, data, now)
        tenant = tenant_of(plan, view)
        header = Header(
            execution_id=execution_id,
            workflow_id=workflow_id,
            workflow_version=number,
            plan_hash=plan.hash,
            status=ExecutionStatus.PENDING,
            started_at=now,
            input_hash=_input_hash(input),
            parent=parent,
            hops=hops,
            correlation=correlation_id if correlation_id != execution_id else "",
            tenant=tenant,
            shares=shares_of(plan, view, tenant, self._shared_limiters()),
            express=plan.express,
        )
        run = self._runs_at_once(plan, parent, run_express) if plan.express else None
        if run is None:
            header = self._executions.create(header, data)
        fields = {"execution_id": execution_id, "correlation_id": header.correlation_id, "workflow_id": workflow_id}
        if parent is not None:
            fields["parent_execution_id"] = parent.execution_id
        logger.info("execution created", extra=fields)
        if run is None:
            return self._answer(header, input)
        run(ExpressStart(header, data))
        return execution_id

    def _plan_of(
        self, workflow_id: str, version: int | None, parent: Parent | None, correlation_id: str
    ) -> tuple[Plan, int]:
        """The plan to run, and the number of its version; 0 of one that stands in. Raises `RequestError`."""
        within = self._within is not None and parent is not None and parent.notify
        if parent is not None and self._stands_in(workflow_id, parent, correlation_id):
            return self._stand_in(workflow_id, express=within), 0
        stored = self._catalog.version(workflow_id, version)
        plan = self._catalog.plan(stored)
        if within and not plan.express:
            message = f"`{workflow_id}` is not express, so an express execution cannot wait for its end"
            raise RequestError("invalid_request", message)
        return plan, stored.number

    def _runs_at_once(self, plan: Plan, parent: Parent | None, run_express: RunStart | None) -> RunStart | None:
        """What has an express execution run that is not stored; None: it is stored first, as something may hold it
        back, or nobody waits for it. Raises `RetryableError`."""
        if self._within is not None and parent is not None and parent.notify:
            return self._within.run
        if run_express is None or plan.limits.executions:
            return None
        return run_express if self._looks.holding_start(plan.workflow_id) is None else None

    def keep(self, start: ExpressStart, *, is_running: bool) -> None:
        """Store the start of an express execution that may have begun, and has not come to its end in time: it is found
        from now on, and run again if it never does; soon, unless ``is_running``. Raises `RetryableError`."""
        header = self._executions.create(replace(start.header, begun=True), start.data)
        if header.express and not header.begun:  # it was stored before, by another start of the same key
            self._executions.begin_express(header.execution_id)
        if not is_running and not header.status.terminal:
            self._mailer.poke(header.execution_id)

    def start_part(
        self,
        plan: Plan,
        execution_id: str,
        origin: ExecutionState,
        parent: Parent,
        runs: Sequence[tuple[str, int]],
        correlation_id: str,
    ) -> None:
        """Start the execution of this id that runs passes of a loop of ``origin``; again, nothing happens.

        It reads what that reads: input and variables as they are there, and its ``runs`` by path and serial.
        """
        if self._executions.header(execution_id) is None:
            self._workflows.keep(plan)
            self._runs.copy(origin.execution_id, execution_id, runs)
            header = _of_part(plan, execution_id, origin, parent, correlation_id, self._clock.now())
            self._executions.create_beside(header, origin.execution_id, origin.replaced)
        self._mailer.poke(execution_id)

    def start_call(
        self,
        workflow_id: str,
        call: str,
        terms: CallTerms,
        execution_id: str,
        arguments: Json,
        origin: ExecutionState,
        parent: Parent,
        correlation_id: str,
    ) -> None:
        """Start the execution of this id that makes a call of an agent of ``origin`` (`plan.calls`); again, nothing
        happens."""
        from workflow_runtime.plan.calls import call_plan  # few agents have calls that are nodes

        earlier = self._executions.header(execution_id)
        if earlier is not None and self._within is not None:
            self._within.tell_end(earlier)
            return
        if earlier is None:
            plan, now = call_plan(workflow_id, call, terms, express=self._within is not None), self._clock.now()
            self._workflows.keep(plan)
            input = arguments if isinstance(arguments, dict) else {}
            header = _of_part(plan, execution_id, origin, parent, correlation_id, now)
            header = replace(header, input_hash=_input_hash(input), express=plan.express)
            data = initial_globals(plan, execution_id, origin.workflow_version, input, self._env, now)
            if self._within is not None:
                self._within.run(ExpressStart(header, data))
                return
            self._executions.create(header, data)
        self._mailer.poke(execution_id)

    def _stand_in(self, workflow_id: str, *, express: bool) -> Plan:
        """What runs instead of a mocked workflow, with the schemas of the one that is published, if one is."""
        latest = self._workflows.latest(workflow_id)
        plan = stand_in(workflow_id, self._catalog.plan(latest) if latest is not None else None, express=express)
        self._workflows.keep(plan)
        return plan

    def _shared_limiters(self) -> Mapping[str, Limiter]:
        self._looks.known()
        return self._looks.limiters

    def start_once(
        self, workflow_id: str, input: Json, start_key: str, *, hops: int = 0, correlation_id: str = ""
    ) -> str:
        """Start an execution unless the key has started one, with whatever input; the id of the one there is.

        Raises `RequestError` (``not_found``, ``invalid_input``), `RetryableError` while another start is on its way.
        """
        try:
            return self.start(workflow_id, input, start_key=start_key, hops=hops, correlation_id=correlation_id)
        except RequestError as error:
            if error.code != "conflict":
                raise
            execution_id = keyed_execution_id(workflow_id, start_key)
            if self._executions.header(execution_id) is None:
                raise RetryableError(f"execution {execution_id} is being started") from error
            return execution_id

    def _started_before(self, header: Header, input: Json, parent: Parent | None) -> str:
        """An express execution is not poked: it would run a second time beside the first."""
        if self._within is not None and parent is not None and parent.notify:
            self._within.tell_end(header)
        if header.express:
            self._check_same(header, input)
            return header.execution_id
        return self._answer(header, input)

    def _answer(self, header: Header, input: Json) -> str:
        self._check_same(header, input)
        self._mailer.poke(header.execution_id)
        return header.execution_id

    def _check_same(self, header: Header, input: Json) -> None:
        if header.input_hash != _input_hash(input):
            raise RequestError("conflict", "the start key was used with another input")


def _of_part(
    plan: Plan, execution_id: str, origin: ExecutionState, parent: Parent, correlation_id: str, now: int
) -> Header:
    """The header of an execution that does a part of what ``origin`` does, for the same tenant and limiters."""
    return Header(
        execution_id=execution_id,
        workflow_id=plan.workflow_id,
        workflow_version=origin.workflow_version,
        plan_hash=plan.hash,
        status=ExecutionStatus.PENDING,
        started_at=now,
        parent=parent,
        hops=origin.hops,
        correlation=correlation_id,
        tenant=origin.tenant,
        shares=origin.shares,
    )


def checked_input(input: Json) -> dict[str, Json]:
    """An execution's input, an object of at most `INPUT_BYTES_MAX`; None is an empty one. Raises `RequestError`
    (``invalid_input``).
    """
    if input is not None and not isinstance(input, Mapping):
        raise RequestError("invalid_input", f"the input must be a JSON object, not {kind_of(input)}")
    try:
        checked: dict[str, Json] = to_json(input or {}, "input")
    except NotJson as error:
        raise RequestError("invalid_input", str(error)) from None
    named = dict(with_normalized_keys(checked))
    if len(named) < len(checked):
        twice = next(name for name, count in Counter(map(normalized, checked)).items() if count > 1)
        raise RequestError("invalid_input", f"the input has two keys that look the same: {twice!r}")
    checked = named
    size = len(msgspec.json.encode(checked))
    if size > INPUT_BYTES_MAX:
        raise RequestError("invalid_input", f"the input has {size} bytes; at most {INPUT_BYTES_MAX} are taken")
    return checked


def initial_globals(
    plan: Plan, execution_id: str, workflow_version: int, input: Json, env: Mapping[str, str], now: int
) -> Globals:
    """What the execution's formulas may read from its start on: input, variables, env. Raises `RequestError`
    (``invalid_input``).
    """
    problem = violation(plan.input_schema, input) if plan.input_schema is not None else None
    if problem:
        raise RequestError("invalid_input", f"the input does not match the workflow's input_schema: {problem}")
    variables: dict[str, Json] = {}
    view = initial_view(plan, execution_id, workflow_version, Globals(input, variables, dict(env)), now)
    for variable in plan.variables:
        if variable.overridable and variable.name in input:
            variables[variable.name] = input[variable.name]
            continue
        try:
            variables[variable.name] = evaluate(variable.value, view)
        except EvaluationError as error:
            raise RequestError("invalid_input", f"variable {variable.name!r}: {error}") from error
    return Globals(input, variables, dict(env))


def initial_view(plan: Plan, execution_id: str, workflow_version: int, data: Globals, now: int) -> View:
    """What is seen before anything runs."""
    return View(
        plan=plan,
        execution_id=execution_id,
        workflow_version=workflow_version,
        started_at=now,
        now=now,
        place="~variables",
        nodes={},
        globals={"input": data.input, "variables": data.variables, "env": data.env},
    )


def _input_hash(input: Json) -> str:
    return hashlib.sha256(msgspec.json.encode(input, order="deterministic")).hexdigest()[:32]


def is_correlation_id(value: Json) -> bool:
    return isinstance(value, str) and _correlation.fullmatch(value) is not None


MOCK = "mock"
"""Id of the only node of an execution that a mock answers."""


def stand_in(workflow_id: str, published: Plan | None, *, express: bool = False) -> Plan:
    """The plan of an execution that a mock answers, held to the schemas of the workflow that is ``published``.

    It has one node, so that it takes its time, fails, is cancelled and is shown like any other.
    """
    inputs = Formula("${execution.input}", (Binding("execution", BindingKind.EXECUTION),))
    node = NodePlan(
        MOCK,
        NodeType.SUB_WORKFLOW,
        ToolSpec(workflow_id),
        pool=NodeType.TOOL.value,
        inputs=inputs,
        decision_paths=((),),  # its output, whole, is the execution's
    )
    return Plan(
        workflow_id,
        GraphBlock((node,), (), sinks=(0,)),
        input_schema=published.input_schema if published is not None else None,
        output_schema=published.output_schema if published is not None else None,
        express=express,
    )
