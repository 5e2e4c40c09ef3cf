"""Headers an author may set on a request, and which of them survive a redirect to another origin."""

from __future__ import annotations

import re
from collections.abc import Mapping

from workflow_runtime.errors import NodeError

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2, token
_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")  # RFC 9110 §5.5 without obs-text: what every server reads alike

OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)  # they say where a message ends and whom it is for
CARRIED = frozenset({"accept", "accept-language", "content-type", "user-agent"})


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with lower-case names. Raises `NodeError` ``validation_error``; values never appear in the
    message."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _NAME.fullmatch(name):
            raise NodeError("validation_error", f"{name[:100]!r} is no header name")
        if lower in OURS or lower.startswith("proxy-"):
            raise NodeError("validation_error", f"the header {name!r} cannot be set")
        if lower in checked:
            raise NodeError("validation_error", f"the header {name!r} is given twice")
        if not _VALUE.fullmatch(value):
            raise NodeError(
                "validation_error", f"the value of the header {name!r} holds line breaks or non-ASCII characters"
            )
        checked[lower] = value.strip()
    return checked


def after_redirect(headers: Mapping[str, str]) -> dict[str, str]:
    """What another origin may see: a key stands in Authorization, or in any header of an API's own."""
    return {name: value for name, value in headers.items() if name in CARRIED}
