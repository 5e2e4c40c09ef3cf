"""Least privilege, proven: what the functions do to AWS is all that their roles allow, and nothing else is.

The scenarios run every function from its template environment on simulated AWS; each call is written down as the action
and resource that IAM would check. `RECORDING` keeps them, to be looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pytest
from tests.infra import scenarios
from tests.infra.deployed import ROOT, Deployed
from tests.infra.policies import Permission, Template
from tests.infra.recorded_aws import OF_LIMITERS, REGION, RecordedSystem, Recorder

from workflow_runtime.deployment.settings import SECRETS_PREFIX
from workflow_runtime.deployment.topology import TOPOLOGY, Function

RECORDING = ROOT / "cdk.out" / "least-privilege.json"
functions = pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda function: function.name)

# Lambda itself does these in the function's name, no call of the function does.
BY_LAMBDA = {
    "sqs:ReceiveMessage": "polls the queues that feed the function",
    "sqs:DeleteMessage": "acknowledges what the function took",
    "sqs:GetQueueAttributes": "scales its polling",
    "logs:CreateLogStream": "writes the function's log",
    "logs:PutLogEvents": "writes the function's log",
    "xray:PutTraceSegments": "sends the function's traces",
    "xray:PutTelemetryRecords": "sends the function's traces",
}

# Why the resources of an action end in a wildcard, or are one.
WILDCARDS = {
    "s3:GetObject": "objects are named by execution",
    "s3:PutObject": "objects are named by execution",
    "secretsmanager:GetSecretValue": "workflows name secrets; AWS adds six characters to the names of secrets",
    "scheduler:CreateSchedule": "schedules are named by execution or workflow",
    "scheduler:UpdateSchedule": "schedules are named by execution or workflow",
    "scheduler:DeleteSchedule": "schedules are named by execution or workflow",
    "xray:PutTraceSegments": "the action knows no resources",
    "xray:PutTelemetryRecords": "the action knows no resources",
    "logs:CreateLogStream": "the streams of the function's own group",
    "logs:PutLogEvents": "the streams of the function's own group",
}


# Granted, but what needs it takes longer than a test: with the reason. The last part: of items of limiters.
RARE = {
    ("limit_pump", "sqs:ChangeMessageVisibility", ""): "has a look that failed come again within seconds",
    ("sweep", "dynamodb:BatchWriteItem", ""): "deletes what an earlier version has held under a freeze",
    ("limit_pump", "s3:GetObject", ""): "reads an order that is too large for an item of a line",
    ("limit_pump", "s3:ListBucket", ""): "the same, of one that is gone",
    ("run_node_agent", "dynamodb:UpdateItem", ""): "renews the lease of a run, counts what models cost",
    ("run_node_tool", "dynamodb:UpdateItem", ""): "renews the lease of a run",
}

# One method of the table's port: whether it asks for one item or for several is up to the data.
TOGETHER = {"dynamodb:BatchGetItem": "dynamodb:GetItem", "dynamodb:GetItem": "dynamodb:BatchGetItem"}


class Proof:
    """The recording and the template, side by side."""

    def __init__(self, template: Template, recorder: Recorder) -> None:
        self._template = template
        self.calls = recorder.calls

    def permissions(self, function: Function) -> set[Permission]:
        return self._template.permissions(function.name)


def _of(resource: str) -> str:
    """Of what a call or permission is, if that makes a difference."""
    return OF_LIMITERS if resource.endswith(OF_LIMITERS) else ""


@pytest.fixture(scope="module")
def proof(shipped: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Proof:
    recorder = Recorder()
    mocks = tmp_path_factory.mktemp("mocks") / "mocks.yaml"
    mocks.write_text(scenarios.MOCKS, encoding="utf-8")
    templates: list[Template] = []

    def environments(physical: Mapping[str, str]) -> dict[str, dict[str, str]]:
        template = Template(shipped.template, physical)
        templates.append(template)
        return {
            name: {variable: template.resolved(value) for variable, value in variables.items()}
            for name, variables in template.environments.items()
        }

    with pytest.MonkeyPatch.context() as monkeypatch, recorder.listening():
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        further = {"MOCKS_FILE_FOR_TESTS": str(mocks)}
        system = RecordedSystem(environments, recorder, further)
        try:
            system.client("secretsmanager").create_secret(
                Name=f"{SECRETS_PREFIX}HOOK_KEY", SecretString=scenarios.SECRET
            )
            scenarios.play(system)
        finally:
            system.close()
    RECORDING.parent.mkdir(exist_ok=True)
    recording = {name: sorted(map(list, calls)) for name, calls in recorder.calls.items()}
    RECORDING.write_text(json.dumps(recording, indent=2) + "\n", encoding="utf-8")
    return Proof(templates[0], recorder)


@functions
def test_the_scenarios_make_every_function_work(proof: Proof, function: Function) -> None:
    assert proof.calls[function.name]


@functions
def test_a_function_may_do_all_that_it_does(proof: Proof, function: Function) -> None:
    allowed = proof.permissions(function)
    denied = [call for call in proof.calls[function.name] if not any(each.allows(*call) for each in allowed)]
    assert sorted(denied) == []


@functions
def test_a_function_may_do_nothing_that_it_does_not(proof: Proof, function: Function) -> None:
    made = proof.calls[function.name]
    unused = [
        permission
        for permission in proof.permissions(function)
        if permission.action not in BY_LAMBDA
        and (function.name, permission.action, _of(permission.resource)) not in RARE
        and not any(permission.allows(*call) for call in made)
        and not any(permission.allows(TOGETHER.get(action, action), resource) for action, resource in made)
    ]
    assert sorted(unused) == []


@functions
def test_lambda_polls_only_the_queues_that_feed_the_function(proof: Proof, function: Function) -> None:
    polled = {each.resource for each in proof.permissions(function) if each.action == "sqs:ReceiveMessage"}
    assert {resource.rpartition(":awr-")[2] for resource in polled} == {source.queue for source in function.sources}


@functions
def test_wildcards_have_reasons_and_actions_have_none(proof: Proof, function: Function) -> None:
    permissions = proof.permissions(function)
    assert not [each for each in permissions if "*" in each.action]
    assert {each.action for each in permissions if "*" in each.resource} <= WILDCARDS.keys()
    everything = {each.action for each in permissions if each.resource == "*"}
    assert all(fnmatchcase(action, "xray:*") for action in everything)


def test_every_exception_is_needed(proof: Proof) -> None:
    granted = {
        (function.name, each.action, _of(each.resource))
        for function in TOPOLOGY.functions
        for each in proof.permissions(function)
    }
    assert RARE.keys() <= granted
    called = {(name, action, _of(resource)) for name, calls in proof.calls.items() for action, resource in calls}
    assert not RARE.keys() & called, "a scenario makes these calls: they are not rare"
    actions = {action for _, action, _ in granted}
    assert BY_LAMBDA.keys() <= actions
    assert WILDCARDS.keys() <= actions
