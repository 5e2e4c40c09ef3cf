"""The X-Ray trace of the present invocation, for what it sends. No SDK: Lambda says it in the environment.

SQS and EventBridge carry the header beside a message, and X-Ray links the invocation that takes it to this trace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

VARIABLE = "_X_AMZN_TRACE_ID"  # set by Lambda, anew for each invocation
HEADER_CHARS_MAX = 500  # EventBridge takes no longer one; Lambda's have about 90

Trace: TypeAlias = Callable[[], str | None]
"""The header to be passed on; None: there is none."""


def trace_in(environ: Mapping[str, str]) -> Trace:
    """The trace that the environment names whenever something is sent."""

    def trace() -> str | None:
        header = environ.get(VARIABLE)
        return header if header and len(header) <= HEADER_CHARS_MAX else None

    return trace


def no_trace() -> str | None:
    """Outside Lambda."""
    return None
