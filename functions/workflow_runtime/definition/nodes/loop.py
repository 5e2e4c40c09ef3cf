"""The loop: a body that runs once for every item, a number of times, or while something holds."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

import re2
from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    MISSING,
    ONE_TEMPLATE,
    TEXT,
    Count,
    Expression,
    Kind,
    Value,
    integer,
    raise_all,
    raise_at,
    read_list_or_template,
    word,
)
from workflow_runtime.definition.ids import ID_PATTERN, read_id, read_reference
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.control import ControlNode
from workflow_runtime.definition.nodes.registry import control_type, read_node, recovered_node
from workflow_runtime.definition.policies import RetryPolicies
from workflow_runtime.definition.reading import Many, Model, Reading, Recovery, as_entries, kind_of, problem
from workflow_runtime.language.item_files import FORMATS, format_of, parse_address
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import has_template, is_one_template
from workflow_runtime.language.texts import quoted

ITEM = "item"
"""What an item is called, whatever else it is called (`as`)."""
WAYS = {"items": "items", "times": "times", "while_condition": "while", "until": "until"}
_FORMAT = word(*FORMATS)
_FILE_FIELDS = ("s3", "format")
_FILE_HINT = "For example `items: {s3: s3://orders/2026/may.csv}`."
_FILE_SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"s3": TEXT, "format": _FORMAT.schema},
    "required": ["s3"],
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
}
_PERCENTAGE = re2.compile(r"^(100|\d{1,2})\s*%$")


def _read_item_name(value: object) -> str:
    return ITEM if value == ITEM else read_id(value)


def _read_items(value: object) -> Json:
    """A list, exactly one ``${…}``, or a file: ``{s3: address, format: word}``."""
    return _read_file(value) if isinstance(value, dict) else read_list_or_template(value)


def _read_file(value: Mapping[str, object]) -> Json:
    given = {name: item for name, item in value.items() if not name.startswith("x-")}
    unknown = [
        problem(rules.UNKNOWN_FIELD, f"unknown field {quoted(name)}", at=(name,), near=(name, _FILE_FIELDS))
        for name in given
        if name not in _FILE_FIELDS
    ]
    raise_all(unknown)
    address = given.get("s3")
    if not isinstance(address, str):
        message = "items in a file need its address" if address is None else f"expected text, not {kind_of(address)}"
        raise problem(rules.WRONG_KIND, message, _FILE_HINT, ("s3",) if "s3" in given else ())
    if "format" in given:
        try:
            _FORMAT.read(given["format"])
        except PydanticCustomError as error:
            raise_at([("format", error)])
    if not has_template(address):
        _check_address(address, has_format="format" in given)
    return given


def _check_address(address: str, *, has_format: bool) -> None:
    try:
        _, key = parse_address(address)
    except ValueError as error:
        raise problem(rules.WRONG_KIND, f"{quoted(address)}: {error}", _FILE_HINT, ("s3",)) from None
    if not has_format and format_of(key) is None:
        message = f"the name of {quoted(address)} does not tell its format"
        raise problem(rules.REQUIRED, message, f"Say `format`: {', '.join(FORMATS)}.")


def _read_times(value: object) -> Json:
    """A whole number, or exactly one ``${…}``."""
    if isinstance(value, str) and has_template(value):
        if not is_one_template(value):
            raise problem(rules.NOT_ONE_TEMPLATE, f"expected a number or exactly one `${{…}}`, not {quoted(value)}")
        return value.strip()
    return integer(0)(value)


def _read_tolerated(value: object) -> int | str:
    """How many passes may fail: a number, or a share of all in percent."""
    if not isinstance(value, str):
        return integer(0)(value)
    if not _PERCENTAGE.match(value.strip()):
        hint = 'For example `tolerated_failures: 3`, or `tolerated_failures: "5%"`.'
        raise problem(rules.WRONG_KIND, f"expected a number or a percentage, not {quoted(value)}", hint)
    return value.strip()


def _read_entry(value: object, info: ValidationInfo) -> object:
    """An entry of a body: a node, or the id of one that is declared beside the loop."""
    if isinstance(value, str):
        return read_reference(value)
    if not isinstance(value, dict | NodeDefinition):
        text = f"the body of a loop holds nodes, or ids of nodes declared beside it, not {kind_of(value)}"
        raise problem(rules.WRONG_KIND, text)
    return read_node(value, info)


def _recovered_body(value: Any, reading: Reading) -> tuple[Model | str, ...]:
    entries = value if isinstance(value, list) else [value] if isinstance(value, str) else as_entries(value)
    return tuple(
        item if isinstance(item, str) else recovered_node(item, (), f"body[{position}]", reading)
        for position, item in enumerate(entries)
    )


_Entry = Annotated[
    NodeDefinition | str, PlainValidator(_read_entry), WithJsonSchema({"anyOf": [TEXT, {"x-ref": "Node"}]})
]
_ITEMS = {"anyOf": [{"type": "array"}, {"type": "string", "pattern": ONE_TEMPLATE}, _FILE_SCHEMA]}
_TIMES = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": ONE_TEMPLATE}]}
_TOLERATED = {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": r"^(100|\d{1,2})\s*%$"}]}


@control_type("loop")
class LoopNode(ControlNode):
    """Repeats its body: a pass for every item, a number of times, or while an expression holds."""

    noun: ClassVar[str] = "a loop"
    aliases: ClassVar = {**ControlNode.aliases, "as": "item_name", "while": "while_condition"}
    hidden: ClassVar = frozenset({"item_name", "while_condition"})
    keeps_null: ClassVar = frozenset({"collect"})
    recoveries: ClassVar[Mapping[str, Recovery]] = {"body": _recovered_body}

    items: Annotated[Json, Kind(_read_items, _ITEMS)] = Field(
        None, description="A pass for every element of this list, of one `${…}`, or of a file (`{s3: address}`)."
    )
    item_name: Annotated[str, Kind(_read_item_name, {"type": "string", "pattern": ID_PATTERN})] = Field(
        ITEM, description="What the item is called in the body, besides `${item}`."
    )
    times: Annotated[Json, Kind(_read_times, _TIMES)] = Field(None, description="How many passes; or one `${…}`.")
    while_condition: Expression | None = Field(None, description="Looked at before every pass; false ends the loop.")
    until: Expression | None = Field(None, description="Looked at after every pass; true ends the loop, as a success.")
    body: Annotated[tuple[_Entry, ...], Many(single=True, limit=100_000)] = Field(
        description="The nodes of a pass: a list of nodes, or ids of nodes declared beside the loop."
    )
    batch_size: Annotated[int, Kind(integer(1), {"type": "integer", "minimum": 1})] | None = Field(
        None, description="A pass gets a list of so many items; the last one may get fewer."
    )
    max_concurrency: Count = Field(1, description="Passes that run at once; 0: as many as an execution carries.")
    distribution: Annotated[str, word("inline", "executions")] = Field(
        "inline", description="Where passes run: in this execution, or in executions of their own."
    )
    max_iterations: Annotated[int, Kind(integer(1), {"type": "integer", "minimum": 1})] | None = Field(
        None, description="Most passes; by default 100 for `while` and `until`, else 100,000."
    )
    on_max_iterations: Annotated[str, word("fail", "continue")] = Field(
        "fail", description="What more passes than that mean: an error, or an end like any other."
    )
    item_retry: RetryPolicies = Field((), description="Attempts of a whole pass after it has failed.")
    on_item_error: Annotated[str, word("fail", "skip", "collect")] | None = Field(
        None,
        description="What a failed pass means: the loop fails; the pass is left out; or its error stands in its place.",
    )
    tolerated_failures: Annotated[int | str | None, Kind(_read_tolerated, _TOLERATED)] = Field(
        None, description="How many passes may fail, as a number or in percent of all; more fail the loop."
    )
    collect: Value = Field(MISSING, description="What a pass contributes to the loop's output (template).")

    @classmethod
    def fitting(cls, defaults: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in super().fitting(defaults, fields).items() if name not in WAYS}

    @property
    def counts(self) -> bool:
        """Whether it is known how many passes there are before the first one."""
        return self.items is not None or self.times is not None

    @property
    def is_distributed(self) -> bool:
        """Whether passes run in executions of their own."""
        return self.distribution == "executions"

    @property
    def reads_file(self) -> bool:
        """Whether its items lie in a file, which a worker reads."""
        return isinstance(self.items, dict)

    @property
    def runs_in_turn(self) -> bool:
        """Whether a pass begins only when the one before has ended."""
        return self.max_concurrency == 1 and not self.is_distributed

    @model_validator(mode="after")
    def _sense(self) -> Self:
        if not self.body:
            raise problem(rules.REQUIRED, "a loop needs a body", at=("body",))
        kinds = {isinstance(entry, str) for entry in self.body}
        if len(kinds) > 1:
            text = "the body holds both nodes and ids of nodes"
            raise problem(rules.COMBINATION, text, "Write all of them here, or all of them beside the loop.", ("body",))
        given = [name for name in WAYS if getattr(self, name) is not None]
        if len(given) != 1 and not (len(given) == 2 and self.counts and given[-1] == "until"):
            found = "has none" if not given else "has " + ", ".join(f"`{WAYS[name]}`" for name in given)
            text = f"a loop needs one of `items`, `times`, `while` and `until`; this one {found}"
            raise problem(rules.COMBINATION, text, "Only `until` may stand beside `items` or `times`.")
        raise_all([problem(rules.COMBINATION, text, hint, (name,)) for name, text, hint in self._nonsense()])
        return self

    def _nonsense(self) -> list[tuple[str, str, str | None]]:
        """Fields that do not go with the others: why, and what to do instead."""
        found: list[tuple[str, str, str | None]] = []
        if self.items is None:
            found += [
                (name, f"`{written}` only goes with `items`", None)
                for name, written in (("item_name", "as"), ("batch_size", "batch_size"))
                if name in self.model_fields_set
            ]
        condition = next((name for name in ("while_condition", "until") if getattr(self, name) is not None), None)
        if condition is not None and self.max_concurrency != 1:
            text = f"`{WAYS[condition]}` looks at pass after pass, so they cannot run at once"
            found.append(("max_concurrency", text, "Remove `max_concurrency`, or say 1."))
        if self.is_distributed and (self.items is None or self.until is not None):
            text = "only passes for `items`, without `until`, can run in executions of their own"
            found.append(("distribution", text, "Remove `distribution`, or say `inline`."))
        if self.reads_file and not self.is_distributed:
            text = "items of a file are for passes that run in executions of their own"
            found.append(("items", text, "Say `distribution: executions`."))
        if self.tolerated_failures is not None and self.on_item_error == "fail":
            text = "`tolerated_failures` lets passes fail, which `on_item_error: fail` does not"
            found.append(("tolerated_failures", text, "Say `on_item_error: skip` or `collect`, or remove one of them."))
        if isinstance(self.tolerated_failures, str) and not self.counts:
            text = "nobody knows how many passes there are going to be, so there is no share of them"
            found.append(("tolerated_failures", text, "Give a number."))
        return found
