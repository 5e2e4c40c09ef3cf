"""The operator's watches, at their end."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from workflow_runtime.frontends.operator.cluster import Access
from workflow_runtime.frontends.operator.store import Store
from workflow_runtime.frontends.operator.watching import Watches


def test_they_end_although_kopf_does_not(tmp_path: Path) -> None:
    """kopf logs in with a token from a pipe into which nobody has written yet."""
    token = tmp_path / "token"
    os.mkfifo(token)
    released: list[int] = []

    async def use() -> None:
        access = Access("http://127.0.0.1:1", "team", token_file=token)
        watching = asyncio.create_task(Watches(access, Store(), lambda _: None, ending_seconds_max=0.1).run())
        while not released:
            await asyncio.sleep(0.02)
            try:
                released.append(os.open(token, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:  # kopf does not read it yet
                continue
        watching.cancel()
        ended, _ = await asyncio.wait({watching}, timeout=60)
        assert ended

    try:
        asyncio.run(use())
    finally:
        for descriptor in released:
            os.close(descriptor)
