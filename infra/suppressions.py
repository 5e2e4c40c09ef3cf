"""Findings of cdk-nag that are accepted, each with its reason."""

from __future__ import annotations

from typing import Any

from aws_cdk import Acknowledgment, Stack, Validations
from constructs import IConstruct


def accept(construct: IConstruct, finding: str, reason: str) -> None:
    """Accept a ``finding`` of ``construct`` and below it: ``AwsSolutions::AwsSolutions-S1``; cdk-nag says its id."""
    Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def accept_wildcard(construct: IConstruct, resource: str, reason: str) -> None:
    """Accept that a policy in ``construct`` names ``resource``, which has a ``*``."""
    text = _written(Stack.of(construct).resolve(resource))
    accept(construct, f"AwsSolutions::AwsSolutions-IAM5[Resource::{text}]", reason)


def _written(resolved: Any) -> str:
    """A CloudFormation value as cdk-nag writes it in a finding's id."""
    match resolved:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": ["", parts]}:
            return "".join(map(_written, parts))
        case _:
            return str(resolved)
