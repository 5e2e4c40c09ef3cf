"""`http_request` on this machine: the settings and `--allow-http` open hosts that are not public."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Path]:
    """A workflow that asks a server on this machine."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    path = tmp_path / "flow.yaml"
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    path.write_text(
        f"workflow: {{id: w, nodes: [{{id: a, type: tool, tool: http_request, inputs: {{url: '{url}'}}}}],"
        ' outputs: {body: "${a.body}"}}'
    )
    yield path
    server.shutdown()
    server.server_close()


def test_a_private_host_is_refused_with_what_opens_it(awr: Awr, flow: Path) -> None:
    done = awr("run", flow, "--json")
    assert done.exit_code == 3
    error = only_document(done.stdout)["error"]
    assert error["type"] == "not_allowed"
    assert "TOOLS_HTTP_ALLOW" in error["message"]
    assert "--allow-http HOST" in error["message"]


def test_the_option_opens_a_host(awr: Awr, flow: Path) -> None:
    done = awr("run", flow, "--json", "--allow-http", "127.0.0.1")
    assert only_document(done.stdout)["output"] == {"body": "here"}


def test_the_setting_opens_a_host(awr: Awr, flow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLS_HTTP_ALLOW", "127.0.0.0/8")
    assert only_document(awr("run", flow, "--json").stdout)["output"] == {"body": "here"}


def test_what_is_no_host_is_told_before_anything_runs(awr: Awr, flow: Path) -> None:
    done = awr("run", flow, "--allow-http", "http://127.0.0.1:80/")
    assert done.exit_code == 1
    assert "is not a host, address or network" in done.stderr
