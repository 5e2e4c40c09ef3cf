"""The tools of the workflow ``incident_response``."""

from __future__ import annotations

import hashlib
from typing import Literal

from workflow_runtime.sdk import NodeContext, tool

Severity = Literal["low", "high", "critical"]


@tool(description="为一次故障建立工单")
async def open_incident(service: str, summary: str, context: NodeContext) -> dict[str, str]:
    """Returns {number, title}; the example stops before a real ticket system."""
    number = hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:8]
    return {"number": f"INC-{number}", "title": f"[{service}] {summary}"}


@tool(description="呼叫值班人员")
async def page_on_call(service: str, severity: Severity, level: int, message: str) -> dict[str, str | int]:
    """Returns whom a pager would reach: the first level is who is on call, then the leader, then the director."""
    people = ("值班工程师", "技术负责人", "技术总监")
    return {"paged": people[min(level, len(people)) - 1], "level": level, "message": f"{severity} {service}：{message}"}


@tool(description="执行已批准的修复步骤")
async def apply_fix(service: str, steps: list[str], context: NodeContext) -> dict[str, str | int]:
    """Returns {change_id, applied}; the example changes nothing."""
    for number, step in enumerate(steps, 1):
        context.logger.info("%s, step %s: %s", service, number, step)
    return {"change_id": context.idempotency_key, "applied": len(steps)}


@tool(description="检查服务是否恢复", effects="none")
async def check_health(service: str) -> dict[str, str | bool]:
    """Returns {service, healthy}; the example finds every service healthy."""
    return {"service": service, "healthy": True}
