"""`awr agents publish | list | show | delete`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Awr, only_document
from tests.integration.dev.dev_process import DevProcess

PACKAGED = "{id: 审稿, model: test, output_schema: {type: object, properties: {score: {type: integer}}}}"
GRADES = """
id: 审稿
model: test
description: 打分
output_schema: {type: object, properties: {grade: {type: integer}}, additionalProperties: false}
"""
WORKFLOW = """
workflow:
  id: review
  nodes: [{id: a, type: agent, agent: 审稿, prompt: hello}]
  outputs: {score: "${a.score}"}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    for name, text in (("agents/packaged.yaml", PACKAGED), ("workflows/review.yaml", WORKFLOW)):
        (folder / "served" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "served" / name).write_text(text, "utf-8")
    with DevProcess(folder / "log", "--definitions", folder / "served") as process:
        yield process.url


@pytest.fixture
def dev(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWR_URL", server)


@pytest.mark.usefixtures("dev")
def test_agents_are_published_shown_and_deleted(awr: Awr, tmp_path: Path) -> None:
    assert awr("agents", "list").stdout == "审稿  packaged\n"
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "grades.yaml").write_text(GRADES, "utf-8")
    (tmp_path / "new" / "extra.yaml").write_text("{id: extra, model: test, instructions: x}", "utf-8")
    refused = awr("agents", "publish", "new")
    assert refused.exit_code == 1
    assert "`review`" in refused.stderr
    assert "published extra version 1" in refused.stdout
    published = awr("agents", "publish", "new", "--force")
    assert published.exit_code == 0, published.stderr
    assert published.stdout.splitlines() == [
        "published extra version 1  new/extra.yaml",
        "published 审稿 version 1, in the place of the packaged one  new/grades.yaml",
    ]
    assert awr("agents", "list").stdout.splitlines() == [
        "extra  version 1  published",
        "审稿  version 1  published, in the place of a packaged one",
    ]
    shown = awr("agents", "show", "审稿").stdout
    assert shown.startswith("审稿  打分  version 1  published\n    models: test\nreturns\n")
    assert only_document(awr("agents", "show", "审稿", "--json").stdout)["source"] == "published"
    assert awr("agents", "delete", "审稿").stdout == "deleted 审稿; the packaged one is in force again\n"
    assert awr("agents", "delete", "审稿").exit_code == 1


@pytest.mark.usefixtures("dev")
def test_nothing_is_published_unless_all_files_are_valid(awr: Awr, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("{id: good, model: test}", "utf-8")
    (tmp_path / "bad.yaml").write_text("id: bad\nmodel: test\ntools: [nobody]\n", "utf-8")
    refused = awr("agents", "publish", "good.yaml", "bad.yaml")
    assert refused.exit_code == 1
    assert "bad.yaml:3:" in refused.stderr
    assert "WF609" in refused.stderr
    assert "good" not in awr("agents", "list").stdout


@pytest.mark.usefixtures("dev")
def test_agents_that_call_one_another_are_published_together(awr: Awr, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{id: caller, model: test, tools: [{agent: helper}]}", "utf-8")
    (tmp_path / "b.yaml").write_text("{id: helper, model: test, tools: [{agent: 审稿}]}", "utf-8")
    assert awr("agents", "publish", "a.yaml").exit_code == 1
    published = awr("agents", "publish", "a.yaml", "b.yaml")
    assert published.exit_code == 0, published.stderr
    assert [line.split()[1] for line in published.stdout.splitlines()] == ["helper", "caller"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("publish",), "publish needs a file"),
        (("show",), "show needs one agent"),
        (("delete", "a", "b"), "delete needs one agent"),
        (("list", "a"), "list takes no names"),
        (("list", "--force"), "--force is for publish and delete"),
        (("a", "b"), "awr agents takes one agent"),
        (("publish", "nowhere.yaml"), "nowhere.yaml"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_before_anything_is_asked(awr: Awr, words: tuple[str, ...], said: str) -> None:
    done = awr("agents", *words)
    assert done.exit_code == 2
    assert said in done.stderr
