"""Which limiter a name is for an execution."""

from __future__ import annotations

from collections.abc import Mapping

from workflow_runtime.plan.limiters import Limiter, Share
from workflow_runtime.plan.plan import Plan
from workflow_runtime.services.looks import Looks
from workflow_runtime.storage.limiters import LimiterName


def limiter_named(
    looks: Looks, plan: Plan, shares: Mapping[str, Share], name: str
) -> tuple[LimiterName, Limiter, Share] | None:
    """The deployment's limiter of this name, as of the last look, or else the plan's own, with the execution's part in
    it. None: there is none, or it is for values of a key of which the execution has none."""
    limiter = looks.limiters.get(name) or plan.limits.own.get(name)
    share = shares.get(name, Share())
    if limiter is None or (limiter.key and not share.key):
        return None
    return LimiterName(name, share.key if limiter.key else ""), limiter, share
