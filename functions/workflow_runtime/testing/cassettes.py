"""The fixture `replayed`: executions taken again from their cassettes, with the definitions as they are now."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from workflow_runtime.invokers.cassettes.file import Cassette, decode_cassette
from workflow_runtime.invokers.cassettes.player import Player
from workflow_runtime.invokers.tools.reach import Reach
from workflow_runtime.runtime.replays import HiddenSecrets, Replay
from workflow_runtime.testing.differences import differences_text, json_differences
from workflow_runtime.testing.result import Result, result_of

NO_REACH = Reach(advice="in replays nothing does: what tools gave is recorded")


class Replays:
    """``definitions``: the directory with the workflows, agents and tools; ``root``: where relative paths begin."""

    def __init__(self, definitions: Path, root: Path) -> None:
        self._definitions = definitions if definitions.is_dir() else None
        self._root = root

    def __call__(self, cassette: str | Path | Cassette, *, same_output: bool = True) -> Result:
        """Take the execution of a cassette (a file of `awr record`, or what `WorkflowTester.cassette` gives) again,
        without models, tools and people: the execution as it is now.

        Raises `AssertionError` when something is asked that the cassette does not answer, so that models would be asked
        anew; when it ends otherwise; and, with ``same_output``, when another output comes of the same answers.
        `ValueError` for what is not a cassette.
        """
        __tracebackhide__ = True
        name = "the cassette" if isinstance(cassette, Cassette) else str(cassette)
        player = Player(cassette if isinstance(cassette, Cassette) else _read(self._root / cassette))
        with Replay(player, self._definitions, environ=HiddenSecrets(os.environ), reach=NO_REACH) as replay:
            asyncio.run(replay.take(replay.cassette.input))
            result = result_of(replay.runtime.services, replay.execution_id)
            problems = [*player.departures, *(f"nobody takes what was said: {text}" for text in replay.untaken)]
        taken = replay.cassette
        if problems:
            which = f"{name} does not answer what is asked now; record it again if that is meant"
            raise AssertionError(f"{which}\n{differences_text(iter(problems))}\n{result.summary()}")
        result.assert_status(taken.status)
        if same_output and (differences := list(json_differences(taken.output, result.output))):
            raise AssertionError(f"another output than in {name}\n{differences_text(iter(differences))}")
        return result


def _read(path: Path) -> Cassette:
    try:
        return decode_cassette(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not a cassette: {error}; awr record ID -o FILE makes one") from None
