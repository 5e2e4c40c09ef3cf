"""The settings of the plugin. Every pytest that has the package imports this: it loads nothing that takes long."""

from __future__ import annotations

from pathlib import Path

import pytest

DEFINITIONS_SETTING = "workflow_definitions"
SCENARIOS_SETTING = "workflow_scenarios"


def definitions_of(config: pytest.Config) -> Path:
    """The definitions directory of the project under test."""
    return config.rootpath / str(config.getini(DEFINITIONS_SETTING))
