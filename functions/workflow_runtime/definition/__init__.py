"""Definitions: YAML (or JSON) text → a typed `WorkflowDefinition` with positions, and findings for all that is wrong.

In the order text meets it: `text` (bytes, encoding, size) → `document` (YAML events to values and `places`, with
`scalars` and `syntax`) → `base`, `fields`, `timed` (how mappings and values are read) → `policies`, `triggers`, `node`,
the types of node (`nodes`, `control`, `waits`, `aggregation`, `unsupported`), charts (`actions`, `transitions`,
`chart`) and `model` (what a document may say) → `loader` (one call for all of it) with `source` (paths to lines and
columns), `mending` (a best effort at what has errors) and `gaps` (what it then lacks). `schema` renders the same models
for editors.

May import pydantic, yaml, findings, durations and expressions (names only). Must never know about plans or execution.
"""

from workflow_runtime.definition.gaps import Gaps
from workflow_runtime.definition.loader import Loaded, in_order, load
from workflow_runtime.definition.model import MISSING, WorkflowDefinition
from workflow_runtime.definition.source import Source

__all__ = ["MISSING", "Gaps", "Loaded", "Source", "WorkflowDefinition", "in_order", "load"]
