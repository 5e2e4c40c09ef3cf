"""What names a session of an agent in paths: names may hold any characters, and proxies decode paths as they like."""

from __future__ import annotations

import base64
import binascii

import msgspec

from workflow_runtime.errors import RequestError


def session_id(agent: str, tenant: str, name: str) -> str:
    """The id of the session that an agent, in executions for ``tenant`` ("": for none), calls so."""
    text = msgspec.json.encode([agent, tenant, name])
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def named_by(id: str) -> tuple[str, str, str]:
    """Agent, tenant and name. Raises `RequestError` (``not_found``)."""
    try:
        text = base64.b64decode(id + "=" * (-len(id) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=tuple[str, str, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise RequestError("not_found", "there is no such session: take an `id` as a list gives it") from None
