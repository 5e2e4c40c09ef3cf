"""Everything an author can write that is not specific to workflows.

- `yaml`: text within bounds to values with their places; `expressions` and templates; `patterns` (EventBridge's);
- `durations`, `schedules` (cron and rates), `schemas` (JSON Schema 2020-12), `json_values`.

Imports `errors`, `findings` and libraries only. It must never know what a workflow, a plan or an execution is.
"""
