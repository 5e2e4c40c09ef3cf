"""Log groups: kept for as long as the props say, encrypted with their key."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.props import RuntimeProps


def log_group(scope: Construct, id: str, props: RuntimeProps) -> logs.LogGroup:
    """A log group; a key among the props is opened to the service that writes it."""
    made = logs.LogGroup(
        scope, id, retention=props.log_retention, removal_policy=props.removal_policy, encryption_key=props.key
    )
    if props.key is not None:
        props.key.grant_encrypt_decrypt(iam.ServicePrincipal(f"logs.{Stack.of(scope).region}.amazonaws.com"))
    return made
