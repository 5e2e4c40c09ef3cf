"""Approvals through the API's real handler, on both backends: who may answer, what is refused, and what lists show."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.handlers.bench import Bench
from tests.handlers.http_requests import FUNCTION, answer_of, event_of
from tests.handlers.test_events_to_executions import work

from workflow_runtime.backends.embedded.pump import LocalContext
from workflow_runtime.deployment.settings import Callers

ANN, 李雷, PORTAL = "arn:aws:iam::123456789012:user/ann", "arn:aws:iam::123456789012:user/李雷", "portal"
FORM = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "maximum": 100}}}
NODE = {
    "id": "check",
    "type": "control",
    "subtype": "approval",
    "prompt": "Pay ${title}?",
    "assignees": [ANN, 李雷],
    "form": FORM,
    "data": {"amount": 50, "text": "${text}"},
}


def as_iam(caller: str) -> dict[str, Any]:
    return {"iam": {"userArn": caller}}


def ask(
    bench: Bench,
    method: str,
    path: str,
    body: Any = None,
    *,
    caller: str = "",
    authorizer: dict[str, Any] | None = None,
    query: str = "",
    **headers: str,
) -> Any:
    """Status and JSON of the answer to a caller whom the gateway has let in."""
    event = event_of(method, path, body, headers, query)
    event["requestContext"]["authorizer"] = authorizer if authorizer is not None else as_iam(caller)
    handler = bench.api()

    async def send() -> dict[str, Any]:
        answered: dict[str, Any] = await handler(event, LocalContext(FUNCTION))
        return answered

    return answer_of(asyncio.run(send()))


def started(bench: Bench, id: str = "pay", *, input: dict[str, Any] | None = None, **fields: Any) -> str:
    """An execution that asks; the id of its approval."""
    workflow = {"id": id, "nodes": [{**NODE, **fields}]}
    bench.runtime.catalog.publish(msgspec.json.encode({"workflow": workflow}))
    execution_id = bench.runtime.starter.start(id, input or {"title": "茶", "text": "t"})
    work(bench)
    return f"{execution_id}.1"


def shown(bench: Bench, approval: str) -> dict[str, Any]:
    work(bench)
    document: dict[str, Any] = bench.runtime.documents.document(approval.partition(".")[0])
    return document


def listed(bench: Bench, approval: str, query: str = "status=open") -> list[dict[str, Any]]:
    """Those of a list that its execution asks."""
    items = ask(bench, "GET", "/approvals", query=f"{query}&limit=100")[1]["items"]
    return [item for item in items if item["id"] == approval]


def test_somebody_who_is_asked_answers_in_his_own_name(bench: Bench) -> None:
    approval = started(bench)
    (item,) = listed(bench, approval)
    assert (item["id"], item["prompt"], item["assignees"], item["status"]) == (approval, "Pay 茶?", [ANN, 李雷], "open")
    _, whole = ask(bench, "GET", f"/approvals/{approval}", caller=ANN)
    assert (whole["form"], whole["data"]) == (FORM, {"amount": 50, "text": "t"})
    status, said = ask(
        bench, "POST", f"/approvals/{approval}/answer", {"approved": True, "data": {"amount": 5}, "comment": "好"},
        caller=李雷,
    )  # fmt: skip
    assert (status, said["by"], said["changed"]) == (202, 李雷, True)
    output = shown(bench, approval)["output"]
    assert (output["by"], output["data"], output["comment"]) == (李雷, {"amount": 5, "text": "t"}, "好")
    assert listed(bench, approval) == []
    (ended,) = listed(bench, approval, "status=ended")
    assert (ended["status"], ended["answers"][0]["by"]) == ("approved", 李雷)
    _, whole = ask(bench, "GET", f"/approvals/{approval}")
    assert whole["answers"][0]["data"] == {"amount": 5}
    events = ask(bench, "GET", f"/executions/{approval.partition('.')[0]}/history")[1]["items"][-1]["events"]
    assert [(event["event"], event["by"], event["approved"], event["comment"]) for event in events] == [
        ("approval_answered", 李雷, True, "好")
    ]


def test_the_subject_of_a_token_or_the_claim_that_the_deployment_names_is_the_caller(bench: Bench) -> None:
    approval = started(bench, assignees=["ann@example.com"])
    claims = {"jwt": {"claims": {"sub": "7f3", "email": "ann@example.com"}}}
    path, body = f"/approvals/{approval}/answer", {"approved": True}
    assert ask(bench, "POST", path, body, authorizer=claims)[0] == 403
    bench.runtime.callers = Callers(identity_claim="email")
    assert ask(bench, "POST", path, body, authorizer=claims)[0] == 202
    assert shown(bench, approval)["output"]["by"] == "ann@example.com"


def test_only_callers_that_the_deployment_lists_answer_for_others(bench: Bench) -> None:
    approval = started(bench)
    path, body = f"/approvals/{approval}/answer", {"approved": True, "by": ANN}
    status, problem = ask(bench, "POST", path, body, caller=PORTAL)
    assert (status, problem["code"]) == (403, "forbidden")
    assert "leave out `by`" in problem["detail"]
    bench.runtime.callers = Callers(speaking_for_others=frozenset({PORTAL}))
    assert ask(bench, "POST", path, body, caller=PORTAL)[0] == 202
    assert shown(bench, approval)["output"]["by"] == ANN
    history = ask(bench, "GET", f"/executions/{approval.partition('.')[0]}/history")[1]
    assert history["items"][-1]["events"][0]["asker"] == PORTAL


def test_nobody_is_who_the_body_or_a_header_says(bench: Bench) -> None:
    approval = started(bench)
    path = f"/approvals/{approval}/answer"
    assert ask(bench, "POST", path, {"approved": True}, caller="", **{"x-workflow-as": ANN})[0] == 403
    assert ask(bench, "POST", path, {"approved": True, "by": ANN}, caller="eve")[0] == 403


@pytest.mark.parametrize(
    ("body", "status", "code", "part"),
    [
        ({"approved": True, "data": {"amount": 500}}, 422, "invalid_request", "amount: 500 is greater than"),
        ({"approved": True, "data": {"amount": "5"}}, 422, "invalid_request", "does not match the form"),
        ({"approved": "yes?"}, 422, "invalid_request", "approved"),
        ({}, 422, "invalid_request", "approved"),
        ({"approved": True, "comment": "x" * 2_001}, 422, "invalid_request", "comment"),
        ({"approved": True, "why": 1}, 422, "invalid_request", "why"),
    ],
)
def test_an_answer_that_is_not_valid_is_refused_with_what_is_wrong(
    bench: Bench, body: dict[str, Any], status: int, code: str, part: str
) -> None:
    approval = started(bench)
    found, problem = ask(bench, "POST", f"/approvals/{approval}/answer", body, caller=ANN)
    assert (found, problem["code"]) == (status, code)
    assert part in problem["detail"]
    assert shown(bench, approval)["status"] == "running"


@pytest.mark.parametrize("id", ["ex-none.1", "ex-none", "x", "不.1", "ex-none.0", "ex-none.99999999999999"])
def test_an_approval_that_does_not_exist_is_not_found(bench: Bench, id: str) -> None:
    for method, path, body in (
        ("GET", f"/approvals/{id}", None),
        ("POST", f"/approvals/{id}/answer", {"approved": True}),
        ("POST", f"/approvals/{id}/delegate", {"to": "bob"}),
    ):
        assert ask(bench, method, path, body)[0] == 404, path


def test_a_late_answer_is_told_who_decided_and_when(bench: Bench) -> None:
    approval = started(bench)
    path = f"/approvals/{approval}/answer"
    ask(bench, "POST", path, {"approved": False, "comment": "no"}, caller=ANN)
    work(bench)
    status, problem = ask(bench, "POST", path, {"approved": True}, caller=李雷)
    assert (status, problem["code"]) == (409, "refused")
    assert problem["detail"].startswith(f"it is too late: the approval was rejected by {ANN} at ")
    status, again = ask(bench, "POST", path, {"approved": False, "comment": "no"}, caller=ANN)
    assert (status, again["changed"]) == (200, False)


def test_a_second_answer_of_the_same_person_is_refused(bench: Bench) -> None:
    approval = started(bench, quorum=2)
    path = f"/approvals/{approval}/answer"
    assert ask(bench, "POST", path, {"approved": True}, caller=ANN)[0] == 202
    work(bench)
    assert ask(bench, "POST", path, {"approved": True}, caller=ANN) == (
        200,
        {
            "approval_id": approval,
            "execution_id": approval.partition(".")[0],
            "by": ANN,
            "approved": True,
            "to": None,
            "changed": False,
        },
    )
    status, problem = ask(bench, "POST", path, {"approved": False}, caller=ANN)
    assert (status, problem["detail"]) == (409, f"{ANN} has approved it already, and a second answer is refused")


def test_answers_sent_at_once_under_one_key_count_once(bench: Bench) -> None:
    approval = started(bench, assignees=["a", "b"], quorum=2, second_answer="replace", veto=False)
    path = f"/approvals/{approval}/answer"
    for comment in ("one", "one"):
        ask(bench, "POST", path, {"approved": True, "comment": comment}, caller="a", **{"idempotency-key": "k"})
    work(bench)
    _, whole = ask(bench, "GET", f"/approvals/{approval}")
    assert [answer["by"] for answer in whole["answers"]] == ["a"]


def test_who_is_asked_names_another(bench: Bench) -> None:
    approval = started(bench)
    path = f"/approvals/{approval}/delegate"
    assert ask(bench, "POST", path, {"to": "bob"}, caller="eve")[0] == 403
    assert ask(bench, "POST", path, {"to": " "}, caller=ANN)[0] == 422
    assert ask(bench, "POST", path, {"to": "bob", "reason": "holiday"}, caller=ANN)[0] == 202
    work(bench)
    _, whole = ask(bench, "GET", f"/approvals/{approval}")
    assert whole["assignees"] == ["bob", 李雷]
    assert ask(bench, "POST", f"/approvals/{approval}/answer", {"approved": True}, caller="bob")[0] == 202
    assert shown(bench, approval)["status"] == "completed"


def test_lists_are_filtered_and_paged(bench: Bench) -> None:
    bench.runtime.catalog.publish(
        msgspec.json.encode(
            {
                "workflow": {
                    "id": "many",
                    "nodes": [
                        {**NODE, "id": f"n{number}", "prompt": "p", "data": {"amount": 1}, "assignees": [name]}
                        for number, name in enumerate(["ann", "bob", "ann", "ann", "bob"])
                    ],
                }
            }
        )
    )
    bench.runtime.starter.start("many", {})
    open_to_all = started(bench, "other", assignees=None)
    seen: list[str] = []
    cursor = ""
    while True:
        query = f"assignee=ann&limit=2{cursor}"
        page = ask(bench, "GET", "/approvals", query=query)[1]
        assert len(page["items"]) <= 2
        seen += [item["path"] if item["id"] != open_to_all else "*" for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(path for path in seen if path != "check") == ["*", "n0", "n2", "n3"]
    assert len(ask(bench, "GET", "/approvals", query="workflow=many")[1]["items"]) == 5
    assert ask(bench, "GET", "/approvals", query="workflow=many&older_than=1h")[1]["items"] == []
    assert len(ask(bench, "GET", "/approvals", query="workflow=many&kind=node")[1]["items"]) == 5
    assert ask(bench, "GET", "/approvals", query="workflow=many&kind=budget")[1]["items"] == []
    for query in ("older_than=soon", "kind=agent", "status=all", "assignee=", "limit=0", "who=ann", "cursor=x"):
        assert ask(bench, "GET", "/approvals", query=query)[0] in (404, 422), query


def test_large_data_is_shown_in_slices(bench: Bench) -> None:
    text = "长" * 3_000_000
    approval = started(bench, input={"title": "t", "text": text})
    _, whole = ask(bench, "GET", f"/approvals/{approval}")
    assert whole["data"]["truncated"] is True
    assert whole["data"]["href"] == f"/approvals/{approval}?range=0-"
    status, said = ask(
        bench, "POST", f"/approvals/{approval}/answer", {"approved": True, "data": {"amount": 7}}, caller=ANN
    )
    assert (status, said["changed"]) == (202, True)
    output = shown(bench, approval)["output"]
    assert output["data"] == {"amount": 7, "text": text}


def test_what_is_cancelled_needs_no_answer(bench: Bench) -> None:
    approval = started(bench)
    bench.runtime.control.ask("cancel", approval.partition(".")[0])
    work(bench)
    assert listed(bench, approval) == []
    status, problem = ask(bench, "POST", f"/approvals/{approval}/answer", {"approved": True}, caller=ANN)
    assert (status, problem["code"]) == (409, "refused")
    assert "is not needed any more" in problem["detail"]


def test_an_answer_to_a_suspended_execution_is_held(bench: Bench) -> None:
    approval = started(bench)
    execution_id = approval.partition(".")[0]
    bench.runtime.control.ask("suspend", execution_id)
    work(bench)
    assert ask(bench, "POST", f"/approvals/{approval}/answer", {"approved": True}, caller=ANN)[0] == 202
    document = shown(bench, approval)
    assert (document["status"], document["suspension"]["held"]) == ("suspended", 1)
    bench.runtime.control.ask("resume", execution_id)
    assert shown(bench, approval)["status"] == "completed"
