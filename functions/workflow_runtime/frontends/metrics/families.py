"""What `/metrics` tells, once: names, texts and labels. Labels are names of workflows, agents, models, limiters and
queues, of which there is a bounded number; never ids of executions, tenants or keys."""

from __future__ import annotations

import re
from typing import NamedTuple

PREFIX = "awr"
DISTRIBUTION = "agent-workflow-runtime"
LABEL_VALUES_MAX = 200  # of one label of one metric: more would cost the server that scrapes


class Family(NamedTuple):
    """``labels``: their names, in order."""

    name: str
    text: str
    labels: tuple[str, ...]

    @property
    def full_name(self) -> str:
        return f"{PREFIX}_{self.name}"


EXECUTIONS = Family("executions", "Executions by what became of them.", ("workflow", "status"))
EXECUTION_SECONDS = Family("execution_duration_seconds", "From start to end.", ("workflow", "status"))
RUNS = Family("node_runs", "Attempts of agents and tools.", ("workflow", "type", "status"))
RUN_SECONDS = Family("node_run_duration_seconds", "Of attempts, from claim to end.", ("type", "status"))
ERRORS = Family("node_errors", "Attempts that failed, by error.", ("type", "error"))
TOKENS = Family("model_tokens", "Tokens of models.", ("agent", "model", "direction"))
REQUESTS = Family("model_requests", "Requests of models.", ("agent", "model"))
DOLLARS = Family("model_cost_usd", "Price of models, where it is known.", ("agent", "model"))
EVENTS = Family("events", "What the runtime counts (deployment/metrics.py).", ("event",))
LATENESS = Family("lateness_seconds", "How late timers and the sweep are.", ("what",))
OPEN_EXECUTIONS = Family("open_executions", "Executions that have not ended.", ("workflow",))
BUILD = Family("build", "What runs.", ())


def snake(name: str) -> str:
    """``DeadLetters`` as ``dead_letters``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
