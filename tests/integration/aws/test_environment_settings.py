"""Settings come from the environment, complete or not at all."""

from __future__ import annotations

import pytest

from workflow_runtime.deployment.settings import Settings, queue_variable, queues_used
from workflow_runtime.deployment.topology import DISPATCH, TOPOLOGY
from workflow_runtime.errors import RequestError

ENVIRONMENT = {
    "TABLE_NAME": "table",
    "BUCKET_NAME": "bucket",
    "BUS_NAME": "bus",
    "QUEUE_URL_DISPATCH_FIFO": "https://sqs/1/dispatch.fifo",
    "QUEUE_URL_NODE_AGENT": "https://sqs/1/node-agent",
    "QUEUE_URL_NODE_TOOL": "https://sqs/1/node-tool",
    "QUEUE_URL_EVENTS": "https://sqs/1/events",
    "QUEUE_URL_TIMERS": "https://sqs/1/timers",
    "QUEUE_URL_SWEEP": "https://sqs/1/sweep",
    "QUEUE_URL_LIMITS": "https://sqs/1/limits",
    "QUEUE_URL_DEAD_LETTERS": "https://sqs/1/dead-letters",
    "QUEUE_URL_DEAD_LETTERS_FIFO": "https://sqs/1/dead-letters.fifo",
    "QUEUE_ARN_EVENTS": "arn:events",
    "QUEUE_ARN_TIMERS": "arn:timers",
    "SCHEDULE_GROUP": "schedules",
    "SCHEDULE_ROLE_ARN": "arn:role",
}


def test_settings_are_read_with_their_defaults():
    settings = Settings.from_environment(ENVIRONMENT)
    assert settings == Settings(
        table_name="table",
        bucket_name="bucket",
        bus_name="bus",
        queue_urls={
            DISPATCH: "https://sqs/1/dispatch.fifo",
            "node-agent": "https://sqs/1/node-agent",
            "node-tool": "https://sqs/1/node-tool",
            "events": "https://sqs/1/events",
            "timers": "https://sqs/1/timers",
            "sweep": "https://sqs/1/sweep",
            "limits": "https://sqs/1/limits",
            "dead-letters": "https://sqs/1/dead-letters",
            "dead-letters.fifo": "https://sqs/1/dead-letters.fifo",
        },
        definitions_directory="definitions",
        log_level="INFO",
        local=False,
        tool_allow_lists={},
        schedule_group="schedules",
        schedule_role_arn="arn:role",
        queue_arns={"events": "arn:events", "timers": "arn:timers"},
    )


def test_every_variable_is_read():
    environ = {
        **ENVIRONMENT,
        "DEFINITIONS_DIR": "/d",
        "LOG_LEVEL": "debug",
        "LOCAL": "1",
        "TOOLS_HTTP_ALLOW": "a.example, b.example",
        "OTHER": "x",
    }
    settings = Settings.from_environment(environ)
    assert (settings.definitions_directory, settings.log_level, settings.local) == ("/d", "DEBUG", True)
    assert settings.tool_allow_lists == {"TOOLS_HTTP_ALLOW": "a.example, b.example"}
    assert Settings.from_environment(settings.to_environment()) == settings


def test_everything_that_is_missing_or_wrong_is_named_at_once():
    with pytest.raises(RequestError) as caught:
        Settings.from_environment({"BUS_NAME": "", "LOG_LEVEL": "LOUD", "LOCAL": "perhaps"})
    assert caught.value.code == "settings_invalid"
    for name in (*ENVIRONMENT, "LOG_LEVEL is LOUD", "LOCAL is perhaps"):
        assert name in caught.value.message


def test_a_function_needs_only_its_own_queues():
    environ = {name: value for name, value in ENVIRONMENT.items() if name != "QUEUE_URL_NODE_AGENT"}
    assert set(Settings.from_environment(environ, function="run_node_tool").queue_urls) == {
        DISPATCH,
        "limits",
        "node-tool",
    }
    with pytest.raises(RequestError, match="QUEUE_URL_NODE_AGENT is missing"):
        Settings.from_environment(environ, function="dispatch")
    with pytest.raises(ValueError, match="no function nobody"):
        queues_used(TOPOLOGY, "nobody")


def test_only_functions_that_make_schedules_need_to_know_who_sends_and_where_to():
    environ = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("SCHEDULE", "QUEUE_ARN"))}
    assert Settings.from_environment(environ, function="run_node_tool").queue_arns == {}
    with pytest.raises(RequestError) as caught:
        Settings.from_environment(environ, function="api")
    for name in ("QUEUE_ARN_EVENTS", "QUEUE_ARN_TIMERS", "SCHEDULE_GROUP", "SCHEDULE_ROLE_ARN"):
        assert f"{name} is missing" in caught.value.message


def test_the_variable_of_a_queue_is_made_of_its_name():
    assert queue_variable("dispatch.fifo") == "QUEUE_URL_DISPATCH_FIFO"
