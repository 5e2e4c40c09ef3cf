"""The template is clean by cdk-nag and cfn-lint, closed to the world, and holds the resources that it held before."""

from __future__ import annotations

import os
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from tests.infra.deployed import ROOT, Deployed, listed
from tests.infra.test_parity import queue_policy

from workflow_runtime.backends.limits import EXPIRES_ATTRIBUTE
from workflow_runtime.deployment.settings import RETENTION_DAYS
from workflow_runtime.deployment.topology import TOPOLOGY

GOLDEN = ROOT / "tests" / "golden" / "infra" / "resources.txt"
REASON_CHARS_MIN = 30
DEPENDS_TWICE = "W3005"  # CDK names a function's role among its dependencies though a property does already


def test_cdk_nag_finds_nothing_that_is_not_accepted_with_a_reason(shipped: Deployed) -> None:
    assert {report["pluginName"] for report in shipped.findings} >= {"AwsSolutions", "Serverless"}
    for report in shipped.findings:
        found = [each for each in report["violations"] if "alarmTopic" not in str(each)]
        assert found == []
        for accepted in report.get("suppressedViolations", []):
            assert len(accepted["reason"]) >= REASON_CHARS_MIN, accepted["acknowledgedId"]


def test_alarms_that_nobody_is_told_of_are_warned_of(shipped: Deployed) -> None:
    assert "alarmTopic" in str([report["violations"] for report in shipped.findings])


def lint_findings(deployed: Deployed) -> list[str]:
    """What cfn-lint says."""
    config = ManualArgs(ignore_checks=[DEPENDS_TWICE], regions=["eu-central-1", "us-east-1"])
    return [f"{each.rule.id} {each.message} {each.path}" for each in lint(deployed.text, config=config)]


def test_cfn_lint_finds_nothing(shipped: Deployed) -> None:
    assert lint_findings(shipped) == []


def test_the_resources_are_those_that_were_there_before(shipped: Deployed) -> None:
    """A resource that goes away, or changes its logical id, is replaced: its data is lost, its name changes."""
    resources = shipped.template["Resources"]
    lines = [f"{_stable(id)}  {resource['Type']}" for id, resource in sorted(resources.items())]
    text = "\n".join(lines) + "\n"
    if os.environ.get("REWRITE_GOLDEN") == "1":
        GOLDEN.parent.mkdir(parents=True, exist_ok=True)
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def _stable(id: str) -> str:
    """Versions and layers are made anew whenever the code changes."""
    marker = "CurrentVersion"
    return id[: id.index(marker) + len(marker)] if marker in id else id


def test_what_holds_data_outlives_the_stack(shipped: Deployed) -> None:
    for id in ("Storage/Table", "Storage/Blobs"):
        resource = shipped.template["Resources"][shipped.paths[id]]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert shipped.at("Storage/Table")["DeletionProtectionEnabled"] is True


def test_the_table_can_be_restored_and_forgets_what_expired(shipped: Deployed) -> None:
    table = shipped.at("Storage/Table")
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert table["TimeToLiveSpecification"] == {"AttributeName": EXPIRES_ATTRIBUTE, "Enabled": True}
    assert "StreamSpecification" not in table


def test_the_bucket_is_closed_and_forgets(shipped: Deployed) -> None:
    bucket = shipped.at("Storage/Blobs")
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], rule["ExpirationInDays"]) == ("Enabled", 2 * RETENTION_DAYS)


@pytest.mark.parametrize("queue", [queue.name for queue in TOPOLOGY.queues])
def test_queues_take_nothing_without_tls(shipped: Deployed, queue: str) -> None:
    denied = [each for each in queue_policy(shipped, queue) if each["Effect"] == "Deny"]
    assert [each["Condition"] for each in denied] == [{"Bool": {"aws:SecureTransport": "false"}}]


def test_the_bus_and_the_bucket_take_nothing_without_tls(shipped: Deployed) -> None:
    policies = [each["Statement"] for each in shipped.of_type("AWS::Events::EventBusPolicy").values()]
    assert [(each["Effect"], each["Condition"]) for each in policies] == [
        ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    ]
    (bucket,) = shipped.of_type("AWS::S3::BucketPolicy").values()
    conditions = [each["Condition"] for each in bucket["PolicyDocument"]["Statement"] if each["Effect"] == "Deny"]
    assert {"Bool": {"aws:SecureTransport": "false"}} in conditions


def test_nothing_is_allowed_to_do_everything(shipped: Deployed) -> None:
    for policy in shipped.of_type("AWS::IAM::Policy").values():
        for statement in policy["PolicyDocument"]["Statement"]:
            assert not any("*" in action for action in listed(statement["Action"]))


def test_only_schedules_of_the_group_can_use_its_role(shipped: Deployed) -> None:
    (statement,) = shipped.at("Events/SchedulerRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"] == {
        "Fn::GetAtt": [shipped.paths["Events/Schedules"], "Arn"]
    }


def test_logs_end_some_day(shipped: Deployed) -> None:
    assert {each["RetentionInDays"] for each in shipped.of_type("AWS::Logs::LogGroup").values()} == {30}


def test_only_the_agent_pool_has_the_packages_of_agents(shipped: Deployed) -> None:
    agents: dict[str, Any] = {"Ref": shipped.paths["Functions/AgentsLayer"]}
    having = {function.name for function in TOPOLOGY.functions if agents in shipped.function(function.name)["Layers"]}
    assert having == {"run_node_agent"}


def test_the_template_fits_into_one_upload(shipped: Deployed) -> None:
    assert len(shipped.text.encode()) < 1_000_000, "CloudFormation: one template"
    assert len(shipped.template["Resources"]) < 500, "CloudFormation: resources of a stack"
