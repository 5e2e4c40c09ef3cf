"""What a chart did with an event, as a value for the journal and for people, and what it raises meanwhile."""

from __future__ import annotations

import msgspec

from workflow_runtime.language.json_values import Json


class Macrostep(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event taken to completion, eventless transitions and raised events included.

    - ``machine``: path of the chart, ``""`` at the top
    - ``source``: the state whose transition was taken first
    - ``exited``, ``entered``: states, in the order it happened
    - ``configuration``: the active leaf states afterwards
    - ``taken``: the transitions, as ``event: source -> targets``
    - ``actions``: what was done, by type
    - ``reason``: why nothing was taken, ``""`` when something was
    - ``at``: epoch ms
    - ``failures``: actions, guards, delays and outputs that failed, each with the reason; whether or not the chart went
      on to hear of it
    - ``warnings``: what else people should know: texts that were compared with numbers
    """

    machine: str
    event: str
    at: int
    source: str = ""
    exited: tuple[str, ...] = ()
    entered: tuple[str, ...] = ()
    configuration: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    reason: str = ""
    failures: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class Raised(msgspec.Struct, frozen=True, omit_defaults=True):
    """An internal event of a chart.

    - ``runtime``: raised by the runtime, so its data never becomes variables
    - ``state``, ``delay``: of a delay that has run out, whose it is
    """

    name: str
    data: Json = None
    runtime: bool = False
    state: int = -1
    delay: int = -1
