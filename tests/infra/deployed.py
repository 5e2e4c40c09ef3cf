"""A synthesized template, read the way CloudFormation would, to be compared with what the topology says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks
from infra.names import construct_id
from infra.props import RuntimeProps
from infra.runtime import WorkflowRuntime

from workflow_runtime.deployment.topology import TOPOLOGY, Topology

NAME = "Test"  # of the stack
ROOT = Path(__file__).parents[2]
Resource = Mapping[str, Any]


class Deployed:
    """A template. Resources go by their construct path below the runtime: ``Messaging/Events``."""

    def __init__(self, folder: Path, name: str, topology: Topology = TOPOLOGY) -> None:
        self.topology = topology
        self.text = (folder / f"{name}.template.json").read_text(encoding="utf-8")
        self.template: dict[str, Any] = json.loads(self.text)
        report = json.loads((folder / "validation-report.json").read_text(encoding="utf-8"))
        self.findings: list[dict[str, Any]] = report["pluginReports"]
        self._root = f"{name}/Runtime/"

    @cached_property
    def paths(self) -> dict[str, str]:
        """Logical ids by construct path."""
        found = {}
        for id, resource in self.template["Resources"].items():
            path = resource.get("Metadata", {}).get("aws:cdk:path", "")
            if path.startswith(self._root):
                found[path.removeprefix(self._root).removesuffix("/Resource")] = id
        return found

    def of_type(self, kind: str) -> dict[str, Resource]:
        """Properties of the resources of a type, by logical id."""
        resources = self.template["Resources"].items()
        return {id: resource.get("Properties", {}) for id, resource in resources if resource["Type"] == kind}

    def at(self, path: str) -> Resource:
        """A resource's properties."""
        properties: Resource = self.template["Resources"][self.paths[path]]["Properties"]
        return properties

    def queue(self, name: str) -> Resource:
        return self.at(f"Messaging/{construct_id(name)}")

    def function(self, name: str) -> Resource:
        return self.at(f"Functions/{construct_id(name)}")

    def queue_id(self, name: str) -> str:
        return self.paths[f"Messaging/{construct_id(name)}"]

    def queue_arn(self, name: str) -> dict[str, list[str]]:
        return arn(self.queue_id(name))

    def source(self, function: str, queue: str) -> Resource:
        """The event source mapping from a queue to a function."""
        return self.at(f"Functions/{construct_id(function)}From{construct_id(queue)}")

    def statements(self, function: str) -> dict[str, dict[str, Any]]:
        """What a function's role allows, by statement id ("" for those of CDK itself)."""
        policy = self.at(f"Functions/{construct_id(function)}Role/DefaultPolicy")["PolicyDocument"]
        return {statement.get("Sid", ""): statement for statement in policy["Statement"]}

    def allowed(self, function: str) -> Iterator[tuple[str, Any]]:
        """Every (action, resource) that a function's role allows."""
        for statement in self.statements(function).values():
            assert statement["Effect"] == "Allow"
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    yield action, resource


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def arn(id: str) -> dict[str, list[str]]:
    return {"Fn::GetAtt": [id, "Arn"]}


def synthesize(
    folder: Path, choose: Callable[[Stack], RuntimeProps] | None = None, topology: Topology = TOPOLOGY
) -> Deployed:
    """What `cdk synth` makes of the props that ``choose`` makes in a stack, with cdk-nag's findings."""
    context = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"]
    app = App(outdir=str(folder), context={**context, "aws:cdk:enable-path-metadata": True})
    stack = Stack(app, NAME, description="Agent Workflow Runtime")
    WorkflowRuntime(stack, "Runtime", choose(stack) if choose else None, topology=topology)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()
    return Deployed(folder, NAME, topology)
