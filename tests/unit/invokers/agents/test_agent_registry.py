"""Agents' files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.agents import AgentDefinition, AgentRegistry


def load(tmp_path: Path, **files: str) -> AgentRegistry:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return AgentRegistry.load(tmp_path)


def test_a_file_holds_one_agent_or_a_list_of_them(tmp_path: Path) -> None:
    registry = load(
        tmp_path,
        one="id: 意图\nmodel: openai:gpt-5\ninstructions: 判断意图\nmetadata: {任意: [1]}\n",
        more="agents:\n- {id: a, model: test}\n- {id: b, model: 'bedrock:x.y-v1:0', settings: {temperature: 0}}\n",
        empty="# nothing yet\n",
    )
    assert registry.ids == {"意图", "a", "b"}
    agent = registry.get("b")
    assert agent is not None
    assert agent.settings.for_model() == {"temperature": 0}
    assert registry.get("c") is None


def test_no_directory_has_no_agents(tmp_path: Path) -> None:
    assert AgentRegistry.load(tmp_path / "nowhere").ids == frozenset()


def test_files_are_read_at_first_use(tmp_path: Path) -> None:
    registry = AgentRegistry.load(tmp_path)
    (tmp_path / "a.yaml").write_text("id: a\nmodel: test\n")
    assert registry.ids == {"a"}
    (tmp_path / "a.yaml").write_text("{")
    assert registry.get("a") is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id: a\nmodel: test\ninstruction: x\n", "a.yaml:3:1: error WF603: unknown key 'instruction'"),
        ("id: a\nmodel: test\ninstruction: x\n", "Did you mean `instructions`?"),
        ("id: a\n", "`model`: is required"),
        ("id: a\nmodel: gpt-5\n", "`model`: a model is `provider:name`, for example `openai:gpt-5`, or `test`"),
        ("id: a\nmodel: 7\n", "`model`: a model is `provider:name`"),
        ("id: a\nmodel: test\nmodels: [test]\n", "an agent has `model` or `models`, not both"),
        ("id: a\nmodel: [test]\n", "`model` is one model; a list of them is `models`"),
        ("id: a\nmodels: []\n", "an agent has 1 to 8 models"),
        ("id: a\nmodels: ['openai:x', 'openai:x']\n", "'openai:x' is listed twice"),
        ("id: a\nmodels: ['openai:x', {mdel: y}]\n", "a.yaml:2:23: error WF603: unknown key 'mdel'"),
        ("id: a\nmodels: ['openai:x', 'groq:y']\nfallback_on: [timeouts]\n", "`fallback_on`: must be"),
        ("id: a\nmodels: ['openai:x', 'groq:y']\nfallback_on: []\n", "`fallback_on` says after what"),
        ("id: a\nmodel: 'openai:x'\nfallback_on: [timeout]\n", "`fallback_on` says after what"),
        ("id: a\nmodel: 'openai:x'\nbase_url: 'ftp://x'\n", "`base_url`: a URL with http or https is needed"),
        ("id: a\nmodel: 'openai:x'\nbase_url: 'http://u:p@x'\n", "a URL holds no credentials"),
        ("id: a\nmodel: 'openai:x'\nbase_url: 'http://x:port'\n", "this is not a URL"),
        ("id: a\nmodel: 'openai:x'\nbase_url: 'http://x/?k=v'\n", "has no `?` and no `#`"),
        ("id: a\nmodel: 'groq:x'\nbase_url: 'http://x'\n", "is `openai:NAME`, not `groq:x`"),
        ("id: a\nmodel: 'openai:x'\ncredentials: sk-1\n", "`credentials`: credentials are named, not written down"),
        ("id: a\nmodel: 'bedrock:x'\ncredentials: '${secrets.K}'\n", "signed by the credentials of AWS"),
        ("id: a\nmodels: ['openai:x', 'groq:y']\ncredentials: '${secrets.K}'\n", "would go to several providers"),
        ("id: a\nmodel: 'openai:x'\ncache: 2m\n", "`cache`: must be '5m' or '1h'"),
        ("id: a\nmodel: test\nsettings: {temperatur: 1}\n", "Did you mean `temperature`?"),
        ("id: a\nmodel: test\nsettings: {temperature: hot}\n", "`temperature`"),
        ("id: a\nmodel: test\nsettings: {max_tokens: 0}\n", "`max_tokens`"),
        ("id: a\nmodel: test\nlimits: {token: 1}\n", "unknown key 'token'"),
        ("id: a\nmodel: test\noutput_schema: {type: objct}\n", "not a valid JSON Schema"),
        ("id: a\nmodel: test\noutput_schema: {$ref: 'http://127.0.0.1/x'}\n", "may not refer to another document"),
        ("id: a\nmodel: test\noutput_schema: {$dynamicRef: '#x'}\n", "a.yaml:3:16: error WF602"),
        ("agents:\n- {id: a, model: test}\n- {id: a, model: test}\n", "a.yaml:3:8: error WF604: the id 'a' is taken"),
        ("agents: {}\n", "must be a list"),
        ("agents: []\nagent: 1\n", "unknown key 'agent' beside `agents`"),
        ("id: ${x}\nmodel: test\n", "`id`"),
        ("id: [\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_says_what_and_where(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        _ = load(tmp_path, a=text).ids
    assert expected in str(caught.value)


def test_all_problems_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        _ = load(tmp_path, a="id: a\nfoo: 1\n", b="id: [", c="id: c\nmodel: 1\n").ids
    assert {Path(finding.file).name for finding in caught.value.findings} == {"a.yaml", "b.yaml", "c.yaml"}
    assert len(caught.value.findings) == 4


def test_a_providers_own_settings_pass(tmp_path: Path) -> None:
    registry = load(tmp_path, a="id: a\nmodel: test\nsettings: {anthropic_thinking: {type: enabled}, top_p: 0.5}\n")
    agent = registry.get("a")
    assert agent is not None
    assert agent.settings.for_model() == {"anthropic_thinking": {"type": "enabled"}, "top_p": 0.5}


def test_a_limiter_is_one_name_or_a_list_of_names(tmp_path: Path) -> None:
    registry = load(
        tmp_path, a="agents:\n- {id: a, model: test, limiter: x}\n- {id: b, model: test, limiter: [x, y]}\n"
    )
    assert [agent.limiter for id in "ab" if (agent := registry.get(id))] == [("x",), ("x", "y")]


def test_a_definition_is_read_again_from_what_it_says(tmp_path: Path) -> None:
    registry = load(
        tmp_path,
        a="id: a\nmodels: ['openai:x', {model: 'openai:y', base_url: 'http://y'}]\ncredentials: '${secrets.K}'\n",
    )
    agent = registry.get("a")
    assert agent is not None
    said = agent.model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert AgentDefinition.model_validate(said) == agent
    assert [(choice.model, choice.base_url, choice.secret) for choice in agent.choices] == [
        ("openai:x", None, "K"),
        ("openai:y", "http://y", "K"),
    ]


def test_agents_that_call_one_another_in_a_circle_are_refused(tmp_path: Path) -> None:
    agents = {
        "a": {"guardrails": {"output": [{"check": {"agent": "b"}}]}},
        "b": {"guardrails": {"input": [{"check": {"agent": "c"}}]}},
        "c": {"guardrails": {"output": [{"check": {"agent": "a"}}]}},
    }
    files = {id: json.dumps({"id": id, "model": "test", **fields}) for id, fields in agents.items()}
    with pytest.raises(DefinitionError) as caught:
        _ = load(tmp_path, **files).ids
    (finding,) = caught.value.findings
    assert finding.id == "WF610"
    assert finding.path.startswith("guardrails.")
    called = finding.message.partition(": ")[2].split(" calls ")
    assert called in (["'a'", "'b'", "'c'", "'a'"], ["'b'", "'c'", "'a'", "'b'"], ["'c'", "'a'", "'b'", "'c'"])
