"""The tools of the workflow ``batch_enrichment``. The example stops before a real register of companies."""

from __future__ import annotations

from workflow_runtime.sdk import ToolError, tool


@tool(description="列出登记在册的公司", effects="none")
async def list_companies(count: int) -> dict[str, list[dict[str, int | str]]]:
    """Returns {companies: [{id, name}]}, ``count`` of them."""
    return {"companies": [{"id": number, "name": f"公司 {number}"} for number in range(count)]}


@tool(description="查一家公司的登记信息", effects="none")
async def lookup_company(id: int) -> dict[str, int]:
    """Returns {id, founded}; one company in fifty has no record."""
    if id % 50 == 11:
        raise ToolError("not_found", f"没有登记号为 {id} 的公司")
    return {"id": id, "founded": 1990 + id % 30}
