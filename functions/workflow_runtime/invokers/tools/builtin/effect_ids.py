"""The ids of what built-in tools send."""

from __future__ import annotations

import hashlib

from workflow_runtime.sdk import NodeContext

ID_CHARACTERS = 32  # 128 bits, which no two calls have in common


def effect_id(context: NodeContext) -> str:
    """The same for all attempts of a visit, and in an agent for the same call: by it receivers know a repeat."""
    return hashlib.sha256(context.idempotency_key.encode()).hexdigest()[:ID_CHARACTERS]
