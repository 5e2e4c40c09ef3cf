"""The backend on moto is made of what the topology says, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from workflow_runtime.backends.aws.backend import CLIENT_CONFIG, build_ports
from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.backends.simulated_aws.provision import create_resources
from workflow_runtime.deployment.topology import DEAD_LETTERS_FIFO, DISPATCH, TOPOLOGY
from workflow_runtime.ports import Key, Message


def test_every_queue_of_the_topology_exists_as_it_says():
    with simulated.open_backend() as backend:
        clients: Any = backend.clients
        for queue in TOPOLOGY.queues:
            url = backend.settings.queue_urls[queue.name]
            attributes = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            assert attributes["VisibilityTimeout"] == str(queue.visibility_seconds)
            assert attributes["MessageRetentionPeriod"] == str(queue.retention_seconds)
            assert (attributes.get("FifoQueue") == "true") is queue.fifo
            redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
            if queue.dead_letters is not None:
                assert redrive["deadLetterTargetArn"].endswith(queue.dead_letters)
                assert int(redrive["maxReceiveCount"]) == queue.receives_max
        assert DEAD_LETTERS_FIFO in backend.settings.queue_urls


def test_the_table_is_on_demand_and_can_be_restored():
    with simulated.open_backend() as backend:
        clients: Any = backend.clients
        name = backend.settings.table_name
        table = clients.dynamodb.describe_table(TableName=name)["Table"]
        assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert [index["IndexName"] for index in table["GlobalSecondaryIndexes"]] == ["INDEX", "LISTING"]
        backups = clients.dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_a_second_set_of_resources_lives_beside_the_first():
    with simulated.open_backend() as backend:
        settings = create_resources(TOPOLOGY, backend.clients, "other")
        ports = build_ports(settings, backend.clients)
        ports.queues.send("node-tool", [Message("x")])
        assert backend.poller.receive("node-tool", 1) == []
        assert ports.table.get([Key("P", "S")]) == {}
        assert ports.boot == ""


def test_each_opening_starts_empty_and_closing_twice_is_fine():
    for _ in range(2):
        backend = simulated.open_backend()
        backend.ports.queues.send(DISPATCH, [Message("x", group="g", deduplication_id="d")])
        assert len(backend.poller.receive(DISPATCH, 10)) == 1
        backend.close()
        backend.close()


def test_a_backend_that_could_not_be_opened_leaves_no_simulation():
    class Broken:
        queues = ()

    before = boto3.Session
    with pytest.raises(AttributeError):
        simulated.open_backend(topology=Broken())  # type: ignore[arg-type]
    assert boto3.Session is before
    with simulated.open_backend() as backend:
        assert backend.bus_events() == []


def test_clients_give_up_soon_enough_for_a_dispatcher():
    config: Any = CLIENT_CONFIG
    attempts = config.retries["total_max_attempts"]
    dispatch = next(function for function in TOPOLOGY.functions if function.name == "dispatch")
    assert config.connect_timeout * attempts < dispatch.timeout_seconds
