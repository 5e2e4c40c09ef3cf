"""Randomized tests: one item takes all its seeds in a loop, and a failure says which seed it was."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any


def for_seeds(seeds: Iterable[int]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Runs a test that takes a ``seed`` once for each of them. The environment's SEED=17 takes that one alone."""
    chosen = [int(os.environ["SEED"])] if "SEED" in os.environ else list(seeds)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def for_each(*arguments: Any, **fixtures: Any) -> None:
            for seed in chosen:
                try:
                    test(*arguments, seed=seed, **fixtures)
                except BaseException as error:
                    error.add_note(f"with seed {seed}; SEED={seed} takes it alone")
                    raise

        signature = inspect.signature(test)
        others = [parameter for name, parameter in signature.parameters.items() if name != "seed"]
        for_each.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]
        return for_each

    return decorate
