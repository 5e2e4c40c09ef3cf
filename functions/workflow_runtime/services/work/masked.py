"""What an attempt leaves behind, without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import msgspec

from workflow_runtime.errors import storable_text
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.language.json_values import Json

ASIDE_BYTES_MIN = 64 * 1024  # of JSON in which secrets are looked for: a few milliseconds
NOTES_MAX = 100  # unresolved paths, warnings: texts for people, in an item of at most 400 KB
NOTE_CHARS_MAX = 500

Result = TypeVar("Result")


async def aside(mask: Mask, work: Callable[..., Result], *values: Json) -> Result:
    """What ``work`` makes of these values. Secrets are looked for in large ones in a thread: that takes far longer than
    anything else that the event loop does between two of the calls it serves."""
    if mask and len(msgspec.json.encode(values)) > ASIDE_BYTES_MIN:
        return await asyncio.to_thread(work, *values)
    return work(*values)


def notes(mask: Mask, texts: Iterable[str]) -> tuple[str, ...]:
    """Texts for people as a record keeps them: each once, not too many, short."""
    kept = islice(dict.fromkeys(texts), NOTES_MAX)
    return tuple(_note(mask.text(storable_text(text))) for text in kept)


def _note(text: str) -> str:
    return text if len(text) <= NOTE_CHARS_MAX else text[: NOTE_CHARS_MAX - 1] + "…"
