"""What is said of sessions of agents, as pydantic models."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from workflow_runtime.frontends.api.api_model import ApiModel
from workflow_runtime.frontends.api.chart_models import Time


class SessionUser(ApiModel):
    """A visit of an agent: its execution, and the path of its node."""

    execution_id: str
    path: str


class Session(ApiModel):
    id: str = Field(description="Of the session, in paths.")
    agent: str
    tenant: str | None = Field(description="Of its executions; null: they have none.")
    session: str = Field(description="Its name, as the agent or its nodes have it.")
    turns: int = Field(description="How many visits are remembered, those that are summed up included.")
    summed_up: int = Field(description="How many of them, the first ones, are summed up.")
    used_at: Time = Field(description="When a visit last took it.")
    expires_at: Time = Field(description="When all of it is forgotten, unless it is used before.")
    held_by: SessionUser | None = Field(description="Who works on it.")
    waiting: list[SessionUser] = Field(description="Who waits for it, the first first.")


class SessionTurn(SessionUser):
    """What was said in one visit."""

    number: int
    at: Time
    summary: str | None = Field(description="Of all turns before the first one that is told.")
    messages: Any = Field(description="As pydantic-ai writes them; secrets are hidden.")


class SessionDetail(Session):
    told: list[SessionTurn] = Field(description="What its next visit is told, as far as it has not expired.")
    next_cursor: str | None


class SessionPage(ApiModel):
    items: list[Session]
    next_cursor: str | None
