"""The protocol of delivery as a formal model (`delivery.pml`): every interleaving is walked, every planted bug found.

Needs ``spin`` and ``gcc`` (Debian has both). ``MODEL=whole pytest tests/model`` walks all there is, by hand, when the
protocol changes (some 20 minutes, and up to 3 GB); otherwise the smallest world, and of the bugs two.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).parent / "delivery.pml"
WHOLE = os.environ.get("MODEL") == "whole"
DEPTH_MAX = 100_000
ONE_NODE = {"AT_WORK": "1"}
CANCELLED, SUSPENDED = {"PERSON": "CANCELS"}, {"PERSON": "SUSPENDS"}
CALM, TWO_FAULTS = {"FAULTS_MAX": "0"}, {"FAULTS_MAX": "2"}
WORLDS: dict[str, dict[str, str]] = {
    "two nodes, one place, no fault": CALM,
    "two nodes, cancelled, no fault": CALM | CANCELLED,
    "one node, one fault": ONE_NODE,
    "two nodes, suspended, no fault": CALM | SUSPENDED,
    "one node, cancelled, one fault": ONE_NODE | CANCELLED,
    "one node, suspended, one fault": ONE_NODE | SUSPENDED,
    "two nodes, one place, one fault": {},
    "two nodes, cancelled, one fault": CANCELLED,
    "two nodes, suspended, one fault": SUSPENDED,
    "one node, two faults": ONE_NODE | TWO_FAULTS,
    "one node, cancelled, two faults": ONE_NODE | CANCELLED | TWO_FAULTS,
    "one node, suspended, two faults": ONE_NODE | SUSPENDED | TWO_FAULTS,
}
BUGS: dict[str, dict[str, str]] = {
    "REDELIVERY_DROPPED": ONE_NODE,
    "CLAIM_WITHOUT_CONDITION": ONE_NODE,
    "PLACE_FREED_EARLY": CALM,
    "SENDS_FIRST": ONE_NODE,
    "COMMIT_WITHOUT_CONDITION": ONE_NODE,
    "HEADER_WITHOUT_CONDITION": ONE_NODE,
    "MARKED_BEFORE_PUBLISHED": ONE_NODE,
    "EXPIRED_RUN_AGAIN": ONE_NODE,
    "RECORD_WITHOUT_CONDITION": ONE_NODE,
    "ACKNOWLEDGED_FIRST": ONE_NODE,
    "NO_SIZE": CALM,
    "LINE_WITHOUT_NONCE": CALM,
    "WAITER_DELETED_FIRST": {},
    "STOP_MISSES_UNCLAIMED": CANCELLED,
    "TERMINAL_NOT_FINAL": CALM | CANCELLED,
    "RESUME_FORGETS": ONE_NODE | SUSPENDED,
    "REPEATED_REQUEST_TAKEN": ONE_NODE | SUSPENDED,
}
pytestmark = pytest.mark.skipif(
    not (shutil.which("spin") and shutil.which("gcc")), reason="the model needs spin and gcc"
)


def walk(folder: Path, choices: dict[str, str]) -> tuple[str, int]:
    """What is found in a world ("": nothing), and how many states it has."""
    flags = [f"-D{name}={value}" if value else f"-D{name}" for name, value in choices.items()]
    optimization = "-O2" if WHOLE else "-O0"
    for command in (
        ["spin", *flags, "-a", str(MODEL)],
        ["gcc", "-w", optimization, "-DSAFETY", "-DCOLLAPSE", "-o", "pan", "pan.c"],
    ):
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    told = subprocess.run(["./pan", f"-m{DEPTH_MAX}", "-n"], cwd=folder, check=True, capture_output=True, text=True)
    assert "max search depth too small" not in told.stdout
    found = re.search(r"pan:1: (.*) \(at depth", told.stdout)
    states = re.search(r"(\d+) states, stored", told.stdout)
    assert states is not None, told.stdout
    return found[1] if found else "", int(states[1])


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", list(WORLDS)[: None if WHOLE else 1])
def test_whatever_happens_the_protocol_keeps_its_promises(name: str, tmp_path: Path) -> None:
    found, states = walk(tmp_path, WORLDS[name])
    print(f"{name}: {states:,} states")
    assert found == ""
    assert states > 1_000


@pytest.mark.timeout(0)
@pytest.mark.parametrize("bug", list(BUGS)[: None if WHOLE else 2])
def test_a_planted_bug_has_a_counterexample(bug: str, tmp_path: Path) -> None:
    found, states = walk(tmp_path, {**BUGS[bug], f"BUG_{bug}": ""})
    print(f"{bug}: {found} after {states:,} states")
    assert found
