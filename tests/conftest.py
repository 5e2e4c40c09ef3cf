"""What holds for all tests: which stay together when they are spread over processes, and how long one may take."""

from __future__ import annotations

import faulthandler
import gc
import os
import sys
import time
from typing import Any

import pytest

TOGETHER = ("e2e", "infra", "architecture")  # each needs once what takes longer than most of its tests
DEPLOYED = ("e2e", "infra")
DEPLOYED_SECONDS_MAX = 600  # of one test: the emulator's start, a dead worker's lease, all scenarios on moto

HUNG_SECONDS = 240  # a test that pytest-timeout cannot end, since it hangs in code of C, says where after that time
ARMED_SECONDS = 30  # the alarm for that is a thread: it is set anew this seldom, not for each of thousands of tests

YOUNG_OBJECTS_MAX = 200_000  # before a collection of cycles: with Python's 700, a third of the time goes into them

COLLECTIONS_MAX = 5  # what a finalizer makes may be garbage, too

# CDK's Node tells its age on stderr, where it would come after pytest's last line. It starts when CDK is imported.
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = ",".join(map(str, range(18, 40)))
os.environ["JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION"] = "1"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: those of an archive hold the time, and each process would have tests of its own."""
    return argname if isinstance(val, bytes) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if folder_of(item.nodeid) in DEPLOYED:
        item.add_marker(pytest.mark.timeout(DEPLOYED_SECONDS_MAX))


class HangAlarm:
    """Writes where all threads are once a test hangs, on the stderr that pytest does not capture."""

    def __init__(self) -> None:
        self._stderr = os.dup(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2)
        self._armed_at = 0.0

    def pytest_runtest_logstart(self) -> None:
        if time.monotonic() - self._armed_at > ARMED_SECONDS:
            self._armed_at = time.monotonic()
            faulthandler.dump_traceback_later(HUNG_SECONDS, file=self._stderr)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._stderr)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("dist", "no") == "no":  # not in a process that has others run the tests
        config.pluginmanager.register(HangAlarm())
    gc.set_threshold(YOUNG_OBJECTS_MAX)
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of cycles looks at it, then or later."""
    gc.freeze()
    gc.enable()


def pytest_sessionfinish() -> None:
    """Garbage is collected until there is none; else pytest looks at all there is five times, for warnings, and Python
    twice more."""
    for _ in range(COLLECTIONS_MAX):
        if not gc.collect():
            break
    gc.freeze()


def folder_of(nodeid: str) -> str:
    """``e2e`` of ``tests/e2e/test_deployed.py::test_it``."""
    return nodeid.split("/", 2)[1]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For ``--dist loadscope``: a file's tests go to one process, and those of a folder that belongs together.

    xdist's own groups (``--dist loadgroup``) have no effect with pytest 9.2 (its issue 1386).
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = folder_of(nodeid)
            return folder if folder in TOGETHER else nodeid.partition("::")[0]

    return Together(config, log) if config.option.dist == "loadscope" else None
