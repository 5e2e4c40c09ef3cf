"""YAML (or JSON) text to plain values within bounds, and where each of them stands.

In the order text meets it: `text` (bytes, encoding, size) → `plain` (for nearly all files) or `document` (for all: YAML
events to values and `places`, with `scalars` and `syntax`), within `bounds`; `small_files` reads the files of agents,
tools, mocks and scenarios; `rules` are the findings WF1xx.
"""
