"""Who may talk to the server. It listens on loopback, so what is left is a browser on this machine that a web page from
elsewhere sends here: by its ``Origin``, or by a name that suddenly resolves to 127.0.0.1 (DNS rebinding), by its
``Host``.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def refusal(headers: Mapping[str, str]) -> str:
    """Why a request is refused; "" when it is not. ``headers`` by lower-case name."""
    host = headers.get("host", "")
    if _name(f"//{host}") not in LOOPBACK_NAMES:
        return "the Host must be localhost or a loopback address: this server is for this machine only"
    origin = headers.get("origin")
    if origin is not None and _name(origin) not in LOOPBACK_NAMES:
        return "web pages from other origins may not use this server"
    return ""


def _name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
