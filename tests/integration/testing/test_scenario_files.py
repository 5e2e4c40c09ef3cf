"""Scenario files as pytest collects them, and what a failed one says."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

WORKFLOW = """
workflow:
  id: small
  nodes:
    - {id: ask, type: agent, agent: asker}
    - {id: tell, type: tool, tool: echo, inputs: {text: "${ask.answer}"}}
  outputs: {text: "${tell.text}"}
"""
HEAD = "workflow: ../small.yaml\nmocks: {agents: {asker: {return: {answer: 好}}}}\n"


def run(pytester: pytest.Pytester, scenario: str) -> pytest.RunResult:
    (pytester.path / "small.yaml").write_text(WORKFLOW)
    folder = pytester.path / "scenarios"
    folder.mkdir()
    (folder / "one.yaml").write_text(scenario)
    return pytester.runpytest_inprocess("-p", "workflow_runtime.testing.plugin", "-p", "no:schemathesis", "-v")


def test_scenarios_are_collected_by_name_and_pass(pytester: pytest.Pytester) -> None:
    result = run(pytester, HEAD + "scenarios:\n  - {name: 好的, expect: {path: [ask, tell], output: {text: 好}}}\n")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*one.yaml::*PASSED*"])


def test_a_file_may_be_one_scenario(pytester: pytest.Pytester) -> None:
    result = run(pytester, HEAD + "expect: {events: [execution.started, execution.completed]}\n")
    result.assert_outcomes(passed=1)


def test_a_failed_scenario_tells_everything_that_is_not_as_expected(pytester: pytest.Pytester) -> None:
    expect = "expect: {status: failed, output: {text: 坏}, path: [tell], nodes: {ask: {attempts: 2}}}\n"
    result = run(pytester, HEAD + "fail: [{node: http_request}]\n" + expect)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "scenario 'one' (*one.yaml:1)",
            "- expected the execution to be failed, it is completed",
            "- other nodes ran",
            "  expected: tell",
            "  ran:      ask → tell",
            "- the output differs",
            '  $.text: expected "坏", is "好"',
            "- node 'ask' differs",
            "  ask.attempts: expected 2, is 1",
            "- `fail` names 'http_request', and no agent or tool node of that name ran",
            "execution ex-* of 'small': completed",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exspect: {}\n", "*one.yaml:3:*: unknown key 'exspect'. Did you mean `expect`?"),
        ("expect: {pfad: []}\n", "*one.yaml:3:*: unknown key 'pfad'*"),
        ("expect: {status: [a]}\n", "*one.yaml:1:*: Expected `str`, got `array` - at `$.expect.status`"),
        ("scenarios: []\n", "*one.yaml:3:*: `scenarios` is a list of at least one scenario"),
        ("a: [\n", "*one.yaml:4:1: * not valid YAML*"),
    ],
)
def test_a_file_that_is_wrong_is_an_error_with_its_place(pytester: pytest.Pytester, text: str, message: str) -> None:
    result = run(pytester, HEAD + text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([message])


def test_a_workflow_that_is_wrong_or_missing_is_told_without_a_traceback(pytester: pytest.Pytester) -> None:
    result = run(pytester, "workflow: ../none.yaml\nexpect: {}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*No such file*none.yaml*"])


def test_other_yaml_files_are_left_alone(pytester: pytest.Pytester) -> None:
    (pytester.path / "config.yaml").write_text("a: [")
    pytester.makeini("[pytest]\nworkflow_scenarios =\n")
    assert run(pytester, "nonsense: 1\n").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_the_fixture_is_there_for_tests_in_python(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        def test_it(runtime):
            runtime.mock_agent("asker", {"answer": "x"})
            runtime.run("small.yaml").assert_output({"text": "y"})
        """
    )
    (pytester.path / "small.yaml").write_text(WORKFLOW)
    result = pytester.runpytest_inprocess("-p", "workflow_runtime.testing.plugin", "-p", "no:schemathesis")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*the output differs", 'E*$.text: expected "y", is "x"'])
    result.stdout.no_fnmatch_line("*result.py:*")


@pytest.mark.parametrize(
    "text",
    [
        "workflow:\n  id: w\n",
        "workflow: {id: w, nodes: []}\n",
        "# c\nagents:\n  a: {return: 1}\n",
        "tools: {}\n",
        "id: a\nmodel: m\n",
    ],
)
def test_workflows_agents_tools_and_mocks_beside_scenarios_are_no_tests(pytester: pytest.Pytester, text: str) -> None:
    (pytester.mkdir("scenarios") / "other.yaml").write_text(text)
    pytester.runpytest_inprocess().assert_outcomes()


def test_two_scenarios_of_one_name_are_an_error(pytester: pytest.Pytester) -> None:
    result = run(pytester, HEAD + "scenarios:\n  - {name: caf\u00e9, expect: {}}\n  - {name: cafe\u0301, expect: {}}\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*one.yaml:5:*: the scenario of line 4 has the same name, *"])


def test_a_scenario_that_mocks_what_does_not_exist_fails_with_the_likely_name(pytester: pytest.Pytester) -> None:
    head = "workflow: ../small.yaml\nmocks: {agents: {asker: {return: {answer: 好}}, askr: {return: 1}}}\n"
    result = run(pytester, head + "fail: [{node: tel}]\nexpect: {}\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*`tel`*", "*Did you mean `tell`?*", "*the agent `askr`*", "*Did you mean `asker`?*"])
