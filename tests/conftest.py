"""What holds for all tests: which stay together when they are spread over processes, and how long one may take."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

TOGETHER = ("e2e", "infra", "architecture")  # each needs once what takes longer than most of its tests
DEPLOYED = ("e2e", "infra")
DEPLOYED_SECONDS_MAX = 600  # of one test: the emulator's start, a dead worker's lease, all scenarios on moto

YOUNG_OBJECTS_MAX = 200_000  # before a collection of cycles: with Python's 700, a third of the time goes into them

# CDK's Node tells its age on stderr, where it would come after pytest's last line. It starts when CDK is imported.
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = ",".join(map(str, range(18, 40)))
os.environ["JSII_SILENCE_WARNING_UNTESTED_NODE_VERSION"] = "1"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes do not name a test: those of an archive hold the time, and each process would have tests of its own."""
    return argname if isinstance(val, bytes) else None


def pytest_itemcollected(item: pytest.Item) -> None:
    if item.path.relative_to(Path(__file__).parent).parts[0] in DEPLOYED:
        item.add_marker(pytest.mark.timeout(DEPLOYED_SECONDS_MAX))


def pytest_configure() -> None:
    gc.set_threshold(YOUNG_OBJECTS_MAX)
    gc.disable()


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: no collection of cycles looks at it, then or later."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For ``--dist loadscope``: a file's tests go to one process, and those of a folder that belongs together.

    xdist's own groups (``--dist loadgroup``) have no effect with pytest 9.2 (its issue 1386).
    """
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Together(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = Path(file).parts[1]
            return folder if folder in TOGETHER else file

    return Together(config, log) if config.option.dist == "loadscope" else None
