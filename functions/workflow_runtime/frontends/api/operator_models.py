"""What operators ask for and get, as pydantic models: journals."""

from __future__ import annotations

from pydantic import BaseModel, Field

from workflow_runtime.frontends.api.chart_models import JsonObject


class JournalPage(BaseModel):
    """Commits as they are stored: `head`, on the first page, says which execution and plan they are of."""

    items: list[JsonObject]
    head: JsonObject | None
    runs: list[JsonObject]
    blobs: JsonObject
    state: JsonObject | None = Field(description="The stored state, beside the newest commit.")
    next_cursor: str | None
