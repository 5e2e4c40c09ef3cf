"""`WorkflowTester`: a whole runtime for a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UNSET, to_builtins
from msgspec.json import decode

from workflow_runtime.definition.identities import same_ids
from workflow_runtime.deployment.topology import CUSTOM_SOURCE
from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.frontends.client.mock_targets import unknown_mocks
from workflow_runtime.frontends.client.sources import Definition, read_source
from workflow_runtime.invokers.invocation import NodeCall
from workflow_runtime.invokers.mocks import Mocks
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized
from workflow_runtime.plan.plan import Plan
from workflow_runtime.plan.specs import NodeType
from workflow_runtime.runtime.in_process import Backend, LocalRuntime
from workflow_runtime.runtime.workflow_files import workflow_files
from workflow_runtime.services.freeze.scopes import scope_of
from workflow_runtime.services.intake.signals import publish_event
from workflow_runtime.testing.driver import Driver, HeldClock
from workflow_runtime.testing.mocks import Answer, Failure, LayeredMocks
from workflow_runtime.testing.people import People
from workflow_runtime.testing.result import Result, result_of

if TYPE_CHECKING:
    from typing import Self

    from workflow_runtime.engine.recording import Recording
    from workflow_runtime.invokers.cassettes.file import Cassette

START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)  # virtual time begins here, in every test
NO_REACH = Reach(
    tables=("*",), queues=("*",), buses=("*",), advice="in tests nothing does: mock the tool (runtime.mock_tool)"
)
"""What stands for others' tables, queues and buses is in the backend; all else is mocked."""


class WorkflowTester(People):
    """Runs workflows step by step. ``definitions``: a directory with ``workflows``, ``agents``, ``tools``; its
    workflows can be run by their ids. `close` it, or use it as a context manager."""

    def __init__(self, backend: Backend, definitions: Path | None = None) -> None:
        self._definitions = definitions if definitions is not None and definitions.is_dir() else None
        self._mocks = LayeredMocks()
        self._runtime = LocalRuntime(backend, self._definitions, self._mocks, reach=NO_REACH, environ={})
        self._driver = Driver(self._runtime)
        self._plans: dict[str, Plan] = {}

    @classmethod
    def embedded(cls, definitions: Path | None = None) -> Self:
        """In memory, in virtual time from 2026-01-01."""
        from workflow_runtime.backends.embedded.backend import open_backend

        return cls(open_backend(clock=HeldClock(START)), definitions)

    @classmethod
    def simulated_aws(cls, definitions: Path | None = None) -> Self:
        """The AWS adapters on moto, in real time."""
        from workflow_runtime.backends.simulated_aws.simulated import open_backend

        return cls(open_backend(), definitions)

    @property
    def now(self) -> datetime:
        """The runtime's time, UTC."""
        return datetime.fromtimestamp(self._runtime.backend.ports.clock.now() / 1000, UTC)

    def publish(self, definition: Definition) -> str:
        """Publish a definition (a path, a mapping or a text); its workflow id. Raises `DefinitionError`, `OSError`."""
        source = read_source(definition)
        published = self._runtime.services.catalog.publish(source.data, source.file, scheduled=False)
        self._plans[published.version.workflow_id] = published.plan
        for id in sorted(published.plan.starts - self._plans.keys()):
            file = self._runtime.workflow_files.file_of(id)
            if file is not None and id not in self._plans:  # one that it starts may have published it
                self.publish(file)
        return published.version.workflow_id

    def run(
        self, workflow: Definition, input: Json = None, mocks: str | Path | Mapping[str, Json] | Mocks | None = None
    ) -> Result:
        """Start an execution and run until it ends, or until only the outside could move it; time passes as it must.

        ``workflow``: what `publish` takes, or the id of a published workflow or of one in the definitions directory.
        ``mocks``: a mocks file, its content, or `Mocks`, for this execution.
        """
        return self.finish(self.start(workflow, input, mocks))

    def start(
        self, workflow: Definition, input: Json = None, mocks: str | Path | Mapping[str, Json] | Mocks | None = None
    ) -> str:
        """Start an execution, run what can run without time passing, and return its id; `advance` and `result` go on.

        Raises `DefinitionError` for mocks and failures of what neither is registered nor is called by any workflow that
        was published or lies in the definitions directory.
        """
        loaded = mocks if isinstance(mocks, Mocks) or mocks is None else Mocks.load(mocks)
        workflow_id = self._workflow_id(workflow)
        self._check_mocks(loaded)
        execution_id = self._runtime.services.starter.start(workflow_id, input)
        if loaded is not None:
            self._mocks.use(execution_id, loaded)
        self._driver.settle()
        return execution_id

    def _check_mocks(self, mocks: Mocks | None) -> None:
        """Raise `DefinitionError` for mocks (the test's own, and these) and failures of what does not exist."""
        catalogue, plans = self._runtime.services.catalog.catalogue, list(self._plans.values())
        failing = [failure.target for failure in self._mocks.failures]
        unknown = unknown_mocks(self._mocks, catalogue, plans, self._definitions, failing)
        if mocks is not None:
            unknown += unknown_mocks(mocks, catalogue, plans, self._definitions)
        if unknown:
            raise DefinitionError(unknown)

    def finish(self, execution_id: str) -> Result:
        """Run a started execution until it ends, or until only the outside could move it."""
        status = self._runtime.services.documents.status
        self._driver.until(lambda: status(execution_id).terminal)
        return self.result(execution_id)

    def result(self, execution_id: str) -> Result:
        """The execution as it is now."""
        return result_of(self._runtime.services, execution_id)

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let virtual time pass; what becomes due happens in order, each thing at its time."""
        total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
        if total <= 0:
            raise ValueError("time only goes forward")
        self._driver.advance(round(total * 1000))

    def advance_time(self, duration: str | float, *, settle: bool = True) -> None:
        """Let virtual time pass, as `advance`: ``24h``, ``1h30m``, or seconds. Then, with ``settle``, let work in
        progress end."""
        self._driver.advance(round(parse_duration(duration) * 1000))
        if settle:
            self._driver.settle_work()

    def settle(self) -> None:
        """Run what needs nothing from outside and no timer; time passes only for work in progress."""
        self._driver.settle_work()

    def send_event(
        self, execution_id: str, name: str, data: Json = None, *, key: str | None = None, settle: bool = True
    ) -> dict[str, Json]:
        """Send an event to an execution. What it did: ``outcome``, ``reason``, ``transition``, ``current_states`` …

        ``settle``: before and after, let work in progress end. Without, it arrives now, while agents and tools run (in
        virtual time, at the moment to which `advance` brought it). Raises `RequestError` (``not_found``, ``ended``,
        ``invalid_event``).
        """
        rest = self._driver.settle_work if settle else self._driver.settle
        rest()
        signalling = self._runtime.services.signalling
        sent = signalling.send(execution_id, name, data, key, source="test", watched=True)
        rest()
        result = signalling.result(sent)
        assert result is not None, f"the event {name!r} was not taken"
        return result

    def cancel(self, execution_id: str, reason: str = "", *, settle: bool = True) -> None:
        """Cancel an execution, and the executions whose end it awaits. ``settle`` as in `send_event`: without, it is
        cancelled while agents and tools run. Raises `RequestError` (``not_found``, ``ended``).
        """
        self._ask("cancel", execution_id, reason, settle=settle)

    def suspend(self, execution_id: str, reason: str = "", *, settle: bool = True) -> None:
        """Suspend an execution, and the executions whose end it awaits: what happens until `resume` is held. ``settle``
        as in `send_event`. Raises `RequestError` (``not_found``, ``ended``).
        """
        self._ask("suspend", execution_id, reason, settle=settle)

    def resume(self, execution_id: str, reason: str = "", *, settle: bool = True) -> None:
        """Resume a suspended execution, and those that were suspended with it. ``settle`` as in `send_event`. Raises
        `RequestError` (``not_found``, ``ended``).
        """
        self._ask("resume", execution_id, reason, settle=settle)

    def compensate(self, execution_id: str, reason: str = "", *, settle: bool = True) -> None:
        """Undo what an execution that failed or was cancelled has done and not undone yet. Raises `RequestError`
        (``refused``)."""
        self._ask("compensate", execution_id, reason, settle=settle)

    def retry(
        self,
        execution_id: str,
        *,
        from_node: str = "",
        variables: dict[str, Json] | None = None,
        reason: str = "",
        settle: bool = True,
    ) -> None:
        """Continue an execution that has ended: what was lost runs again and, from a node of the graph at the top,
        that node and all after it. ``variables`` have these values from now on. Raises `RequestError` (``refused``).
        """
        said: dict[str, Json] = {"from": from_node, "variables": variables or {}}
        self._ask("retry", execution_id, reason, settle=settle, **said)

    def skip(
        self, execution_id: str, path: str, *, output: Json = UNSET, reason: str = "", settle: bool = True
    ) -> None:
        """Continue an execution without a node that waits or has failed; with an ``output``, as if it had succeeded.
        Raises `RequestError` (``refused``).
        """
        said = {"node": path} if output is UNSET else {"node": path, "output": output}
        self._ask("skip", execution_id, reason, settle=settle, **said)

    def _ask(self, operation: str, execution_id: str, reason: str, *, settle: bool, **said: Json) -> None:
        rest = self._driver.settle_work if settle else self._driver.settle
        rest()
        self._runtime.services.control.ask(operation, execution_id, reason, by="test", said=said)
        rest()

    def freeze(self, *, workflow: str | None = None, agent: str | None = None, all: bool = False) -> None:
        """Hold back the starts of a workflow, the runs of an agent, or all of both, until `thaw`."""
        self._runtime.services.freezes.freeze(scope_of(workflow=workflow, agent=agent, everything=all), by="test")

    def thaw(self, *, workflow: str | None = None, agent: str | None = None, all: bool = False) -> None:
        """Release what was held back, and settle."""
        self._runtime.services.freezes.thaw(scope_of(workflow=workflow, agent=agent, everything=all))
        self._driver.settle()

    def recording(self, execution_id: str) -> Recording:
        """The execution's journal until now with what its decisions read, for `workflow_runtime.testing.replay`."""
        return self._runtime.services.recordings.whole(execution_id)

    def cassette(self, execution_id: str) -> Cassette:
        """An execution that has ended as a cassette, which the fixture `replayed` takes. Raises `RequestError`
        (``not_found``, ``refused``)."""
        from workflow_runtime.services.views.cassettes import cassette_of

        services = self._runtime.services
        document = services.documents.document(execution_id)
        return cassette_of(document, self.recording(execution_id), services.taken.whole(execution_id))

    def publish_event(self, source: str, detail_type: str, detail: dict[str, Json]) -> None:
        """Put an event on the bus, where triggers and waits hear it, and settle. Raises `RequestError`."""
        publish_event(self._runtime.backend.ports.bus, source, detail_type, detail)
        self._driver.settle_work()

    def mock_agent(
        self, id: str, output: Answer = None, *, delay: float = 0, script: list[dict[str, Json]] | None = None
    ) -> None:
        """Answer calls of an agent: with ``output``, after ``delay`` seconds of virtual time; a template over the
        inputs as in mock files, or a function of them (which may raise `NodeError`).

        ``script``: what a mock file says, call by call: ``[{"raise": {"type": "rate_limited"}}, {"return": {…}}]``.
        """
        self._mock(NodeType.AGENT, id, output, delay, script)

    def mock_tool(
        self, id: str, output: Answer = None, *, delay: float = 0, script: list[dict[str, Json]] | None = None
    ) -> None:
        """Answer calls of a tool instead of running it; as `mock_agent`."""
        self._mock(NodeType.TOOL, id, output, delay, script)

    def mock_workflow(
        self, id: str, output: Answer = None, *, delay: float = 0, script: list[dict[str, Json]] | None = None
    ) -> None:
        """Answer in the place of the executions that nodes and actions start of a workflow; as `mock_agent`, over their
        input."""
        self._mock(NodeType.SUB_WORKFLOW, id, output, delay, script)

    def _mock(
        self, kind: NodeType, id: str, output: Answer, delay: float, script: list[dict[str, Json]] | None
    ) -> None:
        if isinstance(output, Callable):  # type: ignore[arg-type]
            if delay or script:
                raise ValueError("a function comes without delay and script")
            self._mocks.set_function(kind, id, output)
        elif script is not None:
            if delay or output is not None:
                raise ValueError("give either an output or a script")
            self._mocks.set(kind, id, script)
        else:
            self._mocks.set(kind, id, {"delay": delay, "return": output})

    def fail(
        self,
        node_or_id: str,
        type: str = "execution_error",
        message: str = "made to fail by the test",
        *,
        times: int | None = None,
    ) -> None:
        """Make attempts of an agent, tool or sub-workflow node fail: by the node's path or id, or by the id of the
        agent, tool or workflow. A sub-workflow that is to fail does not run.

        ``times``: that many attempts; None: all of them.
        """
        self._mocks.failures.append(Failure(node_or_id, type, message, times))

    def calls(self, node_or_id: str | None = None) -> list[NodeCall]:
        """The calls so far, or those of an agent, tool or workflow (by its id) or node (by its path), in order:
        ``inputs``, ``prompt``, ``attempt`` …"""
        return [call for call in self._mocks.calls if node_or_id in (None, call.target, call.path)]

    @property
    def unmet_failures(self) -> list[str]:
        """Targets of `fail` that no attempt has met."""
        return [failure.target for failure in self._mocks.failures if not failure.met]

    @property
    def published(self) -> list[dict[str, Json]]:
        """Those of the events that workflows published themselves."""
        return [event for event in self.events if event["source"] == CUSTOM_SOURCE]

    @property
    def events(self) -> list[dict[str, Json]]:
        """The events published to the bus so far, as EventBridge delivers them, oldest first."""
        return self._runtime.backend.bus_events()

    def items(self, table: str) -> list[dict[str, Json]]:
        """The items of a table as `dynamodb_write` has left it, by their keys."""
        return self._runtime.backend.items_of(table)

    def messages(self, queue: str) -> list[dict[str, Json]]:
        """What `sqs_send` has sent to a queue, in order: ``{id, body, group, delay_seconds, attributes}`` each."""
        return [to_builtins(message) for message in self._runtime.backend.messages_to(queue)]

    def events_on(self, bus: str) -> list[dict[str, Json]]:
        """What `publish_event` has published on a bus other than the runtime's, in order: ``{id, topic, source,
        detail}`` each."""
        return [
            {**to_builtins(event), "detail": decode(event.detail)} for event in self._runtime.backend.events_on(bus)
        ]

    def close(self) -> None:
        self._driver.close()
        self._runtime.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _workflow_id(self, workflow: Definition) -> str:
        if not isinstance(workflow, str) or "\n" in workflow or workflow.lstrip().startswith("{"):
            return self.publish(workflow)
        if Path(workflow).is_file():
            return self.publish(Path(workflow))
        if self._runtime.services.stores.workflows.latest(workflow) is None:
            self._publish_definitions(workflow)
        return workflow

    def _publish_definitions(self, wanted: str) -> None:
        """Publish files of the definitions directory until the wanted workflow is there, those first that mention it.
        Raises what is wrong with the others only if it is not."""
        problems: list[DefinitionError] = []
        files = workflow_files(self._definitions)
        texts = {file: file.read_text("utf-8", "replace") for file in files}
        mentioning = [file for file, text in texts.items() if wanted in normalized(text)]
        if clashes := same_ids((texts[file], str(file)) for file in mentioning):
            raise DefinitionError(clashes)
        for file in dict.fromkeys([*mentioning, *files]):
            try:
                if self.publish(file) == wanted:
                    return
            except DefinitionError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        where = f" in {self._definitions}" if self._definitions else "; there is no definitions directory"
        raise RequestError("not_found", f"there is no file and no workflow {wanted!r}{where}")
