"""Who may talk to the server. It listens on loopback only, which leaves browsers on this machine that run a page from
elsewhere: its requests name another ``Origin``, or, when a foreign name suddenly resolves to 127.0.0.1 (DNS rebinding),
another ``Host``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


def refusal(headers: Mapping[str, str]) -> str:
    """Why a request is refused; "" when it is not. ``headers`` by lower-case name."""
    host = headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        return "the Host must be localhost or a loopback address: this server is for this machine only"
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "web pages from other origins may not use this server"
    return ""
