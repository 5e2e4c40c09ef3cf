"""How much work something is, on any machine: what is counted is calls of functions."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from cProfile import Profile
from typing import Any


def calls_of(function: Callable[..., Any], *arguments: Any) -> int:
    """How many functions are called, those of C included; not those that garbage of others calls as it goes."""
    profile, before, collects = Profile(), sys.getprofile(), gc.isenabled()
    gc.disable()
    try:
        profile.runcall(function, *arguments)
    finally:
        sys.setprofile(before)
        if collects:
            gc.enable()
    return sum(entry.callcount for entry in profile.getstats())
