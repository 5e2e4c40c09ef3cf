"""Pytest inside pytest forgets the modules that it was the first to import, and a module that is imported twice has two
of every class: so what scenarios need is imported here, before.
"""

from __future__ import annotations

import workflow_runtime.backends.embedded.backend
import workflow_runtime.compiler
import workflow_runtime.testing.kit
import workflow_runtime.testing.scenario  # noqa: F401
