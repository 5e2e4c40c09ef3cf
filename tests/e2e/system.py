"""The deployed runtime as its users and operators see it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from tests.e2e.deployment import STACK
from tests.e2e.emulator import ACCOUNT, CREDENTIALS, REGION, ROOT, Emulator, eventually
from tests.ports import reserved_port

from workflow_runtime.deployment.settings import SECRETS_PREFIX
from workflow_runtime.frontends.client import SyncWorkflowEngine
from workflow_runtime.runtime.workflow_files import workflow_files

EXECUTION_SECONDS_MAX = 240
SECRET = "s3cr3t-钥匙"  # the deployment's HOOK_KEY
WORKFLOWS = Path(__file__).parent / "workflows"
DEFINITIONS = ROOT / "definitions"


class System:
    """A stack on an emulator. ``engine``: the SDK, signing its requests. Use it as a context manager."""

    def __init__(self, emulator: Emulator, assembly: Path) -> None:
        self.emulator = emulator
        emulator.deploy(assembly, STACK)
        resources = emulator.resources(STACK)
        self._resources = {name.removeprefix("Runtime"): id for name, id in resources.items()}
        emulator.client("secretsmanager").create_secret(Name=f"{SECRETS_PREFIX}HOOK_KEY", SecretString=SECRET)
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

    def publish(self, name: str) -> str:
        """Publish a workflow of these tests; its id."""
        return self.engine.create_workflow(WORKFLOWS / f"{name}.yaml")

    def publish_shipped(self) -> list[str]:
        """Publish every definition that ships; their ids."""
        return [self.engine.create_workflow(path) for path in workflow_files(DEFINITIONS)]

    def run(self, workflow_id: str, input: Any = None) -> dict[str, Any]:
        """Start an execution and wait for its end; its document."""
        execution_id = self.engine.execute_workflow(workflow_id, input)
        return self.engine.wait(execution_id, EXECUTION_SECONDS_MAX)

    def ended(self, execution_id: str) -> dict[str, Any]:
        """The execution's document once it has ended, however."""
        return self.engine.wait(execution_id, EXECUTION_SECONDS_MAX)

    def reaches(self, execution_id: str, *states: str) -> str:
        """Wait until one of the states is active, be it of a machine inside a graph; which one it is."""

        def active() -> str | None:
            document = self.engine.get_execution_status(execution_id)
            found = f"{document['current_states']} {document['machines']}"
            return next((state for state in states if f"'{state}'" in found), None)

        return eventually(active, EXECUTION_SECONDS_MAX, f"one of {states} is active")

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

    def subscribe(self, pattern: dict[str, Any]) -> Callable[[], list[dict[str, Any]]]:
        """A queue of a subscriber's own with a rule on the bus; what is called gives all events it got so far."""
        sqs, events = self.emulator.client("sqs"), self.emulator.client("events")
        url = sqs.create_queue(QueueName="subscriber")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name="subscriber", EventBusName=self.bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule="subscriber", EventBusName=self.bus, Targets=[{"Id": "queue", "Arn": arn}])
        received: list[dict[str, Any]] = []

        def look() -> list[dict[str, Any]]:
            for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                received.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return received

        return look

    def send(self, queue: str, body: str) -> None:
        self.emulator.client("sqs").send_message(QueueUrl=self.queue(queue), MessageBody=body)

    def queue_arn(self, queue: str) -> str:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{self.queue(queue).rpartition('/')[2]}"

    def schedules(self) -> list[dict[str, Any]]:
        """The schedules that functions made."""
        scheduler, group = self.emulator.client("scheduler"), self.one("EventsSchedules")
        names = [each["Name"] for each in scheduler.list_schedules(GroupName=group)["Schedules"]]
        return [scheduler.get_schedule(GroupName=group, Name=name) for name in names]

    def logged(self, function: str) -> list[str]:
        """The lines that a function has logged."""
        logs, group = self.emulator.client("logs"), self.one(f"Functions{function}Logs")
        return [event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]]

    def depth(self, queue: str) -> int:
        """How many messages wait in a queue or are being worked on."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        url = self.queue(queue)
        found = self.emulator.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))
        return sum(int(found["Attributes"][name]) for name in names)

    def redrive(self, queue: str, source: str) -> int:
        """Move dead letters back to the queue that they came from, as the runbook says; how many there were."""
        sqs = self.emulator.client("sqs")
        moved = 0
        while found := sqs.receive_message(QueueUrl=self.queue(queue), MaxNumberOfMessages=10).get("Messages"):
            for message in found:
                sqs.send_message(QueueUrl=self.queue(source), MessageBody=message["Body"])
                sqs.delete_message(QueueUrl=self.queue(queue), ReceiptHandle=message["ReceiptHandle"])
                moved += 1
        return moved

    def dead_letters(self) -> list[dict[str, Any]]:
        """The records of dead letters that name no execution."""
        answer = self.emulator.client("dynamodb").query(
            TableName=self.one("StorageTable"),
            KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": "DEAD"}},
        )
        items: list[dict[str, Any]] = answer["Items"]
        return items

    @contextmanager
    def consumers_stopped(self, function: str) -> Iterator[None]:
        """Nothing is delivered to a function meanwhile, as when an operator disables its event sources."""
        lambda_ = self.emulator.client("lambda")
        mappings = lambda_.list_event_source_mappings(FunctionName=self.function(function))["EventSourceMappings"]
        assert mappings
        for mapping in mappings:
            lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        yield
        for mapping in mappings:
            lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    def break_(self, function: str) -> None:
        """Deploy a function with the name of a table that is not there: it fails at every event."""
        self._set_variable(function, "TABLE_NAME", "no-such-table")

    def mend(self, function: str) -> None:
        self._set_variable(function, "TABLE_NAME", self.one("StorageTable"))

    def _set_variable(self, function: str, name: str, value: str) -> None:
        lambda_, deployed = self.emulator.client("lambda"), self.function(function)
        variables = lambda_.get_function_configuration(FunctionName=deployed)["Environment"]["Variables"]
        lambda_.update_function_configuration(
            FunctionName=deployed, Environment={"Variables": {**variables, name: value}}
        )


@contextmanager
def deployed(assembly: Path, folder: Path, *, secure: bool = False) -> Iterator[System]:
    """The stack on an emulator that keeps its files in ``folder``; this process has its credentials meanwhile.
    ``secure``: with TLS, and every call checked against its caller's policies."""
    with reserved_port() as port, pytest.MonkeyPatch.context() as environment:
        emulator = Emulator(folder, port, secure=secure)
        for name, value in {**CREDENTIALS, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}.items():
            environment.setenv(name, value)
        if emulator.certificate is not None:
            environment.setenv("SSL_CERT_FILE", str(emulator.certificate))
        try:
            with System(emulator, assembly) as system:
                yield system
        finally:
            emulator.stop()


def shipped_input(workflow_id: str) -> Any:
    """The sample input that ships with a workflow."""
    return json.loads((ROOT / "events" / f"{workflow_id}.input.json").read_text(encoding="utf-8"))
