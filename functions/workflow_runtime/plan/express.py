"""Express executions: run in one invocation on memory, and recorded once, at their end."""

from __future__ import annotations

EXPRESS = "express"  # also the pool that runs them
EXPRESS_SECONDS_MAX = 60.0  # of an execution: somebody waits for it, and nothing of it survives its invocation
EXPRESS_WAIT_SECONDS_MAX = 30.0  # of a wait, or a delay between attempts, in it: more is for standard executions
