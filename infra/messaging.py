"""The queues of the topology, each encrypted and refusing what does not come over TLS."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.names import construct_id
from infra.props import RuntimeProps
from infra.suppressions import accept
from workflow_runtime.deployment.topology import Queue, Topology
from workflow_runtime.ports import MESSAGE_BYTES_MAX


class Messaging(Construct):
    """``queues`` by their names in the topology."""

    def __init__(self, scope: Construct, id: str, topology: Topology, props: RuntimeProps) -> None:
        super().__init__(scope, id)
        self.queues: dict[str, sqs.Queue] = {}
        for queue in sorted(topology.queues, key=lambda queue: queue.dead_letters is not None):  # dead letters first
            self.queues[queue.name] = self._queue(queue, props)

    def _queue(self, queue: Queue, props: RuntimeProps) -> sqs.Queue:
        dead_letters = None
        if queue.dead_letters is not None:
            dead_letters = sqs.DeadLetterQueue(
                queue=self.queues[queue.dead_letters], max_receive_count=queue.receives_max
            )
        made = sqs.Queue(
            self,
            construct_id(queue.name),
            visibility_timeout=Duration.seconds(queue.visibility_seconds),
            retention_period=Duration.seconds(queue.retention_seconds),
            max_message_size_bytes=MESSAGE_BYTES_MAX,
            dead_letter_queue=dead_letters,
            encryption=sqs.QueueEncryption.KMS if props.key else sqs.QueueEncryption.SQS_MANAGED,
            encryption_master_key=props.key,
            enforce_ssl=True,
            fifo=True if queue.fifo else None,  # in high throughput mode: each group by itself
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if queue.fifo else None,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if queue.fifo else None,
        )
        if dead_letters is None:
            rule = "Serverless::Serverless-SQSRedrivePolicy"
            accept(made, rule, "It takes the dead letters of the others; the function dead_letter empties it")
        return made
