"""Executions that live for long keep their size and lose nothing; `soak` lets ten thousand hours pass."""

from __future__ import annotations

import asyncio

from tests.simulation.soak import soak


def test_a_week_of_timers_and_events_leaves_nothing_behind() -> None:
    assert asyncio.run(soak(hours=7 * 24, executions=2))["timers"] == 2 * 7 * 24
