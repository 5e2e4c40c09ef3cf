"""The tool of the workflow ``parallel_research``."""

from __future__ import annotations

from dataclasses import dataclass

from workflow_runtime.sdk import tool


@dataclass(frozen=True)
class Opinion:
    by: str
    verdict: str
    reason: str


@tool(description="把结论与各方意见写成一份 Markdown 报告", effects="none")
async def render_report(topic: str, conclusion: str, votes: int, opinions: list[Opinion]) -> dict[str, str]:
    """Renders Markdown; returns {text}."""
    lines = [f"- **{opinion.by}**（{opinion.verdict}）：{opinion.reason}" for opinion in opinions]
    text = "\n".join([f"# {topic}", "", f"结论：**{conclusion}**（{votes}/{len(opinions)} 票）", "", *lines])
    return {"text": text}
