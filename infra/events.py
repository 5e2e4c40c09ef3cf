"""EventBridge: the runtime's bus with archive and rules, what may put events on it, and schedules."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.names import construct_id
from infra.props import Forwarding, RuntimeProps
from workflow_runtime.deployment.settings import SCHEDULED_QUEUES
from workflow_runtime.deployment.topology import DEAD_LETTERS, LIFECYCLE_SOURCE, Rule, Tick, Topology

SCHEDULER = "scheduler.amazonaws.com"
TICK_BODY = "{}"
TICK_AGE = Duration.minutes(1)  # an older tick says nothing that the next one does not


class Events(Construct):
    """``bus``, the ``group`` of schedules that functions make, and the ``scheduler_role`` that sends when they fire."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        topology: Topology,
        queues: Mapping[str, sqs.Queue],
        props: RuntimeProps,
    ) -> None:
        super().__init__(scope, id)
        self._queues = queues
        self.bus = events.EventBus(self, "Bus", description="Events into and out of workflows", kms_key=props.key)
        CfnOutput(self, "BusName", value=self.bus.event_bus_name, description="Put events for workflows on this bus")
        if props.archive_days:
            self._archive(props)
        self._restrict(props)
        self.rules = {rule.name: self._rule(rule) for rule in topology.rules}
        for index, forwarding in enumerate(props.forwarding, start=1):
            self._forward(index, forwarding)

        if props.approvals_topic is not None:
            self._tell_people(props.approvals_topic)

        # It goes with the stack, whatever stays: kept, its name would stand in the way of the next deployment. Timers
        # that were in it are fired by the sweep, if the table lives on.
        self.group = scheduler.ScheduleGroup(self, "Schedules", removal_policy=RemovalPolicy.DESTROY)
        self.scheduler_role = self._role("SchedulerRole", self.group.schedule_group_arn, SCHEDULED_QUEUES, props)
        self.schedules_arn = _schedules(self, self.group.schedule_group_name)
        self.ticks = {tick.name: self._tick(tick, props) for tick in topology.ticks}

    def _archive(self, props: RuntimeProps) -> None:
        """What came in: the runtime's own lifecycle events never come in again, and would be most of it."""
        kept = self.bus.archive("Archive", event_pattern=_everything(), retention=Duration.days(props.archive_days))
        made = kept.node.default_child
        assert isinstance(made, events.CfnArchive)
        made.add_property_override("EventPattern", {"source": [{"anything-but": LIFECYCLE_SOURCE}]})
        if props.key is not None:
            made.add_property_override("KmsKeyIdentifier", props.key.key_arn)
            self._let_archive_use(props.key)

    def _let_archive_use(self, key: kms.IKey) -> None:
        """As EventBridge's documentation has it (encrypting archives); what the bus adds to the key's policy is for the
        bus alone. The bus is named by its text: it depends on the key, so that the key cannot depend on it."""
        bus = self.bus.node.default_child
        assert isinstance(bus, events.CfnEventBus)
        bus_arn = Stack.of(self).format_arn(service="events", resource="event-bus", resource_name=bus.name)
        of_bus = {"StringEquals": {"kms:EncryptionContext:aws:events:event-bus:arn": bus_arn}}
        used = ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"]
        for sid, actions, conditions in (("Archive", used, of_bus), ("ArchiveLooks", ["kms:DescribeKey"], None)):
            key.add_to_resource_policy(
                iam.PolicyStatement(
                    sid=sid,
                    actions=actions,
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    resources=["*"],
                    conditions=conditions,
                )
            )

    def _restrict(self, props: RuntimeProps) -> None:
        """Nobody puts events without TLS; of other accounts only those named, and never as the runtime itself."""
        self._let(iam.Effect.DENY, "TlsOnly", iam.StarPrincipal(), {"Bool": {"aws:SecureTransport": "false"}})
        for account in props.publisher_accounts:
            foreign = {"StringNotEquals": {"events:source": LIFECYCLE_SOURCE}}
            self._let(iam.Effect.ALLOW, f"Account{account}", iam.AccountPrincipal(account), foreign)

    def _let(self, effect: iam.Effect, sid: str, principal: iam.IPrincipal, conditions: Mapping[str, object]) -> None:
        self.bus.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=effect,
                principals=[principal],
                actions=["events:PutEvents"],
                resources=[self.bus.event_bus_arn],
                conditions=dict(conditions),
            )
        )

    def _rule(self, rule: Rule) -> events.Rule:
        target = targets.SqsQueue(self._queues[rule.queue], dead_letter_queue=self._queues[DEAD_LETTERS])
        made = events.Rule(
            self,
            f"Rule{construct_id(rule.name)}",
            event_bus=self.bus,
            description=f"Events to the queue {rule.queue}",
            event_pattern=_everything(),
            targets=[target],
        )
        return _narrowed(made, rule.pattern)

    def _forward(self, index: int, forwarding: Forwarding) -> None:
        source = events.EventBus.from_event_bus_arn(self, f"OtherBus{index}", forwarding.bus_arn)
        rule = events.Rule(
            self,
            f"Forward{index}",
            event_bus=source,
            description="Events passed on to the workflow runtime",
            event_pattern=_everything(),
            targets=[targets.EventBus(self.bus, dead_letter_queue=self._queues[DEAD_LETTERS])],
        )
        _narrowed(rule, forwarding.pattern)

    def _tell_people(self, topic: sns.ITopic) -> None:
        """A sample of how people learn that they are asked: subscribe mails to the topic, or write such a rule for a
        function that posts to a chat."""
        detail = events.EventField.from_path
        text = events.RuleTargetInput.from_multiline_text(
            f"{detail('$.detail.prompt')}\n\n"
            f"Asked: {detail('$.detail.assignees')} ({detail('$.detail.reason')}) by {detail('$.detail.path')} of "
            f"{detail('$.detail.workflow_id')}.\n"
            f"awr approve {detail('$.detail.approval_id')} --comment …"
        )
        target = targets.SnsTopic(topic, message=text, dead_letter_queue=self._queues[DEAD_LETTERS])
        events.Rule(
            self,
            "Approvals",
            event_bus=self.bus,
            description="Tells people that they are asked",
            event_pattern=events.EventPattern(source=[LIFECYCLE_SOURCE], detail_type=["approval.requested"]),
            targets=[target],
        )

    def _tick(self, tick: Tick, props: RuntimeProps) -> scheduler.CfnSchedule:
        """In the default group: functions may delete whatever is in the other."""
        id = f"Tick{construct_id(tick.name)}"
        role = self._role(f"{id}Role", _group(self, "default"), (tick.queue,), props)
        return scheduler.CfnSchedule(
            self,
            id,
            description=f"Sends to the queue {tick.queue}",
            schedule_expression=tick.expression,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._queues[tick.queue].queue_arn,
                role_arn=role.role_arn,
                input=TICK_BODY,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=TICK_AGE.to_seconds(), maximum_retry_attempts=3
                ),
            ),
        )

    def _role(self, id: str, group_arn: str, queues: tuple[str, ...], props: RuntimeProps) -> iam.Role:
        """What schedules of a group send as; it may send to ``queues`` and nothing else."""
        here = {"StringEquals": {"aws:SourceAccount": Stack.of(self).account}, "ArnLike": {"aws:SourceArn": group_arn}}
        role = iam.Role(
            self,
            id,
            description="EventBridge Scheduler, sending what is due",
            assumed_by=iam.PrincipalWithConditions(iam.ServicePrincipal(SCHEDULER), here),
        )
        statements = [
            iam.PolicyStatement(
                sid="Send", actions=["sqs:SendMessage"], resources=[self._queues[queue].queue_arn for queue in queues]
            )
        ]
        if props.key is not None:
            actions = ["kms:Decrypt", "kms:GenerateDataKey"]
            statements.append(iam.PolicyStatement(sid="Key", actions=actions, resources=[props.key.key_arn]))
        role.attach_inline_policy(iam.Policy(self, f"{id}Policy", statements=statements))
        return role


def _everything() -> events.EventPattern:
    return events.EventPattern(version=["0"])


def _narrowed(rule: events.Rule, pattern: Mapping[str, object]) -> events.Rule:
    """With the pattern as it is written: the typed one takes only lists of texts."""
    made = rule.node.default_child
    assert isinstance(made, events.CfnRule)
    made.event_pattern = dict(pattern)
    return rule


def _group(scope: Construct, name: str) -> str:
    return Stack.of(scope).format_arn(service="scheduler", resource="schedule-group", resource_name=name)


def _schedules(scope: Construct, group: str) -> str:
    return Stack.of(scope).format_arn(service="scheduler", resource="schedule", resource_name=f"{group}/*")
