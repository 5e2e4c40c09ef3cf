"""What `cdk` runs: one stack with the props that you choose here, held to the rules of cdk-nag.

``cdk deploy --context name=Staging`` deploys a second one beside it.
"""

from __future__ import annotations

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.props import RuntimeProps
from infra.stack import WorkflowRuntimeStack

STACK = "WorkflowRuntime"


def main() -> None:
    app = App()
    name = app.node.try_get_context("name") or STACK
    WorkflowRuntimeStack(app, name, RuntimeProps(), description="Agent Workflow Runtime")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    app.synth()


if __name__ == "__main__":
    main()
