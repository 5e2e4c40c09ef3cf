"""The deployed runtime as its users and operators see it."""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.e2e.deployment import STACK
from tests.e2e.emulator import ROOT, Emulator, eventually

from workflow_runtime.client import SyncWorkflowEngine
from workflow_runtime.client.sources import workflow_files

EXECUTION_SECONDS_MAX = 40
DEFINITIONS = ROOT / "definitions"


class System:
    """A stack on an emulator. ``engine``: the SDK, signing its requests. Use it as a context manager."""

    def __init__(self, emulator: Emulator, assembly: Path) -> None:
        self.emulator = emulator
        emulator.deploy(assembly, STACK)
        resources = emulator.resources(STACK)
        self._resources = {name.removeprefix("Runtime"): id for name, id in resources.items()}
        self.url = emulator.api_url(self.one("ApiHttp"))
        self.engine = SyncWorkflowEngine.remote(self.url, sign=True)

    def one(self, start: str) -> str:
        """The physical id of the only resource whose logical id is this and CDK's eight hexadecimal digits."""
        (id,) = (id for name, id in self._resources.items() if name[:-8] == start)
        return id

    def __enter__(self) -> System:
        self.engine.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.engine.__exit__(kind, error, traceback)

    @property
    def bus(self) -> str:
        return self.one("EventsBus")

    def function(self, id: str) -> str:
        """The name of a deployed function, by its construct's id."""
        return self.one(f"Functions{id}")

    def queue(self, id: str) -> str:
        """A queue's URL, by its construct's id."""
        return self.one(f"Messaging{id}")

    def publish_shipped(self) -> list[str]:
        """Publish every definition that ships; their ids."""
        return [self.engine.create_workflow(path) for path in workflow_files(DEFINITIONS)]

    def run(self, workflow_id: str, input: Any = None) -> dict[str, Any]:
        """Start an execution and wait for its end; its document."""
        execution_id = self.engine.execute_workflow(workflow_id, input)
        return self.engine.wait(execution_id, EXECUTION_SECONDS_MAX)

    def put_event(self, source: str, kind: str, detail: Any) -> None:
        """An event on the runtime's bus, as a service of the team would put it."""
        entry = {"EventBusName": self.bus, "Source": source, "DetailType": kind, "Detail": json.dumps(detail)}
        answer = self.emulator.client("events").put_events(Entries=[entry])
        assert answer["FailedEntryCount"] == 0

    def executions(self, workflow_id: str, count: int = 1) -> list[dict[str, Any]]:
        """The executions of a workflow, once there are ``count``."""

        def enough() -> list[dict[str, Any]] | None:
            found = self.engine.list_executions(workflow_id)
            return found if len(found) >= count else None

        return eventually(enough, EXECUTION_SECONDS_MAX, f"{count} executions of {workflow_id}")


def shipped_input(workflow_id: str) -> Any:
    """The sample input that ships with a workflow."""
    return json.loads((ROOT / "events" / f"{workflow_id}.input.json").read_text(encoding="utf-8"))
