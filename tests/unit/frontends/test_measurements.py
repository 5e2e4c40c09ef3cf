"""What `/metrics` counts, and that its labels stay few."""

from __future__ import annotations

from workflow_runtime.deployment.metrics import OTHER, AttemptEnded, Metric
from workflow_runtime.frontends.metrics.families import LABEL_VALUES_MAX
from workflow_runtime.frontends.serve.metrics import Measurements
from workflow_runtime.storage.keys import HEADER


def value(measurements: Measurements, name: str, **labels: str) -> float | None:
    return measurements.registry.get_sample_value(name, labels)


def start(measurements: Measurements, execution_id: str, workflow: str = "订单") -> None:
    measurements.wrote(execution_id, HEADER, {"workflow": workflow, "started_at": 1000, "status": "running"})


def test_executions_count_by_what_becomes_of_them() -> None:
    measurements = Measurements()
    start(measurements, "ex-1")
    start(measurements, "ex-2")
    measurements.wrote("ex-1", HEADER, {"status": "suspended"})
    assert measurements.open_executions() == {"订单": 2}
    measurements.wrote("ex-1", HEADER, {"status": "failed", "ended_at": 3500})
    assert measurements.open_executions() == {"订单": 1}
    assert value(measurements, "awr_executions_total", workflow="订单", status="started") == 2
    assert value(measurements, "awr_executions_total", workflow="订单", status="failed") == 1
    assert value(measurements, "awr_execution_duration_seconds_sum", workflow="订单", status="failed") == 2.5


def test_an_execution_of_an_earlier_process_counts_under_its_workflow() -> None:
    measurements = Measurements(lambda execution_id: "订单" if execution_id == "ex-1" else "")
    measurements.wrote("ex-1", HEADER, {"status": "completed", "ended_at": 3500})
    assert value(measurements, "awr_executions_total", workflow="订单", status="completed") == 1


def test_attempts_count_with_what_their_models_used() -> None:
    measurements = Measurements()
    usage = {"model": "m", "requests": 2, "input_tokens": 30, "output_tokens": 4, "usd": 0.25}
    measurements.attempt_ended(AttemptEnded("订单", "agent", "作者", 1, 500, None, usage))
    measurements.attempt_ended(AttemptEnded("订单", "agent", "作者", 2, 500, "rate_limited", usage))
    assert value(measurements, "awr_node_runs_total", workflow="订单", type="agent", status="failed") == 1
    assert value(measurements, "awr_node_errors_total", type="agent", error="rate_limited") == 1
    assert value(measurements, "awr_model_tokens_total", agent="作者", model="m", direction="input") == 60
    assert value(measurements, "awr_model_cost_usd_total", agent="作者", model="m") == 0.5


def test_an_agent_that_waits_is_counted_once_with_all_that_it_used() -> None:
    measurements = Measurements()
    usage = {"model": "m", "requests": 1, "input_tokens": 10, "output_tokens": 2}
    measurements.attempt_ended(AttemptEnded("订单", "agent", "作者", 1, 500, None, usage, goes_on=True))
    assert value(measurements, "awr_node_runs_total", workflow="订单", type="agent", status="success") is None
    measurements.attempt_ended(AttemptEnded("订单", "agent", "作者", 1, 500, None, usage))
    assert value(measurements, "awr_node_runs_total", workflow="订单", type="agent", status="success") == 1
    assert value(measurements, "awr_model_requests_total", agent="作者", model="m") == 2


def test_what_never_happened_is_zero_and_not_absent() -> None:
    measurements = Measurements()
    assert value(measurements, "awr_events_total", event="dead_letters") == 0
    measurements.counted(Metric.DEAD_LETTERS, 1)
    measurements.counted(Metric.TIMER_LATENESS, 250)
    assert value(measurements, "awr_events_total", event="dead_letters") == 1
    assert value(measurements, "awr_lateness_seconds_sum", what="timer_lateness") == 0.25


def test_a_label_has_so_many_values_and_no_more_and_ids_of_executions_are_none() -> None:
    measurements = Measurements()
    for number in range(LABEL_VALUES_MAX + 50):
        start(measurements, f"ex-{number}", f"w{number}")
    assert value(measurements, "awr_executions_total", workflow=OTHER, status="started") == 50
    assert b"ex-1" not in measurements.text()[0]
