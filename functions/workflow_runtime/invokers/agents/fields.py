"""Kinds of fields that definitions of agents are made of."""

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from workflow_runtime.language.expressions import (
    Expression,
    ExpressionSyntaxError,
    Template,
    compile_expression,
    compile_template,
)
from workflow_runtime.language.suggestions import with_hint

PositiveInt = Annotated[int, Field(gt=0)]


class FrozenModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def as_tuple(value: object) -> object:
    """A list as what the fields hold: files have lists, frozen models tuples."""
    return tuple(value) if isinstance(value, list) else value


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else as_tuple(value)


Texts = Annotated[tuple[str, ...], BeforeValidator(as_tuple, json_schema_input_type=list[str])]
TextOrTexts = Annotated[tuple[str, ...], BeforeValidator(_one_or_several, json_schema_input_type=str | list[str])]


def expression_over(*names: str) -> BeforeValidator:
    """What makes a text the source of an expression that may read these names; a boolean stands for itself."""

    def read(value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if not isinstance(value, str):
            raise ValueError("an expression is needed")
        problem = expression_problem(value, names)
        if problem is not None:
            raise ValueError(problem)
        return value

    return BeforeValidator(read, json_schema_input_type=str | bool)


def expression_problem(source: str, names: tuple[str, ...]) -> str | None:
    """What is wrong with a text as an expression that may read these names."""
    return _problem(compile_expression, source, names)


def template_problem(source: str, names: tuple[str, ...]) -> str | None:
    """The same of a template."""
    return _problem(compile_template, source, names)


def _problem(compile: Callable[[str], Expression | Template], source: str, names: tuple[str, ...]) -> str | None:
    try:
        references = compile(source).references
    except ExpressionSyntaxError as error:
        return str(error)
    unknown = next((reference.name for reference in references if reference.name not in names), None)
    return with_hint(f"`{unknown}` is not known here", unknown, names) if unknown is not None else None
