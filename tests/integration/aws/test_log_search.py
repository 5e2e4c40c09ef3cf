"""`awr logs`: an execution's lines, by the query that the deployment saved."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from workflow_runtime.backends.aws.log_search import LogSearch
from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.cli.commands.logs import DevLines, show_logs, source_of
from workflow_runtime.frontends.cli.errors import CliError
from workflow_runtime.frontends.cli.output import Output
from workflow_runtime.frontends.cli.server import URL_DEFAULT, Server

EXECUTION = "ex-01a204d5603e-edb72076c6964bbf"
QUERY = "filter execution_id = 'ex-…'\n| sort @timestamp"
GROUPS = ["dispatch-logs", "tool-logs"]
ROWS = [
    {
        "@timestamp": "2026-11-22 20:00:00.000",
        "level": "INFO",
        "function_name": "run_node_tool",
        "message": "node ended",
        "node": "查询",
        "ms": "12",
        "@ptr": "x",
    },
    {
        "@timestamp": "2026-11-22 20:00:01.000",
        "level": "ERROR",
        "function_name": "dispatch",
        "message": "an event was refused",
    },
]


class Logs:
    """CloudWatch Logs with one saved query, whose results need a while."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses) or ["Scheduled", "Running", "Complete"]
        self.asked: dict[str, Any] = {}

    def describe_query_definitions(self, queryDefinitionNamePrefix: str) -> Any:
        saved: dict[str, Any] = {"name": "Staging/one-execution", "queryString": QUERY, "logGroupNames": GROUPS}
        return {"queryDefinitions": [saved] if saved["name"].startswith(queryDefinitionNamePrefix) else []}

    def start_query(self, **arguments: Any) -> Any:
        self.asked = arguments
        return {"queryId": "q"}

    def get_query_results(self, queryId: str) -> Any:
        assert queryId == "q"
        rows = [[{"field": name, "value": value} for name, value in row.items()] for row in ROWS]
        return {"status": self.statuses.pop(0), "results": rows}


def search(client: Any, stack: str = "Staging") -> LogSearch:
    return LogSearch(client, stack, pause=lambda _: None)


def test_the_saved_query_is_asked_for_this_execution_and_time() -> None:
    client = Logs()
    lines = search(client).lines(EXECUTION, 1_000_000, 2_000_000)
    assert client.asked == {
        "logGroupNames": GROUPS,
        "startTime": 1000,
        "endTime": 2001,
        "queryString": QUERY.replace("ex-…", EXECUTION),
    }
    assert [line["message"] for line in lines] == ["node ended", "an event was refused"]
    assert "@ptr" not in lines[0]


def test_lines_are_shown_with_what_they_carry(capsys: pytest.CaptureFixture[str]) -> None:
    show_logs(Output(), search(Logs()), EXECUTION, "24h", now=lambda: 2_000)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == [
        "2026-11-22",
        "20:00:00.000",
        "INFO",
        "run_node_tool",
        "node",
        "ended",
        "node=查询",
        "ms=12",
    ]
    assert second.split()[2:4] == ["ERROR", "dispatch"]


def test_no_id_changes_the_query() -> None:
    with pytest.raises(RequestError, match="is not an execution id"):
        search(Logs()).lines("x' or 1 = 1 | display @message", 0, 1)


def test_a_stack_that_is_not_there_is_named() -> None:
    with pytest.raises(RequestError, match="no stack Production"):
        search(Logs(), "Production").lines(EXECUTION, 0, 1)


@pytest.mark.parametrize("statuses", [("Failed",), ("Running",) * 200])
def test_a_query_that_fails_or_never_ends_is_reported(statuses: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match="the query"):
        search(Logs(*statuses)).lines(EXECUTION, 0, 1)


def test_a_missing_right_is_reported() -> None:
    class Forbidden(Logs):
        def start_query(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "logs:StartQuery"}}, "StartQuery")

    with pytest.raises(RequestError, match="StartQuery"):
        search(Forbidden()).lines(EXECUTION, 0, 1)


class Lines:
    """Log lines that come in one by one, some found late; ends the following after the last."""

    def __init__(self, *looks: list[str]) -> None:
        self.looks = list(looks)
        self.asked: list[tuple[int, int]] = []

    def lines(self, execution_id: str, start: int, end: int) -> list[dict[str, str]]:
        assert execution_id == EXECUTION
        self.asked.append((start, end))
        if not self.looks:
            raise KeyboardInterrupt
        return [{"@timestamp": "t", "message": text} for text in self.looks.pop(0)]


def test_following_shows_each_line_once_also_one_that_is_found_late(capsys: pytest.CaptureFixture[str]) -> None:
    source = Lines(["a", "c"], ["a", "b", "c"], [], ["c", "d"])
    times = iter(range(1_000, 2_000, 3))
    with pytest.raises(KeyboardInterrupt):
        show_logs(Output(), source, EXECUTION, "1m", follow=True, pause=lambda _: None, now=lambda: next(times))
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["a", "c", "b", "d"]
    assert source.asked[0] == (940_000, 1_000_000)
    assert source.asked[-1] == (940_000, 1_012_000)


@pytest.mark.parametrize(
    ("since", "follow", "as_json", "said"),
    [("5x", False, False, "--since"), ("1h", True, True, "--follow never ends")],
)
def test_what_makes_no_sense_is_refused(since: str, follow: bool, as_json: bool, said: str) -> None:
    with pytest.raises(CliError, match=said):
        show_logs(Output(json=as_json), Lines(), EXECUTION, since, follow=follow)


@pytest.mark.parametrize(
    ("server", "stack", "kind"),
    [
        (Server(URL_DEFAULT), None, DevLines),
        (Server(URL_DEFAULT), "Staging", LogSearch),
        (Server(URL_DEFAULT, region="eu-central-1"), None, LogSearch),
        (Server("https://api.example.com"), None, LogSearch),
    ],
)
def test_logs_are_those_of_a_stack_or_of_awr_dev(
    monkeypatch: pytest.MonkeyPatch, server: Server, stack: str | None, kind: type
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    assert isinstance(source_of(server, stack), kind)
