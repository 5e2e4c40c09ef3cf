"""The tool of the workflow ``parallel_research``."""

from __future__ import annotations

from dataclasses import dataclass

from workflow_runtime.sdk import tool


@dataclass(frozen=True)
class Opinion:
    by: str
    verdict: str
    reason: str


@tool(description="Writes the conclusion and all opinions as a Markdown report", effects="none")
async def render_report(topic: str, conclusion: str, votes: int, opinions: list[Opinion]) -> dict[str, str]:
    """Renders Markdown; returns {text}."""
    lines = [f"- **{opinion.by}** ({opinion.verdict}): {opinion.reason}" for opinion in opinions]
    text = "\n".join([f"# {topic}", "", f"Conclusion: **{conclusion}** ({votes}/{len(opinions)} votes)", "", *lines])
    return {"text": text}
