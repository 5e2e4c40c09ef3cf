"""Canaries: secrets of every shape go through formulas, tools, agents and errors; nothing that is written has them.

The workflow derives from secrets in every way that authors do, and its tools give back, change and raise what they get.
Then all that the command line prints is searched, and all that the database file holds.
"""

import json
import re
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests import model_server
from tests.integration.cli.conftest import Awr

SECRETS = {
    "TOKEN": "Canary1-ghp/Zq3vXw+91 LmT8",
    "LONGER": "Canary1-ghp/Zq3vXw+91 LmT8-and-CanaryRest",
    "DATABASE": (
        '{"user": "svc", "password": "Canary2-pässword", "port": 482130917260354, "nested": [{"pin": "Canary3-pin"}]}'
    ),
    "PIN": "739104625830917",
    "URL": "postgres://svc:Canary4-pa55@db.internal:5432/app",
    "PEM": "-----BEGIN KEY-----\nCanary5MIIEowIBAAKCAQEA\n-----END KEY-----\n",
}
LOOKED_FOR = (
    r"canary",
    r"zq3vxw",
    r"739104625830917|482130917260354",  # so long that no id, time or fraction has them by chance
    b"Canary".hex(),
    r"Q2FuYXJ5|NhbmFye|DYW5hcn",  # base64 of "Canary", wherever it begins
    r"yranac",
)

TOOLS = """
from urllib.parse import quote
from workflow_runtime.sdk import NodeContext, tool

@tool(description="Gives back what it got, as other systems write it.")
def written(key: str, context: NodeContext) -> dict:
    context.warn(f"deprecated key {key}")
    return {"url": "https://example.com/?q=" + quote(key), "quoted": repr({"k": key}), "low": key.lower(), key: "name"}

@tool(description="Raises with what it got.")
def raising(key: str) -> dict:
    print("starting")
    raise ValueError(f"no such key: {key}, nor {key.upper()}, nor {key[:20]}")

@tool(description="Takes a number.")
def typed(count: int) -> int:
    return count
"""

INPUTS = {
    "plain": "${secrets.TOKEN}",
    "in_text": "Bearer ${secrets.TOKEN}",
    "upper": "${upper(secrets.TOKEN)}",
    "cut": "${slice(secrets.TOKEN, 0, 12)}",
    "parts": "${split(secrets.TOKEN, '/')}",
    "encoded": "${url_encode(secrets.TOKEN)}",
    "basic": "Basic ${base64_encode('svc:' + secrets.TOKEN)}",
    "reversed": "${reverse(secrets.TOKEN)}",
    "longer": "${secrets.LONGER}",
    "parsed": "${parse_json(secrets.DATABASE)}",
    "password": "${parse_json(secrets.DATABASE).password}",
    "pin": "${number(secrets.PIN)}",
    "url": "${secrets.URL}",
    "pem": "${secrets.PEM}",
}
FAILING = {
    "number": 'tool: echo, inputs: {x: "${number(secrets.TOKEN)}"}',
    "time": 'tool: echo, inputs: {x: "${parse_time(secrets.TOKEN)}"}',
    "pattern": 'tool: echo, inputs: {x: "${parse_time(secrets.TOKEN, secrets.LONGER)}"}',
    "duration": 'tool: echo, inputs: {x: "${add_time(now, secrets.TOKEN)}"}',
    "raising": 'tool: raising, inputs: {key: "${secrets.TOKEN}"}',
    "typed": 'tool: typed, inputs: {count: "${secrets.LONGER}"}',
    "address": 'tool: http_request, inputs: {url: "${secrets.URL}"}',
    "refused": 'tool: http_request, inputs: {url: "http://127.0.0.1:9/${url_encode(secrets.TOKEN)}"}',
    "header": 'tool: http_request, inputs: {url: "https://example.invalid/", headers: {x: "${secrets.PEM}"}}',
    "mail": 'tool: send_email, inputs: {to: "${secrets.TOKEN}", subject: x, body: x}',
    "lambda": 'tool: lambda_invoke, inputs: {function: "${secrets.TOKEN}", payload: {}}',
    "query": 'tool: database_query, inputs: {sql: "${secrets.TOKEN}", secret_arn: "${secrets.PEM}"}',
    "event": 'tool: publish_event, inputs: {topic: "${secrets.LONGER}", detail: "${secrets.TOKEN}"}',
}


def found_in(text: str) -> list[str]:
    return [form for form in LOOKED_FOR if re.search(form, text, re.IGNORECASE if form.islower() else 0)]


def stored(database: Path) -> Iterator[str]:
    """Every value in the file, unpacked."""
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    data = value if isinstance(value, bytes) else str(value).encode()
                    yield data.decode("utf-8", "replace")
                    for at in range(len(data) - 1):
                        if data[at] & 15 == 8 and int.from_bytes(data[at : at + 2]) % 31 == 0:  # a header of zlib
                            with suppress(zlib.error):
                                yield zlib.decompressobj().decompress(data[at:]).decode("utf-8", "replace")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in SECRETS.items():
        monkeypatch.setenv(f"WORKFLOW_SECRET_{name}", value)
    (tmp_path / "definitions" / "workflows").mkdir(parents=True)
    (tmp_path / "definitions" / "tools").mkdir()
    (tmp_path / "definitions" / "agents").mkdir()
    (tmp_path / "definitions" / "agents" / "mine.yaml").write_text("agents: [{id: helper, model: test}]\n", "utf-8")
    (tmp_path / "definitions" / "tools" / "mine.py").write_text(TOOLS, "utf-8")
    return tmp_path


def written(project: Path, nodes: str, name: str = "leaky") -> Path:
    path = project / "definitions" / "workflows" / f"{name}.yaml"
    path.write_text(f"workflow:\n  id: {name}\n  nodes:\n{nodes}", "utf-8")
    return path


def test_what_succeeds_leaves_no_secret_in_output_or_database(awr: Awr, project: Path) -> None:
    nodes = (
        f"    - {{id: echoed, type: tool, tool: echo, inputs: {json.dumps(INPUTS)}}}\n"
        '    - {id: written, type: tool, tool: written, inputs: {key: "${secrets.TOKEN}"}}\n'
        '    - {id: asked, type: agent, agent: helper, inputs: {key: "${secrets.TOKEN}", pem: "${secrets.PEM}"}}\n'
        "    - id: shaped\n      type: tool\n      tool: echo\n"
        '      inputs: {key: "${secrets.TOKEN}", pin: "${secrets.PIN}", other: ok}\n'
        "      outputs:\n"
        '        hash: "${reverse(inputs.key)}"\n'
        '        cut: "${slice(output.key, 0, 12)}"\n'
        '        pin: "${number(inputs.pin)}"\n'
        '        same: "${inputs.key == output.key}"\n'
        '        length: "${len(inputs.key)}"\n'
        '        other: "${inputs.other}"\n'
    )
    path = written(project, nodes)
    run = awr("run", path, "--db", "x.db", "--json", "--verbose")
    assert run.exit_code == 0, run.output
    document = json.loads(run.stdout)
    shaped = document["node_executions"]["shaped"]["output"]
    assert (shaped["same"], shaped["length"], shaped["other"]) == (True, len(SECRETS["TOKEN"]), "ok")
    assert document["node_executions"]["echoed"]["output"]["in_text"] == "Bearer ***"
    assert document["node_executions"]["echoed"]["output"]["parsed"]["nested"] == [{"pin": "***"}]
    texts = {"stdout": run.stdout, "stderr": run.stderr, "graph": awr("graph", path).output}
    texts |= {f"database {place}": text for place, text in enumerate(stored(project / "x.db"))}
    assert len(texts) > 50
    assert {place: found_in(text) for place, text in texts.items() if found_in(text)} == {}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_leaves_no_secret_in_errors_traces_or_database(awr: Awr, project: Path, name: str) -> None:
    path = written(project, f"    - {{id: bad, type: tool, {FAILING[name]}}}\n")
    run = awr("run", path, "--db", "x.db", "--verbose")
    assert run.exit_code != 0
    assert "bad" in run.output
    texts = {"stdout": run.stdout, "stderr": run.stderr}
    texts |= {f"database {place}": text for place, text in enumerate(stored(project / "x.db"))}
    assert {place: found_in(text) for place, text in texts.items() if found_in(text)} == {}


def test_more_secret_values_than_can_be_hidden_are_not_used(
    awr: Awr, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = json.dumps([f"Canary-value-{number}" for number in range(1001)])
    monkeypatch.setenv("WORKFLOW_SECRET_MANY", many)
    path = written(project, '    - {id: a, type: tool, tool: echo, inputs: {x: "${parse_json(secrets.MANY)}"}}\n')
    run = awr("run", path, "--db", "x.db")
    assert "execution_error: inputs: more than 1,000 values are made of secrets" in run.output
    assert [text for text in (run.output, *stored(project / "x.db")) if found_in(text)] == []


def test_the_search_finds_what_is_not_hidden(awr: Awr, project: Path) -> None:
    """Else the other tests could not fail."""
    path = written(project, '    - {id: a, type: tool, tool: echo, inputs: {x: "${x}"}}\n')
    run = awr("run", path, "--db", "x.db", "--json", "-i", json.dumps({"x": SECRETS["TOKEN"] * 40}))
    assert run.exit_code == 0
    assert found_in(run.stdout)
    assert sum(bool(found_in(text)) for text in stored(project / "x.db")) >= 2


def test_a_server_that_gives_back_an_agents_key_leaves_no_secret(awr: Awr, project: Path) -> None:
    with model_server.serving() as server:
        agent = f"{{id: asker, model: 'openai:m', base_url: '{server.url}', credentials: '${{secrets.TOKEN}}'}}"
        (project / "definitions" / "agents" / "asker.yaml").write_text(agent, "utf-8")
        path = written(project, "    - {id: ask, type: agent, agent: asker}\n")
        server.answer(lambda _: model_server.text(f"your key is {server.keys[-1]}"))
        answered = awr("run", path, "--db", "y.db", "--json", "--verbose")
        server.answer(lambda _: model_server.error(401, f"wrong key {server.keys[-1]}"))
        refused = awr("run", path, "--db", "y.db", "--json", "--verbose")
    assert server.keys[0] == SECRETS["TOKEN"]
    assert "your key is ***" in answered.stdout
    assert "refused the credentials" in refused.stdout
    for run in (answered, refused):
        assert not found_in(run.stdout + run.stderr)
    for text in stored(project / "y.db"):
        assert not found_in(text)
