"""A real Prometheus: Debian's package, unpacked into `.e2e/` (nothing is installed), watching one server."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

PLACE = Path(__file__).parents[2] / ".e2e" / "prometheus"
PACKAGE = "prometheus"
PROGRAMS = ("prometheus", "promtool")
START_SECONDS = 120.0
SCRAPE_SECONDS = 1


class Unavailable(Exception):
    """There is no Prometheus, and none can be had."""


def programs() -> dict[str, Path]:
    """Where the two programs are. Raises `Unavailable`."""
    found = {name: shutil.which(name) for name in PROGRAMS}
    if all(found.values()):
        return {name: Path(str(path)) for name, path in found.items()}
    unpacked = {name: PLACE / "usr" / "bin" / name for name in PROGRAMS}
    if not all(path.exists() for path in unpacked.values()):
        _unpack()
    return unpacked


def _unpack() -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(["apt-get", "download", PACKAGE], cwd=PLACE, check=True, capture_output=True, timeout=120)
        [package, *_] = sorted(PLACE.glob(f"{PACKAGE}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, PLACE], check=True, capture_output=True, timeout=120)
        package.unlink()
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Unavailable(f"Debian's package cannot be downloaded: {error}") from error


class Prometheus:
    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, text: str) -> list[dict[str, Any]]:
        """The series that an instant query gives. Raises `AssertionError` for one that Prometheus refuses."""
        answer = httpx.get(f"{self._url}/api/v1/query", params={"query": text}, timeout=START_SECONDS).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result


@contextmanager
def watching(url: str, token: str, folder: Path, rules: Path, port: int) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the server at ``url`` every second."""
    config = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {
                "job_name": "awr",
                "authorization": {"credentials": token},
                "static_configs": [{"targets": [url.removeprefix("http://")]}],
            }
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(config))
    arguments = [
        str(programs()["prometheus"]),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "prometheus.log").open("w") as log, subprocess.Popen(arguments, stdout=log, stderr=log) as process:
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_ready(address)
            yield Prometheus(address)
        finally:
            process.terminate()


def _wait_ready(url: str) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            if httpx.get(f"{url}/-/ready", timeout=START_SECONDS).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("Prometheus did not start")
