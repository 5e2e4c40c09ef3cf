"""What the compiler says of limits, and what becomes of them in a plan."""

from __future__ import annotations

import pytest

from workflow_runtime.compiler import compile_or_raise, compile_workflow
from workflow_runtime.plan.catalogue import Catalogue, CatalogueEntry
from workflow_runtime.plan.limiters import Budget, Limiter, Rate
from workflow_runtime.plan.tokens import Characters

SHARED = Catalogue(
    agents={
        "a": CatalogueEntry(id="a", models=("openai:x",), output_tokens=5_000),
        "dear": CatalogueEntry(id="dear", models=("openai:gpt-4o", "openai:gpt-4o-mini"), output_tokens=10_000),
        "own": CatalogueEntry(id="own", models=("openai:gpt-4o",), models_elsewhere=("openai:gpt-4o",)),
        "free": CatalogueEntry(id="free", models=("test",)),
        "typo": CatalogueEntry(id="typo", models=("test",), named_limiters=("openai", "opnai")),
        "wordy": CatalogueEntry(
            id="wordy",
            models=("openai:gpt-4o",),
            output_tokens=100,
            limiters=("wordy",),
            named_limiters=("wordy",),
            instructions=Characters(plain=2_700),
            offers=(("tool", "big"), ("workflow_id", "unknown"), ("mcp", "m")),
        ),
    },
    tools={"big": CatalogueEntry(id="big", description="x" * 300, input_schema={"type": "object"})},
    limiters={
        "openai": Limiter(requests=Rate(60, 60_000)),
        "tokens": Limiter(tokens=Rate(1_000, 60_000)),
        "wordy": Limiter(budget=Budget(micros=2_000, window_ms=86_400_000)),
        "poor": Limiter(budget=Budget(micros=1_000_000, window_ms=86_400_000, on_exceeded="degrade")),
    },
)


def found(body: str, catalogue: Catalogue | None = SHARED) -> list[tuple[str, int]]:
    """Findings about limits: id and line."""
    findings = compile_workflow(f"workflow:\n  id: w\n{body}", catalogue=catalogue).findings
    return [(one.id, one.line) for one in findings if one.id not in ("WF417", "WF418")]


AGENT = "  nodes: [{id: a, type: agent, agent: a, %s}]\n"
DEAR = "  nodes: [{id: a, type: agent, agent: %s}]\n"
NODE = "  nodes: [{id: a, type: tool, tool: t, %s}]\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (NODE % "limiter: openai", []),
        (NODE % "limiter: opnai", [("WF442", 3)]),
        (DEAR % "typo", [("WF442", 3)]),
        ("  limiter: nobody\n" + NODE % "when: 'true'", [("WF442", 3)]),
        ("  limits: {openai: {concurrency: 1}}\n" + NODE % "limiter: openai", [("WF443", 3)]),
        ("  limits: {mine: {concurrency: 1}}\n" + NODE % "limiter: mine", []),
        ("  limits: {mine: {concurrency: 1}}\n" + NODE % "limiter: openai", [("WF448", 3)]),
        ("  limits: {mine: {concurrency: 1}}\n" + NODE % "limiter: openai, tol: x", [("WF201", 4)]),
        ("  limits: {mine: {concurrency: 1}}\n  limiter: mine\n" + NODE % "when: 'true'", []),
        ("  limits: {mine: {concurrency: 1}}\n" + NODE % "compensate: {tool: t, limiter: mine}", []),
        (NODE % "limiter: openai, max_wait: 500ms", [("WF444", 3)]),
        (NODE % "limiter: openai, max_wait: 1s", []),
        (NODE % "limiter: [openai, openai]", [("WF209", 3)]),
        (NODE % "limiter: '${x}'", [("WF210", 3)]),
        ("  limits: {mine: {}}\n" + NODE % "limiter: mine", [("WF202", 3)]),
        ("  limits: {mine: {requests: 0/min}}\n" + NODE % "limiter: mine", [("WF224", 3)]),
        ("  limits: {mine: {requests: 5/fortnight}}\n" + NODE % "limiter: mine", [("WF224", 3)]),
        ("  limits: {mine: {concurrency: 1, horizon: 1h}}\n" + NODE % "limiter: mine", [("WF213", 3)]),
        ("  limits: {mine: {concurrency: 1, weight: 11}}\n" + NODE % "limiter: mine", [("WF213", 3)]),
        ("  limits: {mine: {concurrency: 1, key: '${a}'}}\n" + NODE % "limiter: mine", [("WF441", 3)]),
        ("  limits: {mine: {concurrency: 1, key: '${a'}}\n" + NODE % "limiter: mine", [("WF401", 3)]),
        ("  limits: {max_concurency: 2}\n" + NODE % "when: 'true'", [("WF201", 3)]),
        (NODE % "limiter: tokens, max_wait: 5s, cost: {tokens: 200}", [("WF444", 3)]),
        ("  budget: {}\n" + NODE % "when: 'true'", [("WF202", 3)]),
        ("  budget: {usd: 0}\n" + NODE % "when: 'true'", [("WF213", 3)]),
        ("  budget: {usd: '${x}'}\n" + NODE % "when: 'true'", [("WF211", 3)]),
        ("  budget: {tokens: 1.5x}\n" + NODE % "when: 'true'", [("WF203", 3)]),
        ("  budget: {tokens: 4k, on_exceeded: beg}\n" + NODE % "when: 'true'", [("WF205", 3)]),
        ("  limits: {m: {budget: {usd: 20}}}\n" + NODE % "limiter: m", [("WF224", 3)]),
        ("  limits: {m: {budget: {usd: 20/day, tokens: 5M/h}}}\n" + NODE % "limiter: m", [("WF216", 3)]),
        ("  limits: {m: {budget: {usd: 20/day, on_exceeded: ask}}}\n" + NODE % "limiter: m", [("WF205", 3)]),
        ("  budget: {tokens: 4k}\n" + AGENT % "when: 'true'", [("WF445", 4)]),
        ("  budget: {tokens: 4k, reserve: expected}\n" + AGENT % "when: 'true'", []),
        ("  budget: {usd: 4, on_exceeded: degrade}\n" + AGENT % "when: 'true'", [("WF446", 4), ("WF447", 4)]),
        (AGENT % "limiter: poor", [("WF446", 3), ("WF447", 3)]),
        ("  budget: {usd: 4, unknown_price: tokens}\n" + AGENT % "when: 'true'", []),
        ("  budget: {usd: 0.09}\n" + DEAR % "dear", [("WF445", 4)]),
        ("  budget: {usd: 0.10}\n" + DEAR % "dear", []),
        ("  budget: {usd: 0.09, reserve: expected}\n" + DEAR % "dear", []),
        ("  budget: {usd: 0.006, on_exceeded: degrade}\n" + DEAR % "dear", []),
        ("  budget: {usd: 0.005, on_exceeded: degrade}\n" + DEAR % "dear", [("WF445", 4)]),
        ("  limits: {m: {budget: {usd: 0.09/day}}}\n  limiter: m\n" + DEAR % "dear", [("WF445", 5)]),
        ("  budget: {usd: 9}\n" + DEAR % "own", [("WF447", 4)]),
        ("  budget: {usd: 9}\n" + DEAR % "free", []),
        (DEAR % "wordy", [("WF445", 3)]),
        ("  budget: {tokens: 1000}\n" + DEAR % "wordy", [("WF445", 4), ("WF445", 4)]),
        ("  tenant: '${nodes.a.status}'\n" + NODE % "when: 'true'", [("WF441", 3)]),
    ],
)
def test_what_is_wrong_with_limits_is_a_finding_on_its_line(body: str, expected: list[tuple[str, int]]) -> None:
    assert found(body) == expected


def test_what_is_known_of_a_request_counts_with_its_answer() -> None:
    """Nine hundred tokens of instructions, a hundred of what its tool is described as, and what the prompt says."""
    prompt = "你好" * 100 + " ${name}"
    head = "workflow:\n  id: w\n  budget: {usd: 0.005, tokens: 1300}\n"
    source = f"{head}  nodes: [{{id: a, type: agent, agent: wordy, prompt: '{prompt}', inputs: {{name: x}}}}]\n"
    messages = [one.message for one in compile_workflow(source, catalogue=SHARED).findings if one.id == "WF445"]
    known = -(-(2_700 + len('big{"type": "object"} ') + 300) // 3) + 300
    assert messages[0].startswith(f"a request of the agent `wordy` may cost $0.0043 ({known:,} tokens of input and 100")
    assert "of output), the budget is $0.002" in messages[0]
    assert messages[1].endswith(f"may have {known:,} tokens of input and 100 of output, the budget 1,300")
    assert len(messages) == 2


def test_nobody_knows_shared_limiters_without_a_catalogue() -> None:
    assert found(NODE % "limiter: whatever", None) == []


def test_a_workflow_s_own_limiters_have_its_name_before_theirs() -> None:
    limits = "{whole: {concurrency: 2}, m: {tokens: 2k/h, key: '${tenant}'}}"
    head = f"  limiter: whole\n  tenant: '${{who}}'\n  limits: {limits}\n"
    plan = compile_or_raise(f"workflow:\n  id: 限\n{head}{NODE % 'limiter: [m, openai], cost: {tokens: 7}'}")
    node = plan.root.nodes[0]
    assert (node.limiters, node.cost_tokens) == (("限/m", "openai"), 7)
    assert plan.limits.own == {
        "限/whole": Limiter(concurrency=2),
        "限/m": Limiter(tokens=Rate(2_000, 3_600_000), key="${tenant}"),
    }
    assert (plan.limits.executions, plan.limits.keys.keys()) == ("限/whole", {"限/m"})
    assert plan.limits.tenant is not None
