"""Definitions: YAML (or JSON) text → a typed `WorkflowDefinition` with positions, and findings for all that is wrong.

Values with their places come from `language.yaml`. Here, in the order they are read: `reading`, `fields`, `timed` (how
mappings and values are read) → `policies`, `triggers`, `nodes` (whose types register in `nodes.registry`), `charts` →
`workflow` (what a document may say) → `loader` (one call for all of it) with `source` (paths to lines and columns) and
`recovery` (a best effort at what has errors, and what it then lacks). `schema` renders the same models for editors;
`rules` are the findings WF2xx.

Modules with models do without `from __future__ import annotations`: pydantic would have to compile the text of each
annotation whenever a process starts.

Imports `language`, `plan`, `findings`, `errors` and pydantic. It must never know about execution. This module imports
nothing, so that workers can use `language` without pydantic.
"""
