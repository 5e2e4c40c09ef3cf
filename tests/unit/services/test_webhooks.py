"""Webhooks: only who knows the secret starts executions, and each request once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from workflow_runtime.backends.embedded.backend import Backend, open_backend
from workflow_runtime.backends.embedded.clock import VirtualClock
from workflow_runtime.errors import RequestError
from workflow_runtime.ports import Absent, Condition, ConditionFailed, Item
from workflow_runtime.runtime.environment import EnvironmentSecrets
from workflow_runtime.runtime.services import Runtime
from workflow_runtime.services.intake.webhooks import TOLERANCE_SECONDS, Call, signature_of

START = 1_700_000_000_000
SECRET = "geheim-密"
BODY = '{"订单": 7}'.encode()
SOURCE = """
workflow:
  id: 订单
  input_schema: {properties: {trigger: {type: object}}}
  triggers:
    - {type: webhook, endpoint: /支付/完成, secret: "${secrets.HOOK}"}
    - {type: webhook, endpoint: open, method: PUT, auth_required: false,
       input: {n: "${n}", q: "${query.q}", h: "${headers}", all: "${body}"}}
    - {type: webhook, endpoint: keyed, secret: "${secrets.HOOK}", key: "${n}"}
    - {type: webhook, endpoint: nosecret, secret: "${secrets.MISSING}"}
    - {type: webhook, endpoint: emptysecret, secret: "${secrets.EMPTY}"}
    - {type: webhook, endpoint: unnamed}
  nodes: [{id: a, type: tool, tool: echo}]
"""


@pytest.fixture
def backend() -> Iterator[Backend]:
    with open_backend(None, VirtualClock(START)) as opened:
        yield opened


def runtime(backend: Backend, table: Any = None) -> Runtime:
    environ = {"WORKFLOW_SECRET_HOOK": SECRET, "WORKFLOW_SECRET_EMPTY": ""}
    ports = backend.ports if table is None else replace(backend.ports, table=table)
    return Runtime(ports, dict, secrets=EnvironmentSecrets(environ))


@pytest.fixture
def services(backend: Backend) -> Runtime:
    made = runtime(backend)
    made.catalog.publish(SOURCE.encode())
    return made


def call(body: bytes = BODY, seconds: int = START // 1000, endpoint: str = "支付/完成", **changes: Any) -> Call:
    timestamp = str(seconds)
    headers = {
        "x-signature": signature_of(SECRET, timestamp, f"POST /hooks/订单/{endpoint}", body),
        "x-timestamp": timestamp,
    }
    return replace(Call("订单", endpoint, "POST", headers, {}, body), **changes)


def receive(services: Runtime, made: Call, payload: Any = None) -> str:
    return services.webhooks.start(services.webhooks.accept(made), {"订单": 7} if payload is None else payload)


def code(services: Runtime, made: Call, payload: Any = None) -> str:
    with pytest.raises(RequestError) as refused:
        receive(services, made, payload)
    assert SECRET not in str(refused.value)
    return refused.value.code


def test_a_signed_request_starts_an_execution_with_its_payload(services: Runtime) -> None:
    execution_id = receive(services, call())
    assert services.documents.document(execution_id)["input"] == {"trigger": {"订单": 7}}


def test_the_signature_may_be_written_with_its_algorithm_and_in_capitals(services: Runtime) -> None:
    made = call()
    signature = made.headers["x-signature"].upper()
    receive(services, replace(made, headers={**made.headers, "x-signature": f"sha256={signature}"}))


def test_requests_without_a_right_signature_are_refused(services: Runtime) -> None:
    good = call()
    for headers in (
        {},
        {**good.headers, "x-signature": "0" * 64},
        {**good.headers, "x-signature": "short"},
        {**good.headers, "x-signature": "ж" * 64},
        {"x-signature": good.headers["x-signature"]},
        {**good.headers, "x-timestamp": str(START // 1000 + 1)},
        {**good.headers, "x-timestamp": "soon"},
        {**good.headers, "x-timestamp": "9" * 400},
    ):
        assert code(services, replace(good, headers=headers)) == "unauthorized"
    assert code(services, replace(good, body=BODY + b" ")) == "unauthorized"


def test_a_timestamp_is_good_for_five_minutes_to_either_side(services: Runtime) -> None:
    now = START // 1000
    for seconds in (now - TOLERANCE_SECONDS, now + TOLERANCE_SECONDS):
        receive(services, call(seconds=seconds))
    for seconds in (now - TOLERANCE_SECONDS - 1, now + TOLERANCE_SECONDS + 1):
        assert code(services, call(seconds=seconds)) == "unauthorized"


def test_a_replayed_request_is_refused_whatever_of_it_was_changed(services: Runtime) -> None:
    receive(services, call())
    assert code(services, call()) == "conflict"
    made = call()
    signature = made.headers["x-signature"].upper()
    changed = replace(made, headers={**made.headers, "x-signature": signature, "x-more": "1"}, query={"a": "b"})
    assert code(services, changed) == "conflict"
    assert code(services, replace(changed, endpoint="/支付/完成/")) == "conflict"


def test_a_request_that_could_not_be_carried_out_may_come_again(services: Runtime) -> None:
    assert code(services, call(), ["no object"]) == "invalid_input"
    receive(services, call())


@pytest.mark.usefixtures("services")
def test_our_own_lost_answer_is_no_replay(backend: Backend) -> None:
    class LosingTable:
        def __getattr__(self, name: str) -> Any:
            return getattr(backend.ports.table, name)

        def put(self, item: Item, condition: Condition | None = None) -> None:
            backend.ports.table.put(item, condition)
            if item.key.partition.startswith("HOOK#") and isinstance(condition, Absent):
                raise ConditionFailed

    receive(runtime(backend, LosingTable()), call())


def test_what_is_not_there_does_not_say_what_is(services: Runtime) -> None:
    messages = set()
    for changes in (
        {"workflow_id": "other"},
        {"endpoint": "else"},
        {"method": "GET"},
        {"method": "HEAD"},
        {"endpoint": "open"},
    ):
        with pytest.raises(RequestError) as refused:
            services.webhooks.accept(replace(call(), **changes))
        assert refused.value.code == "not_found"
        messages.add(refused.value.message)
    assert len(messages) == 1


def test_a_secret_that_is_missing_or_empty_lets_nobody_in(services: Runtime) -> None:
    for endpoint in ("nosecret", "emptysecret"):
        made = call(endpoint=endpoint)
        unsigned = {
            **made.headers,
            "x-signature": signature_of("", made.headers["x-timestamp"], f"POST {made.target}", BODY),
        }
        assert code(services, replace(made, headers=unsigned)) == "unavailable"


def test_an_open_endpoint_takes_its_method_and_formulas_see_query_and_harmless_headers(services: Runtime) -> None:
    headers = {"authorization": "Bearer x", "cookie": "c", "x-signature": "s", "x-id": "5"}
    made = Call("订单", "open", "PUT", headers, {"q": "?"}, b"")
    first, second = (receive(services, made, {"n": 1}) for _ in range(2))
    assert first != second, "nothing says that it is the same"
    given = services.documents.document(first)["input"]
    assert given == {"n": 1, "q": "?", "h": {"x-id": "5"}, "all": {"n": 1}}


def test_requests_with_one_key_answer_one_execution(services: Runtime) -> None:
    first = receive(services, call(b"1", endpoint="keyed"), {"n": "k", "x": 1})
    assert receive(services, call(b"2", endpoint="keyed"), {"n": "k", "x": 2}) == first
    assert receive(services, call(b"3", endpoint="keyed"), {"n": "l"}) != first


def test_an_older_versions_webhook_is_gone(services: Runtime) -> None:
    services.catalog.publish("workflow: {id: 订单, nodes: [{id: a, type: tool, tool: echo}]}".encode())
    assert code(services, call()) == "not_found"
    services.publishing.remove("订单", lambda _: True)
    assert code(services, call()) == "not_found"


FORGED = {
    "x-signature": signature_of("", str(START // 1000), "POST /hooks/订单/unnamed", BODY),
    "x-timestamp": str(START // 1000),
}


@pytest.mark.parametrize("headers", [{}, FORGED])
def test_an_endpoint_that_demands_signatures_but_names_no_secret_refuses_every_request(
    services: Runtime, headers: dict[str, str]
) -> None:
    with pytest.raises(RequestError, match="names no secret") as caught:
        services.webhooks.accept(call(endpoint="unnamed", headers=headers))
    assert caught.value.code == "unauthorized"


@pytest.mark.parametrize(
    "changes", [{"endpoint": "keyed"}, {"method": "PUT"}, {"raw_query": "amount=9"}, {"workflow_id": "别的"}]
)
def test_a_signature_is_of_no_use_at_another_endpoint(services: Runtime, changes: dict[str, str]) -> None:
    services.catalog.publish(SOURCE.replace("id: 订单", "id: 别的").encode())
    assert code(services, call(**changes) if "endpoint" not in changes else replace(call(), **changes)) in (
        "unauthorized",
        "not_found",
    )
