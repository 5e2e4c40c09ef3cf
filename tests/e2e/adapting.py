"""Where the emulator (MiniStack 1.5.33) differs from AWS, and what is done to a template for that; nothing else is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# It cannot create these. Nothing refers to them; the tests of the template look at them.
UNKNOWN_TYPES = frozenset({"AWS::Events::Archive", "AWS::Events::EventBusPolicy", "AWS::Logs::QueryDefinition"})

# On AWS the right to send, or delete, one message is the right to do so with several; here each has a name of its own.
BATCHES = {"sqs:SendMessage": "sqs:SendMessageBatch", "sqs:DeleteMessage": "sqs:DeleteMessageBatch"}

# It does not know what source an event has when it looks for who may put it.
CONDITION = frozenset({"Condition"})

# It takes every schedule for one of the default group when it looks for who may create or delete it.
DEFAULT_GROUP = {"Fn::Sub": "arn:${AWS::Partition}:scheduler:${AWS::Region}:${AWS::AccountId}:schedule/default/*"}


# It unpacks the layers, thousands of files, once more for every worker that it starts; AWS has them ready. Workers read
# them from where they were unpacked once.
LAYERS = "Layers"


def adapted(template: Mapping[str, Any], layers: Mapping[str, Path]) -> dict[str, Any]:
    """The template as the emulator takes it. ``layers``: where each was unpacked, by logical id."""
    known = {name: resource for name, resource in template["Resources"].items() if not is_unknown(resource)}
    return {**template, "Resources": {name: _adapted_resource(resource, layers) for name, resource in known.items()}}


def is_unknown(resource: Mapping[str, Any]) -> bool:
    """Whether the emulator refuses a resource: its type, or an alarm on a formula over metrics."""
    return resource["Type"] in UNKNOWN_TYPES or (
        resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    )


def _adapted_resource(resource: Mapping[str, Any], layers: Mapping[str, Path]) -> Mapping[str, Any]:
    match resource["Type"]:
        case "AWS::IAM::Policy":
            return _adapted_policy(resource)
        case "AWS::Lambda::Function" if LAYERS in resource["Properties"]:
            return _adapted_function(resource, layers)
    return resource


def _adapted_function(resource: Mapping[str, Any], layers: Mapping[str, Path]) -> Mapping[str, Any]:
    properties = {name: value for name, value in resource["Properties"].items() if name != LAYERS}
    places = [str(layers[layer["Ref"]] / "python") for layer in resource["Properties"][LAYERS]]
    variables = {**properties["Environment"]["Variables"], "PYTHONPATH": os.pathsep.join(places)}
    return {**resource, "Properties": {**properties, "Environment": {"Variables": variables}}}


def _adapted_policy(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = resource["Properties"]
    document = properties["PolicyDocument"]
    statements = [_adapted_statement(statement) for statement in document["Statement"]]
    return {**resource, "Properties": {**properties, "PolicyDocument": {**document, "Statement": statements}}}


def _adapted_statement(statement: Mapping[str, Any]) -> Mapping[str, Any]:
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    batches = [BATCHES[action] for action in actions if action in BATCHES]
    groups = [DEFAULT_GROUP] if "scheduler:CreateSchedule" in actions else []
    conditions = (
        {} if "events:PutEvents" in actions else {name: statement[name] for name in CONDITION & statement.keys()}
    )
    rest = {name: value for name, value in statement.items() if name not in CONDITION}
    return {**rest, **conditions, "Action": [*actions, *batches], "Resource": [*resources, *groups]}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
