"""The pump fires the schedules of simulated AWS, which keeps them but does nothing: time there is what a clock says."""

from __future__ import annotations

import asyncio

from tests.ahead_clock import AheadClock

from workflow_runtime.backends.simulated_aws import simulated
from workflow_runtime.runtime.in_process import LocalRuntime

DAY_MS = 24 * 3600 * 1000
CHART = """
workflow:
  id: 计时
  type: state_machine
  initial_state: 短
  states:
    - name: 短
      after: [{delay: 20m, target: 长}]
    - name: 长
      after: [{delay: 30d, target: end}]
"""


def test_twenty_minutes_and_thirty_days_pass_on_simulated_aws() -> None:
    clock = AheadClock()

    async def live(runtime: LocalRuntime) -> list[str]:
        services = runtime.services
        services.catalog.publish(CHART.encode())
        execution_id = services.starter.start("计时", {})
        seen = []
        for milliseconds in (0, 20 * 60_000, 29 * DAY_MS, DAY_MS):
            clock.ahead_ms += milliseconds
            await runtime.settle(execution_id)
            seen += services.documents.drawn_progress(services.documents.header(execution_id)).active[""]
        return [*seen, await runtime.run_until_ended(execution_id)]

    with LocalRuntime(simulated.open_backend(clock)) as runtime:
        assert asyncio.run(live(runtime)) == ["短", "长", "长", "end", "completed"]
