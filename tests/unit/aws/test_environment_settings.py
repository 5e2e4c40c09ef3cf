"""Settings come from the environment, complete or not at all."""

from __future__ import annotations

import pytest

from workflow_runtime.errors import RequestError
from workflow_runtime.settings import Settings, queue_variable, queues_used
from workflow_runtime.topology import DEAD_LETTERS, DISPATCH, TOPOLOGY

ENVIRONMENT = {
    "TABLE_NAME": "table",
    "BUCKET_NAME": "bucket",
    "BUS_NAME": "bus",
    "QUEUE_URL_DISPATCH_FIFO": "https://sqs/1/dispatch.fifo",
    "QUEUE_URL_NODE_AGENT": "https://sqs/1/node-agent",
    "QUEUE_URL_NODE_TOOL": "https://sqs/1/node-tool",
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
        },
        definitions_directory="definitions",
        log_level="INFO",
        local=False,
        tool_allow_lists={},
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
    assert set(Settings.from_environment(environ, function="run_node_tool").queue_urls) == {DISPATCH, "node-tool"}
    with pytest.raises(RequestError, match="QUEUE_URL_NODE_AGENT is missing"):
        Settings.from_environment(environ, function="dispatch")
    with pytest.raises(ValueError, match="no function nobody"):
        queues_used(TOPOLOGY, "nobody")


def test_dead_letter_queues_that_nobody_reads_need_no_url():
    assert DEAD_LETTERS not in queues_used(TOPOLOGY)
    assert queue_variable("dispatch.fifo") == "QUEUE_URL_DISPATCH_FIFO"
