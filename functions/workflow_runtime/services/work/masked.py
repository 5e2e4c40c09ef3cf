"""What an attempt leaves behind, without secrets."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable, Collection
from itertools import islice
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from workflow_runtime.engine.graph.work import OUTPUTS_PATH
from workflow_runtime.errors import ErrorDocument, NodeError, storable_text
from workflow_runtime.invokers.containment import described
from workflow_runtime.invokers.masking import Mask
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.work.under_way import Attempt, ids_of
from workflow_runtime.storage.records import Run, RunStatus

ASIDE_BYTES_MIN = 64 * 1024  # of JSON in which secrets are looked for: a few milliseconds
NOTES_MAX = 100  # unresolved paths, warnings: texts for people, in an item of at most 400 KB
NOTE_CHARS_MAX = 500

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


async def aside(mask: Mask, work: Callable[..., Result], *values: Json) -> Result:
    """What ``work`` makes of these values. Secrets are looked for in large ones in a thread: that takes far longer than
    anything else that the event loop does between two of the calls it serves."""
    if mask and len(msgspec.json.encode(values)) > ASIDE_BYTES_MIN:
        return await asyncio.to_thread(work, *values)
    return work(*values)


def notes(mask: Mask, texts: Collection[str]) -> tuple[str, ...]:
    """Texts for people as a record keeps them: each once, not too many, short."""
    if not texts:
        return ()
    kept = islice(dict.fromkeys(texts), NOTES_MAX)
    return tuple(_note(mask.text(storable_text(text))) for text in kept)


def _note(text: str) -> str:
    return text if len(text) <= NOTE_CHARS_MAX else text[: NOTE_CHARS_MAX - 1] + "…"


def error_of(attempt: Attempt, error: Exception) -> ErrorDocument:
    """What an attempt failed with. Secrets never stand in it, and values never in the log."""
    retry_after = None
    if isinstance(error, NodeError):
        kind, message, retry_after = error.type, error.message, error.retry_after
    elif isinstance(error, EvaluationError):
        kind, message = "execution_error", str(error)
    else:
        place = traceback.extract_tb(error.__traceback__)[-1]
        fields = {"error": type(error).__name__, "at": f"{place.filename}:{place.lineno}"}
        logger.error("a node raised", extra={**ids_of(attempt.order), **fields})
        kind, message = "execution_error", described(error)
    return ErrorDocument.of(
        attempt.mask.text(kind), attempt.mask.text(message), attempt.order.command.path, retry_after
    )


async def with_inputs(attempt: Attempt, ended: Run) -> Run:
    """A success of a node that can be undone is recorded with what it was given; so is a failure, if another node may
    run in its place and succeed."""
    rendering = attempt.rendering
    if rendering is None or rendering.node.compensate < 0 or not rendering.rendered or ended.path == OUTPUTS_PATH:
        return ended
    may_be_replaced = rendering.node.fallback >= 0 or any(own.target >= 0 for own in rendering.node.handlers)
    if ended.status is RunStatus.FAILED and not may_be_replaced:
        return ended
    return replace(ended, inputs=await aside(attempt.mask, attempt.mask.value, rendering.rendered))
