"""The routes for people and other systems: what they are asked, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel

from workflow_runtime.frontends.api import people_models
from workflow_runtime.frontends.api.answers import JSON_TYPE
from workflow_runtime.frontends.api.approvals import Approvals
from workflow_runtime.frontends.api.route import (
    LOCATION_HEADER,
    RANGE_HEADER,
    Operation,
    Reply,
    Route,
    Scope,
    json_reply,
)
from workflow_runtime.frontends.api.tasks import Tasks

if TYPE_CHECKING:
    from workflow_runtime.runtime.services import Runtime

TASK_BODY = "a task token"
ANSWER_BODY = "what somebody says"


def people_routes(runtime: Runtime) -> tuple[Route, ...]:
    approvals = Approvals(runtime)
    one = "/approvals/<approval_id>"
    return (
        Route(
            "GET",
            "/approvals",
            approvals.listing,
            "listApprovals",
            (json_reply(people_models.ApprovalPage, "What people are asked"),),
            (404, 422),
        ),
        Route(
            "GET",
            one,
            approvals.get,
            "getApproval",
            (
                json_reply(people_models.ApprovalDetail, "The approval"),
                Reply(206, "The slice", {"application/octet-stream": None}, RANGE_HEADER),
            ),
            (404, 416, 422),
        ),
        _saying(f"{one}/answer", approvals.answer, "answerApproval", people_models.AnswerRequest),
        _saying(f"{one}/delegate", approvals.delegate, "delegateApproval", people_models.DelegateRequest),
        *_task_routes(Tasks(runtime)),
    )


def _task_routes(tasks: Tasks) -> Iterator[Route]:
    said = {JSON_TYPE: people_models.TaskAnswered}
    problems = (400, 404, 409, 413, 415, 422, 429)
    known = Reply(200, "Noted, or said before", said)
    for action, operation, model in (
        ("complete", tasks.complete, people_models.CompleteRequest),
        ("fail", tasks.fail, people_models.FailRequest),
        ("heartbeat", tasks.heartbeat, people_models.TaskRequest),
    ):
        replies = (known,) if action == "heartbeat" else (Reply(202, "On its way", said), known)
        name = f"{action}Task"
        rule = f"/tasks/{action}"
        yield Route("POST", rule, operation, name, replies, problems, TASK_BODY, body_model=model, scope=Scope.OPEN)


def _saying(rule: str, operation: Operation, name: str, model: type[BaseModel]) -> Route:
    answered = {JSON_TYPE: people_models.Answered}
    replies = (
        Reply(202, "On its way", answered, LOCATION_HEADER),
        Reply(200, "The same was said before", answered),
    )
    problems = (400, 403, 404, 409, 413, 415, 422, 429)
    return Route("POST", rule, operation, name, replies, problems, ANSWER_BODY, body_model=model, scope=Scope.APPROVE)
