"""What an agent's definition says of the session in which its visits go on from one another."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from workflow_runtime.invokers.agents.fields import FrozenModel
from workflow_runtime.language.durations import parse_duration
from workflow_runtime.language.expressions import ExpressionSyntaxError, compile_template

TTL = "30d"
TTL_SECONDS_MAX = 10 * 366 * 86_400
COMPACT_OVER = 100_000
COMPACT_OVER_MIN = 1_000  # with less, hardly a turn would be left


def _template(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the name of a session is a template, as `${customer_id}`")
    try:
        compile_template(value)
    except ExpressionSyntaxError as error:
        raise ValueError(str(error)) from None
    return value


def _seconds(value: object) -> int:
    seconds = parse_duration(value)  # type: ignore[arg-type]  # it says itself what it takes
    if not 60 <= seconds <= TTL_SECONDS_MAX:
        raise ValueError("a turn is remembered for a minute at least, and for ten years at most")
    return round(seconds)


class SessionEntry(FrozenModel):
    """``id``: the session's name, made of the node's inputs."""

    id: Annotated[str, BeforeValidator(_template, json_schema_input_type=str)] = Field(
        description="Template over the node's inputs: visits for which it comes to the same go on from one another."
    )
    ttl: Annotated[int, BeforeValidator(_seconds, json_schema_input_type=str | float)] = Field(
        _seconds(TTL), description=f"How long each turn is remembered; by default {TTL}."
    )
    compact_over: Annotated[int, Field(ge=COMPACT_OVER_MIN)] = Field(
        COMPACT_OVER,
        description="Once what is remembered has more tokens than this, the model sums up the older turns.",
    )


def _entry(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


Session = Annotated[SessionEntry, BeforeValidator(_entry, json_schema_input_type=str | SessionEntry)]
