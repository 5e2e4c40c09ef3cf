"""The aggregation node."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import (
    MISSING,
    Expression,
    Flag,
    Kind,
    ListOrTemplate,
    Literal,
    Value,
    integer,
    word,
)
from workflow_runtime.definition.nodes.common import NodeDefinition
from workflow_runtime.definition.nodes.registry import node_type
from workflow_runtime.definition.reading import kind_of, problem
from workflow_runtime.language.templates import has_template
from workflow_runtime.language.texts import quoted

STRATEGY_FIELDS: dict[str, frozenset[str]] = {
    "merge": frozenset(),
    "collect": frozenset(),
    "collect_by_id": frozenset(),
    "concat": frozenset(),
    "first": frozenset(),
    "last": frozenset(),
    "sum": frozenset({"field"}),
    "average": frozenset({"field"}),
    "min": frozenset({"field"}),
    "max": frozenset({"field"}),
    "vote": frozenset({"field", "ties", "min_votes", "detail"}),
    "best": frozenset({"score"}),
    "expression": frozenset({"value"}),
}
"""Strategies, and the parameters of each besides `items` and `default`."""

PARAMETERS = frozenset().union(*STRATEGY_FIELDS.values())


def read_min_votes(value: object) -> int | str:
    """A number of votes, or a share as ``"60%"``."""
    if isinstance(value, str) and value.endswith("%") and value[:-1].isascii() and value[:-1].isdigit():
        if 0 < int(value[:-1][:6]) <= 100:
            return value
        raise problem(rules.OUT_OF_RANGE, f"{quoted(value)} is out of range: 1% to 100%")
    if isinstance(value, str) and not has_template(value):
        raise problem(
            rules.WRONG_KIND, f"expected a number or a percentage, not {kind_of(value)}", "For example `60%`."
        )
    return integer(1)(value)


_MIN_VOTES = {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": "^[0-9]{1,3}%$"}]}


@node_type("aggregation")
class AggregationNode(NodeDefinition):
    """Combines the outputs of its dependencies, or the elements of `items`."""

    noun: ClassVar[str] = "an aggregation"
    keeps_null: ClassVar = frozenset({"default", "value"})

    strategy: Annotated[str, word(*STRATEGY_FIELDS)] = Field("merge", description="How to combine.")
    items: ListOrTemplate = Field(None, description="List to combine instead of the dependencies' outputs.")
    field: Literal | None = Field(None, description="Field of each element that counts.")
    score: Expression | None = Field(None, description="Expression over `${item}`; the highest wins.")
    value: Value = Field(MISSING, description="Template of the result.")
    ties: Annotated[str, word("first", "fail")] = Field("first", description="What equal votes mean.")
    min_votes: Annotated[int | str | None, Kind(read_min_votes, _MIN_VOTES)] = Field(
        None, description="Votes that a winner needs at least, as a number or a percentage."
    )
    detail: Flag = Field(False, description="Result of a vote with counts: `{value, votes, total}`.")
    default: Value = Field(MISSING, description="Result when there is nothing to combine (template).")

    @classmethod
    def fitting(cls, defaults: Mapping[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
        strategy = fields.get("strategy", defaults.get("strategy", "merge"))
        own = STRATEGY_FIELDS.get(strategy, PARAMETERS) if isinstance(strategy, str) else PARAMETERS
        return {name: value for name, value in defaults.items() if name in own or name not in PARAMETERS}

    @model_validator(mode="after")
    def _parameters(self) -> Self:
        own = STRATEGY_FIELDS[self.strategy]
        stray = sorted(self.model_fields_set & (PARAMETERS - own))
        if stray:
            raise problem(
                rules.COMBINATION, f"the strategy `{self.strategy}` does not use `{stray[0]}`", at=(stray[0],)
            )
        for name in own & {"score", "value"}:
            if getattr(self, name) in (None, MISSING):
                raise problem(rules.REQUIRED, f"the strategy `{self.strategy}` needs `{name}`")
        return self
