"""The tools of the workflow ``batch_enrichment``. The example stops before a real register of companies."""

from __future__ import annotations

from workflow_runtime.sdk import ToolError, tool


@tool(description="Lists the companies on file", effects="none")
async def list_companies(count: int) -> dict[str, list[dict[str, int | str]]]:
    """Returns {companies: [{id, name}]}, ``count`` of them."""
    return {"companies": [{"id": number, "name": f"Company {number}"} for number in range(count)]}


@tool(description="Looks up the record of a company", effects="none")
async def lookup_company(id: int) -> dict[str, int]:
    """Returns {id, founded}; one company in fifty has no record."""
    if id % 50 == 11:
        raise ToolError("not_found", f"there is no company with the number {id}")
    return {"id": id, "founded": 1990 + id % 30}
