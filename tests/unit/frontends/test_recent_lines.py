"""`awr dev` keeps its last lines, for `awr logs`."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from workflow_runtime.deployment.log_fields import log_fields
from workflow_runtime.frontends.dev.doors import LogDoor
from workflow_runtime.frontends.dev.recent import LINES_KEPT_MAX, RecentLines

ID = "ex-01a204d5603e-edb72076c6964bbf"
ALWAYS = (0, 10**15)


@pytest.fixture
def recent() -> RecentLines:
    return RecentLines()


def log(recent: RecentLines, message: str, level: int = logging.INFO, **beside: Any) -> None:
    recent.handle(logging.makeLogRecord({"msg": message, "levelname": logging.getLevelName(level), **beside}))


def messages(recent: RecentLines, execution_id: str = ID) -> list[str]:
    return [line["message"] for line in recent.of(execution_id, *ALWAYS)]


def test_lines_are_those_about_an_execution_or_that_name_it(recent: RecentLines) -> None:
    log(recent, f"{ID} execution running")
    log(recent, "of another", execution_id="ex-2")
    log(recent, "a node raised", execution_id=ID, node="查询")
    with log_fields(execution_id=ID, correlation_id="order-4711"):
        log(recent, "a tool's own line")
    assert messages(recent) == ["execution running", "a node raised", "a tool's own line"]
    assert recent.of(ID, *ALWAYS)[1]["node"] == "查询"
    assert recent.of(ID, *ALWAYS)[2]["correlation_id"] == "order-4711"


def test_an_exception_is_shown_in_its_line(recent: RecentLines) -> None:
    error = ValueError("broken")
    log(recent, f"{ID} failed", logging.ERROR, exc_info=(ValueError, error, None))
    (line,) = recent.of(ID, *ALWAYS)
    assert (line["level"], line["message"]) == ("ERROR", "failed: ValueError('broken')")


def test_only_lines_of_the_time_asked_for_are_given(recent: RecentLines) -> None:
    for second in (1, 2, 3):
        log(recent, f"{ID} {second}", created=float(second))
    assert [line["message"] for line in recent.of(ID, 2000, 2500)] == ["2"]
    assert recent.of(ID, 2000, 2500)[0]["@timestamp"] == "1970-01-01 00:00:02.000"


def test_the_oldest_lines_are_given_up(recent: RecentLines) -> None:
    for number in range(LINES_KEPT_MAX + 1):
        log(recent, str(number), execution_id=ID)
    assert messages(recent)[0] == "1"


def test_the_door_gives_lines_and_leaves_other_paths_to_the_api(recent: RecentLines) -> None:
    async def inner(*_: Any) -> Any:
        return "the API's answer"

    def ask(path: str, **parameters: str) -> Any:
        event = {"rawPath": path, "queryStringParameters": parameters}
        return asyncio.run(LogDoor(recent, inner)(event, None))

    log(recent, f"{ID} execution running")
    answer = ask("/dev/logs", execution_id=ID, start="0", end="9999999999999")
    assert [line["message"] for line in json.loads(answer["body"])["lines"]] == ["execution running"]
    assert ask("/dev/logs", execution_id=ID)["statusCode"] == 422
    assert ask("/dev/logs", execution_id=ID, start="x", end="1")["statusCode"] == 422
    assert ask("/executions") == "the API's answer"
