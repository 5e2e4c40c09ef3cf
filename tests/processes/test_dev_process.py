"""`awr dev` as a process: it survives being killed, says what keeps it from starting, and stops in order."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
from tests.benchmarks.load_dev import Load
from tests.integration.dev.dev_process import DevProcess, refused
from tests.processes.living import PATIENCE_SECONDS, eventually

EXECUTIONS = 60
get = partial(httpx.get, timeout=PATIENCE_SECONDS)


def test_no_execution_is_lost_or_run_twice_when_the_process_is_killed_half_way(tmp_path: Path) -> None:
    load = Load(tmp_path, EXECUTIONS, kills=1)
    try:
        result = asyncio.run(load.run())
    finally:
        load.close()
    assert result["different_ids"] == result["right_outputs"] == EXECUTIONS
    assert result["statuses"] == {"completed": EXECUTIONS}


def test_a_request_that_waits_is_answered_when_the_server_is_told_to_stop(tmp_path: Path) -> None:
    definitions, mocks = tmp_path / "definitions", tmp_path / "mocks.yaml"
    (definitions / "workflows").mkdir(parents=True)
    slow = "workflow: {id: slow, nodes: [{id: a, type: agent, agent: sleeper}]}"
    (definitions / "workflows" / "slow.yaml").write_text(slow)
    mocks.write_text("agents: {sleeper: {delay: 3600}}")
    with DevProcess(tmp_path / "log", "--definitions", definitions, "--mocks", mocks) as server:
        with ThreadPoolExecutor(2) as pool:
            execute = f"{server.url}/workflows/slow/execute?wait=25"
            waiting = [pool.submit(httpx.post, execute, json={}, timeout=PATIENCE_SECONDS) for _ in range(2)]
            eventually(lambda: len(get(f"{server.url}/executions?workflow=slow").json()["items"]) == 2)
            assert server.stop() == 0
            answers = [request.result() for request in waiting]
        log = server.log.read_text()
    assert [answer.status_code for answer in answers] == [202, 202]
    assert all(answer.json()["execution_id"] in answer.headers["location"] for answer in answers)
    assert "Traceback" not in log
    assert "ERROR" not in log


def test_a_second_process_is_told_who_has_the_port_and_the_database(tmp_path: Path) -> None:
    database = tmp_path / "dev.db"
    with DevProcess(tmp_path / "log", "--db", database) as server:
        port = server.url.rpartition(":")[2]
        assert f"port {port} is in use by another process" in refused("--port", port)
        assert f"{database} is in use by process" in refused("--port", "0", "--db", database)
        assert get(f"{server.url}/health").status_code == 200
        assert get(f"{server.url}/health", headers={"Host": "evil.example"}).status_code == 403
        assert server.stop() == 0
    assert "stopped" in server.log.read_text()


def raw_answer(url: str, data: bytes) -> httpx.Response:
    """What the server answers to these bytes before it closes the connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
    status, *lines = head.decode("ascii").split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


def test_what_is_no_http_is_answered_as_everything_else_is(tmp_path: Path) -> None:
    rest = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with DevProcess(tmp_path / "log") as server:
        for data in (
            "GET /workflows/工单".encode() + rest,
            b"GET /\xff" + rest,
            b"GET / x" + rest,
            b"\x16\x03\x01\r\n\r\n",
        ):
            answer = raw_answer(server.url, data)
            assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
            assert answer.headers["connection"] == "close"
            assert (answer.json()["code"], "percent-encode" in answer.json()["detail"]) == ("invalid_request", True)
        encoded = raw_answer(server.url, b"GET /workflows/%E5%B7%A5%E5%8D%95" + rest)
    assert (encoded.status_code, encoded.json()["detail"]) == (404, "workflow '工单' is not published")
