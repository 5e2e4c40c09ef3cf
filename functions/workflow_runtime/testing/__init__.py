"""The test kit: run workflows in tests, with mocked agents, injected failures and virtual time.

As a pytest plugin (installed with the package) it gives the fixtures `runtime` (embedded, virtual time), `aws_runtime`
(the AWS adapters on moto) and `replayed` (executions taken again from cassettes), and collects scenario files: YAML
files below a directory called ``scenarios``::

    def test_a_complaint_goes_to_the_complaint_handler(runtime):
        runtime.mock_agent("intent_agent", {"intent": "complaint", "urgency": "high"})
        runtime.fail("send", "timeout", "no answer")
        result = runtime.run("customer_support", {"message": "…"}, mocks="definitions/mocks/customer_support.yaml")
        result.assert_failed(type="timeout", node="send")

``kit``         `WorkflowTester`, what the fixtures are; ``result`` what `run` gives, with its assertions
``mocks``       answers and failures on top of mock files; ``driver`` runs the pump as far as a test wants
``steps``       the events of scenarios
``transitions`` the engine as a pure function: one event at a time, and walks through the states of a chart
``replaying``   recorded journals, decided again; ``cassettes`` recorded executions, taken again
``scenario``    scenario files; ``differences`` how expectation and fact are shown; ``plugin`` what pytest loads

No agent without a mock is ever called, and built-in tools reach nothing outside.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflow_runtime.testing.kit import WorkflowTester
    from workflow_runtime.testing.replaying import replay
    from workflow_runtime.testing.result import Result
    from workflow_runtime.testing.transitions import transition, walk

__all__ = ["Result", "WorkflowTester", "replay", "transition", "walk"]


def __getattr__(name: str) -> Any:
    """Imported when first used: pytest loads this package in every project that has it installed."""
    if name == "WorkflowTester":
        from workflow_runtime.testing.kit import WorkflowTester

        return WorkflowTester
    if name == "Result":
        from workflow_runtime.testing.result import Result

        return Result
    if name == "replay":
        from workflow_runtime.testing.replaying import replay

        return replay
    if name in ("transition", "walk"):
        from workflow_runtime.testing import transitions

        return getattr(transitions, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
