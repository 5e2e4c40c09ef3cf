"""Small YAML files of agents, tools and mocks: read safely, with the place of every value, all problems reported at
once.

Workflow files have their own loader (`definition`); these files are lists of flat entries and need neither its aliases
for fields nor its merges. Workers read them at a cold start, and must not import the compiler's models for it.
Rules: ``WF6xx``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import yaml

from workflow_runtime.errors import DefinitionError
from workflow_runtime.findings import Finding, Rule, Severity, rule

DOCUMENT_BYTES_MAX = 1024 * 1024  # people write these files; one larger is a mistake
NODES_MAX = 50_000  # values after aliases are expanded: an alias bomb ends here, before memory grows
DEPTH_MAX = 64  # as deep as workflow files

UNREADABLE = rule("WF601", Severity.ERROR, "A file of agents, tools or mocks cannot be read")
WRONG_FIELD = rule("WF602", Severity.ERROR, "A field of an agent, tool or mock has a wrong value or is missing")
UNKNOWN_KEY = rule("WF603", Severity.ERROR, "An agent, tool or mock has a key that does not exist")
DECLARED_TWICE = rule(
    "WF604", Severity.ERROR, "Two agents or two tools have the same id", "rename or remove one of them"
)
UNUSABLE_TOOL = rule("WF605", Severity.ERROR, "A Python tool cannot be used")
UNKNOWN_TOOL = rule("WF606", Severity.ERROR, "A tool definition uses a tool that does not exist")

Path_ = tuple[str | int, ...]


class Document(msgspec.Struct, frozen=True):
    """A file's ``value`` (JSON) and where each part of it stands (line and column count from 1)."""

    value: Any
    file: str = ""
    positions: dict[Path_, tuple[int, int]] = {}

    def finding(self, rule: Rule, message: str, path: Sequence[str | int] = (), hint: str = "") -> Finding:
        """A finding at ``path``, or at the nearest place above it that the file has."""
        place = tuple(path)
        while place and place not in self.positions:
            place = place[:-1]
        line, column = self.positions.get(place, (0, 0))
        return Finding(rule.id, rule.severity, message, path_text(path), line, column, hint or rule.hint, self.file)


def path_text(path: Sequence[str | int]) -> str:
    """``("agents", 2, "model")`` as ``agents[2].model``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """The known names most like ``name``, best first; a name that differs only in case or ``-``/``_`` counts as
    like."""
    folded = {re.sub(r"[-_\s]", "", candidate).casefold(): candidate for candidate in known}
    matches = difflib.get_close_matches(re.sub(r"[-_\s]", "", name).casefold(), folded, n=count, cutoff=0.6)
    return [folded[match] for match in matches]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the known names when none is near, or nothing when there are none."""
    names = sorted(known)
    if near := nearest(name, names):
        return f"did you mean {' or '.join(repr(match) for match in near)}?"
    return f"known: {', '.join(names[:20])}{' …' if len(names) > 20 else ''}" if names else ""


def read_document(file: Path) -> Document:
    """The document in ``file``. Raises `DefinitionError` for what is no readable YAML document."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _unreadable(str(file), f"cannot be read: {error.strerror or error}") from None
    return parse_document(data, str(file))


def parse_document(data: bytes, file: str = "") -> Document:
    """The one YAML (or JSON) document in ``data``; an empty one is null. Raises `DefinitionError`."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise _unreadable(file, f"is larger than {DOCUMENT_BYTES_MAX // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"is not UTF-8 (byte {error.start})", hint="save it as UTF-8") from None
    loader = _Loader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document(None, file)
        reader = _Reader(loader, file)
        return Document(reader.read(root, ()), file, reader.positions)
    except RecursionError:
        raise _unreadable(file, f"is nested more than {DEPTH_MAX} levels deep") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "put quotes around a value that holds ${…}, ':' or '#'"
        raise _unreadable(file, f"is no valid YAML: {error.problem or error.context}", mark, hint) from None
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(file, f"is no valid YAML: {error}") from None
    finally:
        loader.dispose()


def _unreadable(file: str, problem: str, mark: Any = None, hint: str = "") -> DefinitionError:
    line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
    return DefinitionError(
        [
            Finding(
                UNREADABLE.id, UNREADABLE.severity, f"{file or 'the document'} {problem}", "", line, column, hint, file
            )
        ]
    )


class _Loader(yaml.SafeLoader):
    """Composes nodes only; scalars are those of the YAML 1.2 core schema: ``on``, ``no``, dates and ``12:30`` stay
    strings."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's way: the class attribute replaces the inherited YAML 1.1 table)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), ["" if c == "\0" else c for c in _first]
    )


class _Reader:
    """Nodes to JSON values. Aliases are expanded here, so that the count bounds what they make."""

    def __init__(self, loader: _Loader, file: str) -> None:
        self._loader = loader
        self._file = file
        self._left = NODES_MAX
        self.positions: dict[Path_, tuple[int, int]] = {}

    def read(self, node: yaml.Node, path: Path_) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _unreadable(self._file, f"holds more than {NODES_MAX} values", node.start_mark)
        if len(path) > DEPTH_MAX:
            raise _unreadable(self._file, f"is nested more than {DEPTH_MAX} levels deep", node.start_mark)
        self.positions[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise _unreadable(self._file, f"uses the tag {node.tag!r}", node.start_mark, "remove the tag")

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise _unreadable(self._file, "has a key that is no text", key_node.start_mark)
            key = str(key_node.value)
            if key == "<<" and key_node.style is None:
                raise _unreadable(self._file, "uses a merge (<<)", key_node.start_mark, "write the keys out")
            if key in result:
                raise _unreadable(self._file, f"has the key {key!r} twice", key_node.start_mark, "remove one of them")
            result[key] = self.read(value_node, (*path, key))
        return result

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        text = str(node.value)
        match node.tag.removeprefix("tag:yaml.org,2002:"):
            case "str":
                return text
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
            case "float":
                number = float(text)
                if number in (float("inf"), float("-inf")):
                    raise _unreadable(self._file, f"has a number out of range: {text}", node.start_mark)
                return number
            case _:
                raise _unreadable(self._file, f"uses the tag {node.tag!r}", node.start_mark, "remove the tag")
