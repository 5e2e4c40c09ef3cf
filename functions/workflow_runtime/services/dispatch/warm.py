"""States that this process has committed itself, so that the next event of an execution need not read them again.

A state is kept only once everything that its commit ordered was sent, so whoever starts from it has nothing to publish
first. Somebody else may have committed since: a warm state is therefore good for one thing only, to be the ground of
the next commit, whose condition fails unless it is still the newest. What comes to no commit (an event that changes
nothing, or that the engine refuses) is decided again on the state that is stored.
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
_OVERHEAD_BYTES = 500  # of an entry, beside its state


class _Warm(msgspec.Struct, frozen=True):
    """A state as it is stored, its tags, and when it was kept (epoch ms)."""

    stored: bytes
    tags: Tags
    kept_at: int


class WarmStates:
    """For any thread. ``now``: epoch ms."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._states: ByteCache[str, _Warm] = ByteCache(WARM_BYTES_MAX)

    def keep(self, state: ExecutionState, stored: bytes, tags: Tags) -> None:
        """Keep a state that this process has committed and published; ``stored``: its stored form. Of one that is over
        hardly anything is heard again."""
        if not state.status.terminal:
            self._states.put(state.execution_id, _Warm(stored, tags, self._now()), len(stored) + _OVERHEAD_BYTES)

    def take(self, execution_id: str) -> tuple[ExecutionState, Tags] | None:
        """The state that was kept, for one try: it is not kept any longer."""
        warm = self._states.pop(execution_id)
        if warm is None or self._now() - warm.kept_at > WARM_MS_MAX:
            return None
        return decode_state(warm.stored), warm.tags
