"""The commands of `awr`: options and help texts, a module per family; what they do is imported when they run.

- `options`: what several commands take.
- `check` (validate, compile, graph), `run`, `dev`, and `remote` (publish, start, list, status, history).
"""
