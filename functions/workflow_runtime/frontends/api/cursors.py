"""Paging cursors: a position in one list, opaque to clients.

A cursor is no capability: it holds a place in a list that its bearer may read anyway. The digest in it ties it to its
list and catches accidents: cut, edited, or taken from another list.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

from workflow_runtime.frontends.api.problems import Problem

DIGEST_BYTES = 6
CURSOR_CHARS_MAX = 300


def encode_cursor(of: Sequence[str], position: str) -> str:
    """``of``: what names the list: the route and its filters."""
    return base64.urlsafe_b64encode(_digest(of, position) + position.encode()).decode().rstrip("=")


def decode_cursor(of: Sequence[str], cursor: str | None) -> str | None:
    """The position in a cursor; None without one. Raises `Problem`."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        digest, position = data[:DIGEST_BYTES], data[DIGEST_BYTES:].decode()
    except (binascii.Error, ValueError):
        digest, position = b"", ""
    if digest != _digest(of, position):
        raise Problem(
            "not_found", "there is no such page: not a cursor of this list; take `next_cursor` as it was given"
        )
    return position


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    return {"items": list(items), "next_cursor": next_cursor}


def _digest(of: Sequence[str], position: str) -> bytes:
    return hashlib.sha256("\0".join((*of, position)).encode()).digest()[:DIGEST_BYTES]
