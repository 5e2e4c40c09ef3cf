"""awr as a process: what it loads, what it prints where, and how it is stopped."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.cli.conftest import (
    AWR,
    DEADLINE_SECONDS,
    PROJECT,
    Awr,
    environment,
    finished,
    only_document,
    started,
    wait_for_line,
)

from workflow_runtime.frontends.cli.progress import STATUS_COLUMNS

REPORT_MODULES = (
    "import atexit, sys; from workflow_runtime.frontends.cli import main; "
    "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr)); main()"
)
HEAVY = {"pydantic_ai", "boto3", "moto", "rich.live"}


def _loaded(*words: object) -> set[str]:
    command = [AWR[0], "-c", REPORT_MODULES, *map(str, words)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 0
    return set(done.stderr.splitlines()[-1].split())


def test_help_loads_no_part_of_the_runtime() -> None:
    loaded = _loaded("--help")
    assert not loaded & {*HEAVY, "pydantic", "rich", "workflow_runtime.compiler", "workflow_runtime.runtime.in_process"}


def test_nothing_heavy_is_loaded_to_validate_or_to_run_with_mocks(chain: Path, mocks: Callable[..., Path]) -> None:
    assert not _loaded("validate", PROJECT / "definitions") & HEAVY
    loaded = _loaded("run", chain, "--mocks", mocks(), "--json")
    assert not loaded & HEAVY
    handlers = {name for name in loaded if name.startswith("workflow_runtime.handlers.")}
    unneeded = {f"workflow_runtime.handlers.{name}" for name in ("api", "ingest_event", "limit_pump", "sweep")}
    assert handlers, "a run has some"
    assert not handlers & unneeded


def test_a_killed_run_is_resumed_without_running_finished_nodes_again(
    awr: Awr, chain: Path, mocks: Callable[..., Path]
) -> None:
    process = started("run", chain, "--mocks", mocks(600), "--db", "x.db")
    wait_for_line(process, f"{'running':<{STATUS_COLUMNS}}  b")
    process.kill()
    process.communicate(timeout=DEADLINE_SECONDS)
    execution_id = _only_execution(Path("x.db"))
    result = awr("run", "--resume", execution_id, "--db", "x.db", "--mocks", mocks(), "--json")
    entries = only_document(result.stdout)["node_executions"]
    assert result.exit_code == 0
    assert [entries[id]["attempts"] for id in "abc"] == [1, 2, 1]
    assert f"{'success':<{STATUS_COLUMNS}}  a" not in result.stderr  # it is not news


SIGNALS = (
    (signal.SIGINT, 130, "interrupted"),
    (signal.SIGTERM, 143, "stopped by SIGTERM"),
    (signal.SIGHUP, 129, "stopped by SIGHUP"),
)


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_ends_a_run_which_says_how_to_go_on(
    awr: Awr, chain: Path, mocks: Callable[..., Path], number: signal.Signals, code: int, said: str
) -> None:
    process = started("run", chain, "--mocks", mocks(600), "--db", "x.db", "--json")
    wait_for_line(process, f"{'running':<{STATUS_COLUMNS}}  b")
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == code
    assert only_document(stdout)["status"] == "running"
    assert f"{said} while b ran" in stderr
    assert "Traceback" not in stderr
    words = stderr.partition("resume: awr ")[2].split()
    assert awr(*words[:-1], mocks()).exit_code == 0


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_a_signal_ends_a_run_that_asks_on_a_terminal(number: signal.Signals, code: int, said: str) -> None:
    Path("w.yaml").write_text("workflow: {id: w, nodes: [{id: a, type: control, subtype: approval}]}\n", "utf-8")
    shown, ended = _ended_on_a_terminal("run", "w.yaml", "--db", "x.db", until="approve?", then=number)
    assert ended == code
    assert f"{said} while a ran" in shown
    assert "resume: awr run w.yaml --resume " in shown


def test_a_terminal_that_is_closed_ends_its_run_with_129(chain: Path, mocks: Callable[..., Path]) -> None:
    """Nobody is left to be told, which is no fault."""
    until = f"{'running':<{STATUS_COLUMNS}}  b"
    shown, ended = _ended_on_a_terminal("run", chain, "--mocks", mocks(600), "--db", "x.db", until=until, then=None)
    assert ended == 129
    assert "Traceback" not in shown


def _wait_until_it_waits(process: subprocess.Popen[bytes]) -> None:
    """Until the process sleeps: a signal that comes a moment before a system call begins does not end that, and who
    presses Ctrl-C in vain presses it again."""
    asleep = 0
    while asleep < 5:
        state = Path(f"/proc/{process.pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
        asleep = asleep + 1 if state == "S" else 0
        time.sleep(0.02)


def _ended_on_a_terminal(*words: object, until: str, then: signal.Signals | None) -> tuple[str, int]:
    """What a command shows on a terminal of its own, and its exit code, when a signal comes after it has shown this;
    None: the terminal is closed then."""
    own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
    command = [AWR[0], "-c", f"{own}; {AWR[2]}", *map(str, words)]
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        command, env=environment({"TERM": "dumb"}), stdin=inside, stdout=inside, stderr=inside, start_new_session=True
    )
    os.close(inside)
    shown = b""
    with suppress(OSError):  # Linux says so when the other side has closed
        while until not in shown.decode("utf-8", "ignore"):
            shown += os.read(terminal, 65536)
        if then is not None:
            _wait_until_it_waits(process)
            process.send_signal(then)
            while data := os.read(terminal, 65536):
                shown += data
    os.close(terminal)
    return shown.decode(), process.wait(timeout=DEADLINE_SECONDS)


def test_what_is_ignored_ends_nothing(chain: Path, mocks: Callable[..., Path]) -> None:
    """As by ``nohup``."""
    command = shlex.join(map(str, [*AWR, "run", chain, "--mocks", mocks(600), "--db", "x.db"]))
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["sh", "-c", f"trap '' HUP; exec {command}"], env=environment(), stdout=pipe, stderr=pipe, text=True
    ) as process:
        wait_for_line(process, f"{'running':<{STATUS_COLUMNS}}  b")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        _, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 143
    assert "stopped by SIGTERM while b ran" in stderr


RAISING_TOOLS = """
from workflow_runtime.sdk import tool

@tool(description="prints and raises")
def raise_it() -> None:
    print("this is not the result")
    raise ValueError("boom")
"""


@pytest.mark.usefixtures("tmp_path")
def test_what_tools_print_is_no_result_and_what_they_raise_is_shown_with_verbose() -> None:
    Path("tools").mkdir()
    Path("tools/mine.py").write_text(RAISING_TOOLS)
    Path("w.yaml").write_text("workflow: {id: w, nodes: [{id: a, type: tool, tool: raise_it}]}\n", "utf-8")
    code, stdout, stderr = finished("run", "w.yaml", "--json")
    assert code == 3
    assert "boom" in only_document(stdout)["error"]["message"]
    assert "this is not the result" in stderr
    assert "Traceback" not in stderr
    _, stdout, stderr = finished("run", "w.yaml", "--verbose")
    assert "this is not the result" not in stdout
    assert "Traceback" in stderr
    assert 'raise ValueError("boom")' in stderr


def test_without_moto_its_backend_says_what_to_install(chain: Path) -> None:
    program = "import sys; sys.modules['moto'] = None; from workflow_runtime.frontends.cli import main; main()"
    command = [AWR[0], "-c", program, "run", str(chain), "--backend", "moto", "--json"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS)
    assert done.returncode == 2
    assert "agent-workflow-runtime[moto]" in only_document(done.stdout)["error"]["hint"]


def test_any_script_survives_any_encoding(chain: Path) -> None:
    chain.write_text("workflow: {id: 链, nodes: [{id: 问候, type: tool, tool: echo, inputs: {x: 你好}}]}\n", "utf-8")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    code, stdout, _ = finished("run", chain, "--json", env=ascii_only)
    assert (code, only_document(stdout)["output"]) == (0, {"x": "你好"})
    code, stdout, _ = finished("run", chain, env=ascii_only)
    assert code == 0
    assert "\\u95ee" in stdout


def _on_a_terminal(*words: object, seen: bytes, then: Callable[[], object], env: dict[str, str] | None = None) -> str:
    """Everything that `awr` shows on an 80-column terminal; ``then`` is called once it has shown ``seen``."""
    leader, follower = pty.openpty()
    size = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*AWR, *map(str, words)], env=environment({**size, **(env or {})}), stdout=follower, stderr=follower
    )
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
            if seen in shown:
                then()
    except OSError:  # Linux says so when the other side has closed
        pass
    assert process.wait(timeout=DEADLINE_SECONDS) == 0
    os.close(leader)
    return shown.decode()


WAITING_TOOLS = """
import time
from pathlib import Path
from workflow_runtime.sdk import tool

@tool(description="returns once the table has been seen")
def wait_for_it() -> None:
    while not Path("seen").exists():
        time.sleep(0.01)
"""


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_shows_a_moving_table_and_then_the_summary(chain: Path, tmp_path: Path, no_color: bool) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "waiting.py").write_text(WAITING_TOOLS, "utf-8")
    agent = 'type: agent, agent: thinker, inputs: {n: "${a.n}"}'
    source = chain.read_text("utf-8").replace(agent, "type: tool, tool: wait_for_it, dependencies: [a]")
    chain.write_text(source.replace('"${b.answer}"', '"${b}"'), "utf-8")
    environ = {"NO_COLOR": "1"} if no_color else None
    shown = _on_a_terminal("run", chain, seen=b"running", then=(tmp_path / "seen").touch, env=environ)
    assert "of 3 nodes" in shown
    assert "running" in shown
    assert bool(re.search(r"\x1b\[[\d;]*3[0-7]m", shown)) is not no_color
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown))  # each as often as it was drawn
    assert any("completed in" in line for line in lines)
    assert max(len(line) for line in lines if not line.startswith("chain")) <= 80


def test_whoever_stops_reading_is_not_answered_with_a_traceback() -> None:
    drawing = " ".join(
        (*(f"'{word}'" for word in AWR), "graph", f"'{PROJECT}/definitions/workflows/customer_support.yaml'")
    )
    done = subprocess.run(
        ["sh", "-c", f"{drawing} | true"], env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr


def _only_execution(database: Path) -> str:
    import sqlite3

    connection = sqlite3.connect(database)
    try:
        [(partition,)] = connection.execute("SELECT partition FROM items WHERE sort = 'HEADER'")
    finally:
        connection.close()
    return str(partition).removeprefix("EX#")


def in_shell(streams: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = f"{shlex.join(map(str, [*AWR, *words]))} {streams}"
    return subprocess.run(
        command, shell=True, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_lead_nowhere(awr: Awr, chain: Path, mocks: Callable[..., Path], closed: str) -> None:
    words = [*AWR, "run", chain, "--mocks", mocks(), "--db", "runs.db", "--input", '{"n": 1}']
    command = f"{shlex.join(map(str, words))} {closed}"
    done = subprocess.run(
        command, shell=True, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    listed = awr("list", "chain", "--db", "runs.db")
    assert listed.exit_code == 0
    assert "completed" in listed.stdout


def test_input_that_is_read_from_a_closed_stdin_is_empty(chain: Path) -> None:
    command = f"{shlex.join(map(str, [*AWR, 'run', chain, '--input', '@-']))} <&-"
    done = subprocess.run(
        command, shell=True, env=environment(), capture_output=True, text=True, timeout=DEADLINE_SECONDS
    )
    assert done.returncode == 1
    assert "the input is not valid JSON" in done.stderr
