"""Where the emulator (MiniStack 1.5.33) differs from AWS, and what is done to a template for that; nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# It cannot create these. Nothing refers to them; the tests of the template look at them.
UNKNOWN_TYPES = frozenset({"AWS::Events::Archive", "AWS::Events::EventBusPolicy", "AWS::Logs::QueryDefinition"})

# On AWS the right to send, or delete, one message is the right to do so with several; here each has a name of its own.
BATCHES = {"sqs:SendMessage": "sqs:SendMessageBatch", "sqs:DeleteMessage": "sqs:DeleteMessageBatch"}


def adapted(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template as the emulator takes it."""
    known = {name: resource for name, resource in template["Resources"].items() if not is_unknown(resource)}
    return {**template, "Resources": {name: _with_batches(resource) for name, resource in known.items()}}


def is_unknown(resource: Mapping[str, Any]) -> bool:
    """Whether the emulator refuses a resource: its type, or an alarm on a formula over metrics."""
    return resource["Type"] in UNKNOWN_TYPES or (
        resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    )


def _with_batches(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    if resource["Type"] != "AWS::IAM::Policy":
        return resource
    properties = resource["Properties"]
    statements = []
    for statement in properties["PolicyDocument"]["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        batches = [BATCHES[action] for action in actions if action in BATCHES]
        statements.append({**statement, "Action": [*actions, *batches]})
    document = {**properties["PolicyDocument"], "Statement": statements}
    return {**resource, "Properties": {**properties, "PolicyDocument": document}}
