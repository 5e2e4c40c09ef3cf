"""Construct ids of the topology's names: stable, since CloudFormation's logical ids are made of them."""

from __future__ import annotations

import re


def construct_id(name: str) -> str:
    """``dispatch.fifo`` is ``DispatchFifo``."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^0-9A-Za-z]+", name))
