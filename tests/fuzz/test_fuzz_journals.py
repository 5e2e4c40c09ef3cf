"""Recorded histories as random edits leave them: a replay takes each, tells where it differs, or says why
it is none.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.fuzz.campaign import SECONDS, campaign
from tests.fuzz.edits import LEAVES, places, somewhere

from workflow_runtime.testing import replay

HISTORIES = Path(__file__).parents[1] / "golden" / "histories"
SECONDS_MAX = 10.0  # of CPU: the longest history has a few hundred entries
EDITS_MAX = 3


@cache
def recorded() -> tuple[str, ...]:
    """The smaller half: an edit of a large one is one like theirs."""
    texts = sorted((path.read_text("utf-8") for path in HISTORIES.glob("*.json")), key=len)
    return tuple(texts[: len(texts) // 2])


def take(random: Random) -> str:
    text = random.choice(recorded())
    if random.random() < 0.1:
        place = random.randrange(len(text))
        return outcome(text[:place] + random.choice(("", "}", "\u202e", "NaN")) + text[place + 1 :])
    document = json.loads(text)
    for _ in range(random.randint(1, EDITS_MAX)):
        _edit(random, document)
    return outcome(json.dumps(document, ensure_ascii=False))


def _edit(random: Random, document: Any) -> None:
    found = somewhere(random, document)
    if found is None:
        return
    holder, key = found
    match random.randrange(4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list) and len(holder) > 1:
            random.shuffle(holder)
        case 2:
            other: Any = document
            for step in random.choice(list(places(document)))[:3]:
                other = other[step] if isinstance(other, dict) and step in other else other
            holder[key] = copy.deepcopy(other)
        case _:
            holder[key] = copy.deepcopy(random.choice(LEAVES))


def outcome(text: str) -> str:
    try:
        replay(text.encode(errors="replace"))
    except AssertionError:
        return "differs"
    except ValueError:
        return "no recording"
    return "the same"


@pytest.mark.timeout(SECONDS + 120)
def test_no_history_makes_a_replay_raise_anything_else() -> None:
    counts = campaign(take, SECONDS_MAX)
    print(dict(counts))
    assert counts
