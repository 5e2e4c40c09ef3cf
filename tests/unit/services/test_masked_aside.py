"""Where secrets are looked for in what is large, the event loop serves others meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from workflow_runtime.invokers.masking import NOTHING_SECRET, Mask
from workflow_runtime.language.json_values import Json
from workflow_runtime.services.work.masked import ASIDE_BYTES_MIN, aside

SECRET = Mask(["geheim-9173"])


@pytest.mark.parametrize(
    ("mask", "value", "is_aside"),
    [
        (SECRET, "x" * ASIDE_BYTES_MIN, True),
        (SECRET, [["x" * 99] * 1000], True),
        (SECRET, "x", False),
        (NOTHING_SECRET, "x" * ASIDE_BYTES_MIN, False),
    ],
)
def test_large_values_are_looked_through_in_a_thread(mask: Mask, value: Json, is_aside: bool) -> None:
    threads: list[Any] = []

    def work(given: Json) -> Json:
        threads.append(threading.current_thread())
        return mask.value(given)

    assert asyncio.run(aside(mask, work, value)) == value
    assert (threads[0] is not threading.current_thread()) == is_aside
