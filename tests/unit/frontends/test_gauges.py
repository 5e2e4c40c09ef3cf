"""What waits, by what it waits for, as `awr serve` tells Prometheus."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from workflow_runtime.backends.embedded.queues import QueueDepth
from workflow_runtime.errors import RequestError
from workflow_runtime.frontends.serve.gauges import Gauges
from workflow_runtime.frontends.serve.metrics import Measurements


class Limits:
    def list(self) -> list[dict[str, Any]]:
        return [{"name": "model"}, {"name": "shop"}]

    def get(self, name: str) -> dict[str, Any]:
        gauge = {"waiting": 2 if name == "model" else 1, "held": 0, "paused": False}
        return {"name": name, "gauges": [gauge]}


class Freezes:
    def list(self) -> list[Any]:
        return [SimpleNamespace(scope="all"), SimpleNamespace(scope="thawed meanwhile")]

    def held(self, scope: str) -> tuple[Any, list[str], bool]:
        if scope != "all":
            raise RequestError("not_found", "it is not frozen")
        return None, ["start", "order"], False


class Approvals:
    def list(self, *, is_open: bool, limit: int) -> list[str]:
        assert is_open
        return ["approval"] * min(limit, 4)


def test_what_waits_is_counted_by_reason() -> None:
    services: Any = SimpleNamespace(limits=Limits(), freezes=Freezes(), stores=SimpleNamespace(approvals=Approvals()))
    depths = [QueueDepth("node-tool", 5, 9, 0), QueueDepth("events", 7, 9, 0)]
    families = {family.name: family for family in Gauges(Measurements(), lambda: depths, lambda: services).collect()}
    found = {sample.labels["reason"]: sample.value for sample in families["awr_waiting"].samples}
    assert found == {"limiter": 3, "worker": 5, "person": 4, "frozen": 2}
