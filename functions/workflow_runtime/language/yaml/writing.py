"""JSON values as YAML that people read and change."""

from __future__ import annotations

from typing import Any

import yaml

from workflow_runtime.language.json_values import Json

COLUMNS = 120
FLOW_CHARS_MAX = 100  # what fits on a line stands on one


class _Dumper(yaml.SafeDumper):
    """Short values in one line; no aliases, which few people know."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        super().increase_indent(flow, False)


def _collection(dumper: _Dumper, value: Any) -> yaml.Node:
    mapping = isinstance(value, dict)
    items = value.items() if mapping else value
    node = dumper.represent_mapping("tag:yaml.org,2002:map", items) if mapping else dumper.represent_sequence(
        "tag:yaml.org,2002:seq", items
    )  # fmt: skip
    node.flow_style = len(str(value)) <= FLOW_CHARS_MAX
    return node


_Dumper.add_representer(dict, _collection)
_Dumper.add_representer(list, _collection)


def yaml_text(value: Json) -> str:
    """A document, in the order of its keys."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=COLUMNS)
