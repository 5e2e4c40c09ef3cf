"""`awr dev` and `awr serve` as processes of their own, for tests and for the load script."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType

FUNCTIONS = Path(__file__).parents[3] / "functions"
DEADLINE_SECONDS = 120  # far beyond what anything takes, so that a hang fails instead of blocking


DEV = ("-m", "workflow_runtime.frontends.dev")
SERVE = ("-c", "from workflow_runtime.frontends.cli import main; main()", "serve")


def refused(*arguments: str | Path, program: tuple[str, ...] = DEV) -> str:
    """What a process that cannot start says."""
    ended = subprocess.run(
        [sys.executable, *program, *map(str, arguments)],
        env={"PYTHONPATH": str(FUNCTIONS)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


class DevProcess:
    """Started at once; ``url`` is known when it listens. What it logs is in ``log`` (a file)."""

    def __init__(self, log: Path, *arguments: str | Path, program: tuple[str, ...] = DEV) -> None:
        self.log = log
        self._process = subprocess.Popen(
            [sys.executable, "-u", *program, "--port", "0", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(FUNCTIONS)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self._listening()

    def _listening(self) -> str:
        assert self._process.stderr is not None
        seen = []
        for line in self._process.stderr:
            seen.append(line)
            if found := re.search(r'listening on ([^\s"]+)', line):
                self._copy(seen)
                return found.group(1)
        raise AssertionError("it ended before it listened:\n" + "".join(seen))

    def _copy(self, seen: list[str]) -> None:
        """Keep the pipe empty: a process whose log nobody reads stands still."""
        import threading

        def copy() -> None:
            assert self._process.stderr is not None
            with self.log.open("a", buffering=1) as file:
                file.writelines(seen)
                file.writelines(self._process.stderr)

        self._copier = threading.Thread(target=copy, daemon=True)
        self._copier.start()

    def kill(self) -> None:
        """As ``kill -9``."""
        self._process.kill()
        self._process.wait()
        self._copier.join()

    @property
    def resident_mb(self) -> int:
        """Its memory, where Linux tells."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    @property
    def cpu_seconds(self) -> float:
        """What it has used of processors, where Linux tells."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def hang_up(self) -> None:
        """Ask it to read everything again."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """As a supervisor does; the exit code."""
        return self._ended_by(signal.SIGTERM)

    def interrupt(self) -> int:
        """As Ctrl-C; the exit code."""
        return self._ended_by(signal.SIGINT)

    def _ended_by(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        code = self._process.wait(DEADLINE_SECONDS)
        self._copier.join()
        return code

    def __enter__(self) -> DevProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.kill()
