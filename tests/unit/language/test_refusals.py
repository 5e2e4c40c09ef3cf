"""What pydantic refuses is told in words for whoever wrote the JSON or the YAML."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator

from workflow_runtime.language.refusals import refusal


class Inner(BaseModel):
    a: int


class Taken(BaseModel, extra="forbid"):
    mapping: dict[str, Any] = {}
    inner: Inner | None = None
    many: list[int] = []
    pair: tuple[int, int] = (1, 2)
    text: str = Field("x", min_length=2, max_length=3, pattern="^x")
    name: str = Field("x", min_length=1)
    whole: int = Field(5, gt=0, lt=10)
    number: float = Field(1.5, ge=0.5, le=25, allow_inf_nan=False)
    flag: bool = True
    word: Literal["one", "two"] = "one"
    items: Annotated[list[int], Field(min_length=2, max_length=3)] = [1, 2]
    own: str = ""

    @field_validator("own")
    @classmethod
    def _own(cls, value: str) -> str:
        if value:
            raise ValueError("is never right")
        return value


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("mapping", 5, "must be an object"),
        ("inner", "x", "must be an object"),
        ("inner", {}, "is required"),
        ("many", "x", "must be a list"),
        ("pair", 5, "must be a list"),
        ("text", 5, "must be text"),
        ("text", "y", "must have at least 2 characters"),
        ("text", "xxxx", "may have at most 3 characters"),
        ("text", "yy", "must match the pattern ^x"),
        ("name", "", "must not be empty"),
        ("whole", "x", "must be a whole number"),
        ("whole", 1.5, "must be a whole number"),
        ("whole", 0, "must be more than 0"),
        ("whole", 10, "must be less than 10"),
        ("number", "abc", "must be a number"),
        ("number", float("nan"), "must be a finite number"),
        ("number", -1, "must be at least 0.5"),
        ("number", 1e9, "must be at most 25"),
        ("flag", "perhaps", "must be true or false"),
        ("word", "three", "must be 'one' or 'two'"),
        ("items", [1], "must have at least 2 entries"),
        ("items", [1, 2, 3, 4], "may have at most 3 entries"),
        ("own", "x", "is never right"),
        ("other", 1, "is not known here"),
    ],
)
def test_each_kind_of_refusal_is_told_without_python(field: str, value: Any, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Taken.model_validate({field: value})
    (error,) = caught.value.errors(include_url=False, include_input=False)
    assert refusal(error) == told
