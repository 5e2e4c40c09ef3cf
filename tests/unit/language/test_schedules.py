"""Schedules become expressions of EventBridge Scheduler that fire at the same times."""

from __future__ import annotations

import pytest

from workflow_runtime.language.schedules import ScheduleError, cron_expression, rate_expression


@pytest.mark.parametrize(
    ("unix", "expected"),
    [
        ("0 8 * * *", "cron(0 8 * * ? *)"),
        ("0 8 * * 1-5", "cron(0 8 ? * 2-6 *)"),
        ("*/15 9-17 * * MON-FRI", "cron(0/15 9-17 ? * 2-6 *)"),
        ("0 0 1 1 *", "cron(0 0 1 1 ? *)"),
        ("0 */6 */2 */3 *", "cron(0 0/6 1/2 1/3 ? *)"),
        ("5 4 * * 0", "cron(5 4 ? * 1 *)"),
        ("5 4 * * 7", "cron(5 4 ? * 1 *)"),
        ("5 4 * * sun", "cron(5 4 ? * 1 *)"),
        ("5 4 * * 5-7", "cron(5 4 ? * 1,6,7 *)"),
        ("5 4 * * FRI-SUN", "cron(5 4 ? * 1,6,7 *)"),
        ("5 4 * * */2", "cron(5 4 ? * 1,3,5,7 *)"),
        ("5 4 * * 1,3,5", "cron(5 4 ? * 2,4,6 *)"),
        ("5 4 * * 1-5/2", "cron(5 4 ? * 2,4,6 *)"),
        ("5 4 ? * *", "cron(5 4 * * ? *)"),
        ("5 4 ? * 3", "cron(5 4 ? * 4 *)"),
        ("0 0 L * *", "cron(0 0 L * ? *)"),
    ],
)
def test_five_fields_are_unix_cron(unix: str, expected: str) -> None:
    assert cron_expression(unix, "UTC") == expected


def test_six_fields_are_kept_as_eventbridge_has_them() -> None:
    assert cron_expression("cron(0 10 ? * FRI#2 2030-2040)", "Asia/Shanghai") == "cron(0 10 ? * FRI#2 2030-2040)"
    assert cron_expression("15 10 ? * 6L *", "UTC") == "cron(15 10 ? * 6L *)"


@pytest.mark.parametrize(
    "text",
    [
        *("0 8 1 * 1", "60 8 * * *", "0 24 * * *", "0 8 32 * *", "0 8 * 13 *", "0 8 * * 8", "0 8 * * 5-2"),
        *("0 8 * * 5#3", "0 8 * * MO", "0 0 12 * * ?", "0 8 * * * *", "0 8 ? * ? *", "0 8 30 2 ? *", "x 8 * * *"),
    ],
)
def test_what_eventbridge_cannot_keep_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError):
        cron_expression(text, "UTC")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("5 minutes", "rate(5 minutes)"),
        ("1 hour", "rate(1 hours)"),
        ("rate(2 days)", "rate(2 days)"),
        ("90m", "rate(90 minutes)"),
        ("2h", "rate(2 hours)"),
        ("48h", "rate(2 days)"),
        ("PT1H", "rate(1 hours)"),
        ("300", "rate(5 minutes)"),
        ("300.0", "rate(5 minutes)"),
    ],
)
def test_an_interval_is_written_in_its_largest_unit(value: str, expected: str) -> None:
    assert rate_expression(value) == expected


def test_an_interval_with_seconds_is_refused() -> None:
    with pytest.raises(ScheduleError, match="whole number of minutes"):
        rate_expression("90s")


@pytest.mark.parametrize(
    "value", ["0 minutes", "rate(0 hours)", "99999999999 days", "-5 minutes", "rate(5 minutes", "soon", ""]
)
def test_a_rate_that_eventbridge_cannot_keep_is_refused(value: str) -> None:
    with pytest.raises(ScheduleError):
        rate_expression(value)


@pytest.mark.parametrize("text", ["0 8 30 2 *", "0 0 31 4,6,9,11 *", "cron(0 0 31 2 ? *)"])
def test_a_date_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(ScheduleError, match="never fires"):
        cron_expression(text)


@pytest.mark.parametrize("text", ["every day", "0 8 * *", "", "cron()", "0 8 * * １-5"])
def test_what_is_not_a_cron_expression_is_refused_with_its_form(text: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        cron_expression(text)
    assert caught.value.hint
