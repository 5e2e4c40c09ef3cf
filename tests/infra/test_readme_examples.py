"""The README's example of a subscriber, synthesized."""

from __future__ import annotations

import re
from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk.assertions import Match, Template
from infra.runtime import WorkflowRuntime

README = Path(__file__).parents[2] / "README.md"


def test_a_rule_brings_lifecycle_events_to_a_queue(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(from aws_cdk.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    stack = Stack(App(outdir=str(tmp_path)), "Team")
    runtime = WorkflowRuntime(stack, "Workflows")
    exec(compile(example, str(README), "exec"), {"stack": stack, "runtime": runtime})
    template = Template.from_stack(stack)
    template.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventPattern": {"source": ["workflow-runtime"], "detail-type": ["execution.failed"]},
            "Targets": [Match.object_like({"Arn": {"Fn::GetAtt": [Match.string_like_regexp("Failures"), "Arn"]}})],
        },
    )
    template.has_resource_properties(
        "AWS::SQS::QueuePolicy",
        {
            "Queues": [{"Ref": Match.string_like_regexp("Failures")}],
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [Match.object_like({"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}})]
                )
            },
        },
    )
