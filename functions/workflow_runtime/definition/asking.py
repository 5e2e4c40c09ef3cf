"""How people are asked: by approvals, and about calls of agents."""

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from workflow_runtime.definition import rules
from workflow_runtime.definition.fields import ONE_TEMPLATE, Flag, Kind, Schema, Text, raise_at, word
from workflow_runtime.definition.reading import Model, kind_of, problem
from workflow_runtime.definition.timed import DurationOrTemplate, integer_or_template, read_some_text
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.templates import has_template
from workflow_runtime.plan.specs import PEOPLE_MAX


def read_people(value: object) -> Json:
    """Names of people, each of which may be a template; or one of them; or one ``${…}`` that yields them."""
    if isinstance(value, str):
        return [read_some_text(value)] if not has_template(value) else value.strip()
    if not isinstance(value, list):
        raise problem(rules.WRONG_KIND, f"expected a list of names, not {kind_of(value)}", "For example `[ann, bob]`.")
    names: list[Json] = []
    errors: list[tuple[int | str, PydanticCustomError]] = []
    for index, item in enumerate(value):
        try:
            names.append(read_some_text(item))
        except PydanticCustomError as error:
            errors.append((index, error))
    raise_at(errors)
    if len(names) > PEOPLE_MAX:
        raise problem(rules.OUT_OF_RANGE, f"these are {len(names)} people; at most {PEOPLE_MAX} can be asked")
    return names


_NAME: dict[str, Json] = {"type": "string", "minLength": 1}
People = Annotated[
    Json, Kind(read_people, {"anyOf": [_NAME, {"type": "array", "items": _NAME, "maxItems": PEOPLE_MAX}]})
]
Quorum = Annotated[
    Json,
    Kind(
        integer_or_template(1, PEOPLE_MAX),
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": PEOPLE_MAX},
                {"type": "string", "pattern": ONE_TEMPLATE},
            ]
        },
    ),
]


class Asking(Model):
    """What says whom to ask, and by which rules they answer. ``on_timeout`` is the word of a class below."""

    prompt: Text | None = Field(None, description="What people are asked (template).")
    assignees: People = Field(None, description="Who may answer; by default whoever may call the API.")
    form: Schema = Field(None, description="JSON Schema of `data`.")
    quorum: Quorum = Field(1, description="How many must approve; a number or one `${…}`.")
    veto: Flag = Field(
        True, description="Whether one rejection rejects; if not, it is rejected once the quorum is out of reach."
    )
    second_answer: Annotated[str, word("refuse", "replace")] = Field(
        "refuse", description="What becomes of another answer of the same person."
    )
    escalate_after: DurationOrTemplate = Field(None, description="After how long `escalate_to` are asked, too.")
    escalate_to: People = Field(None, description="Who is asked besides when it takes long.")
    delegate: Flag = Field(True, description="Whether somebody who is asked may name another instead.")
    timeout: DurationOrTemplate = Field(None, description="How long to wait; by default forever.")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        given = self.model_fields_set
        if (self.escalate_after is None) != (not self.escalate_to):
            has, lacks = (
                ("escalate_after", "escalate_to")
                if self.escalate_after is not None
                else ("escalate_to", "escalate_after")
            )
            raise problem(rules.REQUIRED, f"`{has}` needs `{lacks}`", at=(has,))
        if self.escalate_to and not self.assignees:
            hint = "Name the `assignees` who are asked first."
            raise problem(rules.COMBINATION, "without `assignees` everybody is asked already", hint, ("escalate_to",))
        if not self.veto and not self.assignees:
            text = "without `assignees` nobody can tell when the quorum is out of reach"
            raise problem(rules.COMBINATION, text, "Name the `assignees`, or leave out `veto: false`.", ("veto",))
        if "on_timeout" in given and self.timeout is None:
            hint = "Add `timeout`, or remove `on_timeout`."
            raise problem(rules.COMBINATION, "without a `timeout` it is never too late", hint, ("on_timeout",))
        self._check_quorum()
        return self

    def _check_quorum(self) -> None:
        """A quorum that the people who are asked cannot reach."""
        people = [self.assignees, self.escalate_to or []]
        if not self.assignees or not isinstance(self.quorum, int) or any(isinstance(each, str) for each in people):
            return
        names = [name for each in people for name in each]
        asked = len(names) if has_template(names) else len(set(names))
        if self.quorum > asked:
            text = f"{self.quorum} must approve, but only {asked} {'is' if asked == 1 else 'are'} asked"
            raise problem(rules.COMBINATION, text, "Name more `assignees`, or lower the quorum.", ("quorum",))
