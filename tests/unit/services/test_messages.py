"""What is read from queues: nothing that is nested too deeply, and what a newer version sent is told from rubbish."""

from collections.abc import Callable
from typing import Any

import pytest

from workflow_runtime.errors import InvalidEvent
from workflow_runtime.language.json_values import DEPTH_MAX
from workflow_runtime.services.express import parse_express
from workflow_runtime.services.messages import (
    KNOWN_SCHEMA,
    LEVELS_MAX,
    Timer,
    UnknownMessage,
    execution_named,
    parse_delivery,
    parse_mail,
    parse_order,
    parse_timer,
    timer_body,
)

PARSERS = (parse_mail, parse_order, parse_timer, parse_express)
RUN = '{"command": "run_node", "path": "a", "serial": 1, "pool": "tool", "at": 1, "attempt": 1}'
FIELDS = {parse_mail: "event", parse_order: "command", parse_timer: "timer", parse_express: "kind"}


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "body",
    [
        "",
        "no JSON",
        "null",
        "7",
        '"x"',
        "[]",
        "{}",
        '{"execution_id": "ex-1"}',
        '{"event": {}, "command": {}, "timer": "t"}',
        '{"execution_id": 7, "event": {}, "command": {}, "timer": 1}',
        '{"execution_id": "a/../b", "event": {}, "command": {}, "timer": 1}',
        nested(3000),
        nested(200_000),
        f'{{"execution_id": "ex-1", "event": {nested(LEVELS_MAX)}, "command": [], "timer": 1}}',
        '{"execution_id": "ex-1", "\\ud800": 1}',
        "[" * 200_000,
    ],
)
def test_a_body_that_nobody_can_read_is_refused_for_good(parse: Callable[[str], Any], body: str) -> None:
    with pytest.raises(InvalidEvent):
        parse(body)


@pytest.mark.parametrize("parse", PARSERS)
@pytest.mark.parametrize(
    "content", ["{}", '{"event": "of_a_newer_version"}', '{"event": "poked", "at": "later"}', "[7]"]
)
def test_a_message_of_a_newer_version_is_not_refused_but_left(parse: Callable[[str], Any], content: str) -> None:
    body = f'{{"execution_id": "ex-1", "{FIELDS[parse]}": {content}, "new": 1}}'
    with pytest.raises(UnknownMessage):
        parse(body)


@pytest.mark.parametrize(
    ("parse", "content"),
    [
        (parse_mail, '"event": {"event": "poked", "event_id": "p", "at": 1}'),
        (parse_order, f'"plan_hash": "p", "workflow_version": 1, "started_at": 1, "command": {RUN}'),
        (parse_timer, '"timer": "t", "due": 1'),
        (parse_delivery, '"outbox": "o"'),
        (parse_express, '"kind": "express"'),
    ],
)
def test_a_message_of_a_newer_schema_is_left_though_it_could_be_read(parse: Callable[[str], Any], content: str) -> None:
    first = parse(f'{{"execution_id": "ex-1", {content}}}')
    assert parse(f'{{"execution_id": "ex-1", {content}, "schema": {KNOWN_SCHEMA}}}') == first
    with pytest.raises(UnknownMessage, match=f"its schema, {KNOWN_SCHEMA + 1}, is newer"):
        parse(f'{{"execution_id": "ex-1", {content}, "schema": {KNOWN_SCHEMA + 1}}}')


def test_messages_of_the_first_schema_do_not_say_it() -> None:
    assert timer_body(Timer("ex-1", "t", 1)) == '{"execution_id":"ex-1","timer":"t","due":1}'


def test_the_deepest_value_travels() -> None:
    data = nested(DEPTH_MAX)
    mail = f'{{"event": "signal_received", "event_id": "s", "at": 1, "name": "n", "data": {data}}}'
    assert parse_mail(f'{{"execution_id": "ex-1", "event": {mail}}}').execution_id == "ex-1"


def test_brackets_in_texts_are_no_levels() -> None:
    body = f'{{"execution_id": "{"x" * 9}", "timer": "{"[" * 500}", "due": 1}}'
    assert parse_timer(body).timer == "[" * 500


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('{"execution_id": "ex-1"}', "ex-1"),
        ('{"detail": {"execution_id": "ex-2"}, "detail-type": "x"}', "ex-2"),
        ('{"execution_id": "EX#1"}', None),
        ('{"execution_id": ["ex-1"]}', None),
        ('{"detail": []}', None),
        ('{"detail": {"execution_id": 7}}', None),
        ("[]", None),
        (nested(5000), None),
    ],
)
def test_a_dead_letter_is_kept_with_the_execution_that_it_names(body: str, named: str | None) -> None:
    assert execution_named(body) == named
