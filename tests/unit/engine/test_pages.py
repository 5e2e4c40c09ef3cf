"""Long tables that the next release stores in pages are read."""

from __future__ import annotations

import msgspec
from tests.unit.engine.driver import Driver, control, plan_of

from workflow_runtime.engine.codec import decode_state, encode_state


def test_an_execution_with_tables_in_pages_goes_on() -> None:
    waits = [control(f"w{number}", "wait", seconds=1) for number in range(30)]
    driver = Driver(plan_of([*waits, {"id": "a", "dependencies": ["w0", "w20"]}])).start()
    stored = msgspec.json.decode(encode_state(driver.state))
    for name in ("scopes", "pending"):
        items = [*stored[name].items()]
        stored[name] = [dict(items[place : place + 8]) for place in range(0, len(items), 8)]
    state = decode_state(msgspec.json.encode(stored))
    assert state == driver.state
    driver.state = state
    driver.elapse(1)
    assert [*driver.ordered] == ["a"]
    driver.succeed("a")
    assert driver.status == "completed"
