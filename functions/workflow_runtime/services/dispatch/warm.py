"""States that this process has committed itself, so that the next event of an execution need not read them again.

A state is kept only once everything that its commit ordered was sent, so whoever starts from it has nothing to publish
first. Somebody else may have committed since: a warm state is therefore good for one thing only, to be the ground of
the next commit, whose condition fails unless it is still the newest. What comes to no commit (an event that changes
nothing, or that the engine refuses) is decided again on the state that is stored.

A commit that fails costs more than the read that was to be saved: DynamoDB charges for it, and all that it decided was
in vain. Of many processes that serve the same executions, hardly one has the newest state of any. So a process trusts
its warm states as long as nearly all of them were the newest; while it does not, it goes on comparing them with what it
reads, and thus learns when they are again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from workflow_runtime.engine.codec import decode_state
from workflow_runtime.engine.state import ExecutionState
from workflow_runtime.language.caching import ByteCache
from workflow_runtime.storage.records import Tags

WARM_BYTES_MAX = 16 * 1024 * 1024  # some thousand states of usual executions; a function has 512 MB
WARM_MS_MAX = 15 * 60_000  # an id may be given anew once its execution has expired, which takes a day at least
TRUSTED_SHARE_MIN = 0.8  # of warm states that were the newest: a write unit costs as much as five read units
LOOKS_REMEMBERED = 8  # by that share, about: what was longer ago counts for little
_OVERHEAD_BYTES = 500  # of an entry, beside its state


class _Warm(msgspec.Struct, frozen=True):
    """A state as it is stored, its version, its tags, and when it was kept (epoch ms)."""

    stored: bytes
    version: int
    tags: Tags
    kept_at: int


class WarmStates:
    """For any thread. ``now``: epoch ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._states: ByteCache[str, _Warm] = ByteCache(WARM_BYTES_MAX)
        self._share = 1.0

    def keep(self, state: ExecutionState, stored: bytes, tags: Tags) -> None:
        """Keep a state that this process has committed and published; ``stored``: its stored form. One that is over is
        read, as it may have to wait before it is reopened; hardly anything is heard of it again anyway."""
        if not state.status.terminal:
            warm = _Warm(stored, state.version, tags, self._now())
            self._states.put(state.execution_id, warm, len(stored) + _OVERHEAD_BYTES)

    def take(self, execution_id: str) -> tuple[ExecutionState, Tags] | None:
        """The state that was kept, if warm states are trusted now; for one try: it is not kept any longer."""
        warm = self._pop(execution_id) if self._share >= TRUSTED_SHARE_MIN else None
        return (decode_state(warm.stored), warm.tags) if warm is not None else None

    def compare(self, execution_id: str, version: int) -> None:
        """The state that is stored was read: note whether the one that was kept, if any, would have been as new."""
        warm = self._pop(execution_id)
        if warm is not None:
            self.note(was_newest=warm.version == version)

    def note(self, *, was_newest: bool) -> None:
        """What a commit on a state that was taken has shown."""
        self._share += (was_newest - self._share) / LOOKS_REMEMBERED

    def _pop(self, execution_id: str) -> _Warm | None:
        warm = self._states.pop(execution_id)
        return warm if warm is not None and self._now() - warm.kept_at <= WARM_MS_MAX else None
