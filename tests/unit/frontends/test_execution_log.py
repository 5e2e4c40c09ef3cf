"""What a server's log says of executions and node runs."""

from __future__ import annotations

import logging

import pytest

from workflow_runtime.frontends.server.log import QUIET_LOGGERS, ExecutionLog, log_to
from workflow_runtime.storage import keys


def test_how_long_a_run_took_is_said_of_those_that_have_ended(caplog: pytest.LogCaptureFixture) -> None:
    log, sort = ExecutionLog(), f"{keys.RUN_PREFIX}a"
    with caplog.at_level(logging.INFO):
        log.wrote("ex-1", sort, {"path": "a", "status": "waiting", "started_at": 1_700_000_000_000})
        log.wrote("ex-1", sort, {"path": "a", "status": "running", "started_at": 1_700_000_000_000})
        log.wrote(
            "ex-1",
            sort,
            {"path": "a", "status": "success", "started_at": 1_700_000_000_000, "ended_at": 1_700_000_000_250},
        )
    assert [line.getMessage() for line in caplog.records] == ["ex-1   a waiting", "ex-1   a success in 250 ms"]


def test_logging_is_as_it_was_once_a_server_has_ended() -> None:
    def configured() -> list[object]:
        loggers = [logging.getLogger(name) for name in ("workflow_runtime", *QUIET_LOGGERS)]
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    before = configured()
    with log_to(logging.NullHandler()), log_to(logging.NullHandler()):
        assert configured() != before
    assert configured() == before
