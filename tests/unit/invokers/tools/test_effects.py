"""Promises about the effects of tools: what they say, and what is taken for granted when they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from workflow_runtime.errors import DefinitionError
from workflow_runtime.invokers.tools.registry import ToolRegistry
from workflow_runtime.plan.catalogue import Catalogue, Effects, decode_catalogue, encode_catalogue
from workflow_runtime.sdk import tool

MODULE = """
from workflow_runtime.sdk import NodeContext, tool

@tool(effects="none")
def look(x: int) -> int: return x

@tool
def pay(amount: int) -> int: return amount

@tool
def book(city: str, context: NodeContext) -> str: return context.idempotency_key

@tool
def charge(amount: int, idempotency_key: str) -> int: return amount
"""


def load(folder: Path, yaml: str) -> ToolRegistry:
    (folder / "shop.py").write_text(MODULE, encoding="utf-8")
    (folder / "variants.yaml").write_text(yaml, encoding="utf-8")
    return ToolRegistry.load(folder)


def test_effects_are_what_the_tool_says_else_what_its_code_shows(tmp_path: Path) -> None:
    yaml = "tools:\n  - {id: peek, uses: pay, inputs: {amount: 0}, effects: none}\n  - {id: same, uses: book}\n"
    entries = load(tmp_path, yaml).describe()
    assert {id: entries[id].effects for id in ("look", "pay", "book", "charge", "peek", "same", "echo")} == {
        "look": Effects.NONE,
        "pay": Effects.ONCE,
        "book": Effects.IDEMPOTENT,
        "charge": Effects.IDEMPOTENT,
        "peek": Effects.NONE,
        "same": Effects.IDEMPOTENT,
        "echo": Effects.NONE,
    }
    catalogue = Catalogue(tools=entries)
    assert decode_catalogue(encode_catalogue(catalogue)) == catalogue


def test_unknown_effects_are_refused_where_they_are_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="effects must be one of none, idempotent, once, not 'some'"):
        tool(effects="some")
    with pytest.raises(DefinitionError, match="effects"):
        load(tmp_path, "tools:\n  - {id: peek, uses: pay, effects: some}\n")
