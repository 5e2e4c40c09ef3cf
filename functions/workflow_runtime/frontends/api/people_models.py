"""What people and other systems are asked and say, as pydantic models: approvals and task tokens."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field

from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import Time

Name = Field(None, min_length=1, max_length=1_000, description="Whose answer it is; by default the caller's own.")


class AnswerRequest(ApiModel):
    """What somebody says to an approval."""

    model_config = ConfigDict(extra="forbid")

    approved: bool = Field(description="False rejects it.")
    data: Any = Field(
        None, description="What changes in what was shown: of objects, the keys that are given. It must fit the form."
    )
    comment: str = Field("", max_length=2_000)
    by: str | None = Name


class DelegateRequest(ApiModel):
    """Who is asked instead."""

    model_config = ConfigDict(extra="forbid")

    to: str = Field(min_length=1, max_length=1_000)
    reason: str = Field("", max_length=2_000, description="Why, for the history.")
    by: str | None = Name


class TaskRequest(ApiModel):
    """A task token: a secret, which proves that its bearer may speak."""

    model_config = ConfigDict(extra="forbid")

    token: str = Field(min_length=1, max_length=200)


class CompleteRequest(TaskRequest):
    """A run is done."""

    output: Any = Field(None, description="What the node yields, before its `outputs` shape it.")


class FailRequest(TaskRequest):
    """A run has failed."""

    type: str = Field("execution_error", min_length=1, max_length=128, description="The error's type.")
    message: str = Field("", max_length=2_000)


class TaskAnswered(ApiModel):
    """What was said is on its way."""

    changed: bool = Field(description="False: the same was said before.")


class Answered(ApiModel):
    """An answer that is on its way; it has effect unless another was faster."""

    approval_id: str = Field(examples=["ex-01j9….1"])
    execution_id: str
    by: str | None
    approved: bool | None = Field(description="Null: somebody else was named.")
    to: str | None
    changed: bool = Field(description="False: the same answer was given before.")


class ApprovalAnswer(ApiModel):
    """What somebody said. `data` is there if the answer changed what was shown; lists leave it out."""

    by: str | None
    approved: bool
    at: Time
    comment: str
    data: Any = Field(None)


class Approval(ApiModel):
    """People who are asked, by name; with no `assignees`, whoever may call the API."""

    id: str
    kind: Literal["node", "tool", "effect", "guardrail", "budget"]
    tool: str | None = Field(description="Of a call of an agent: which tool it calls.")
    status: Literal["open", "approved", "rejected", "timeout", "cancelled"]
    execution_id: str
    workflow_id: str
    workflow_version: int
    path: str = Field(description="Of the node that asks.")
    prompt: str
    assignees: list[str]
    quorum: int = Field(description="How many must approve.")
    asked_at: Time
    escalates_at: Time | None = Field(description="When others are asked, too.")
    expires_at: Time | None
    ended_at: Time | None
    answers: list[ApprovalAnswer]


class ApprovalDetail(Approval):
    form: Any = Field(description="JSON Schema of the data; null: any data will do.")
    data: Any = Field(description="What is shown.")


class ApprovalPage(ApiModel):
    items: list[Approval]
    next_cursor: str | None
