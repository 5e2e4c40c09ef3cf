"""A tool: a Python function, the JSON Schema of its arguments, and the check of arguments against it."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, TypeAlias, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.json_schema import PydanticJsonSchemaWarning

from workflow_runtime.errors import WrongArguments
from workflow_runtime.invokers.committing import Committed
from workflow_runtime.invokers.containment import attempt, printed
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.refusals import refusal
from workflow_runtime.language.suggestions import did_you_mean
from workflow_runtime.plan.catalogue import CatalogueEntry, Effects
from workflow_runtime.sdk import NodeContext

Made = TypeVar("Made")

PROBLEMS_MAX = 20  # named at once: what people can look at
EXACT_INTEGER_MAX = 2**53  # beyond it a float's integral value is not exact


class UnusableTool(ValueError):
    """A function whose signature cannot be a tool's interface."""


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool under its ``id``. ``presets`` are arguments that the definition fixed: a call cannot give them.

    ``names``: field of ``arguments`` -> parameter. ``context``: the parameter that takes the `NodeContext`, if any.
    ``returns`` is the return annotation; ``source`` says where the tool is defined. ``built_in``: its code is ours and
    never blocks. ``commits``: it does nothing itself, its effect is committed with the record of the call.
    ``is_async``: whether ``function`` is a coroutine function.
    """

    id: str
    description: str
    function: Callable[..., Any]
    arguments: type[BaseModel]
    names: Mapping[str, str]
    context: str | None
    open: bool
    returns: Any = Any
    source: str = ""
    presets: Mapping[str, Json] = {}
    built_in: bool = False
    effects: Effects = Effects.ONCE
    declares_effects: bool = False
    commits: bool = False
    is_async: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "is_async", inspect.iscoroutinefunction(self.function))

    @property
    def input_schema(self) -> dict[str, Json]:
        """JSON Schema of the arguments a call may give: presets are left out."""
        schema = _made_once(_input_schemas, self.arguments, self._input_schema)
        schema["title"] = self.id
        for name in self.presets:
            schema.get("properties", {}).pop(name, None)
        if "required" in schema:
            schema["required"] = [name for name in schema["required"] if name not in self.presets]
        return schema

    @property
    def output_schema(self) -> dict[str, Json] | None:
        """JSON Schema of what the return annotation promises; None when it promises nothing that JSON can say."""
        return _made_once(_output_schemas, self.arguments, self._output_schema) or None

    def _input_schema(self) -> dict[str, Json]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", PydanticJsonSchemaWarning)  # a default that is no JSON is left out
            return self.arguments.model_json_schema(by_alias=True)

    def _output_schema(self) -> dict[str, Json]:
        return attempt(lambda: TypeAdapter(self.returns).json_schema(mode="serialization")).value or {}

    def entry(self) -> CatalogueEntry:
        """What others need to know about it."""
        return CatalogueEntry(
            id=self.id,
            description=self.description,
            source=self.source,
            input_schema=self.input_schema,
            output_schema=self.output_schema,
            effects=self.effects,
            declares_effects=self.declares_effects,
        )

    def bind(self, inputs: Mapping[str, Json], context: NodeContext | None) -> dict[str, Any]:
        """The function's keyword arguments. Raises `WrongArguments` with everything wrong with ``inputs``."""
        if fixed := [name for name in inputs if name in self.presets]:
            names = ", ".join(repr(name) for name in fixed)
            raise WrongArguments(f"tool {self.id!r}: {names} is fixed by its definition and cannot be given")
        bound, problems = self._validate({**self.presets, **inputs})
        if problems:
            raise WrongArguments(f"tool {self.id!r}: {'; '.join(text for _, text in problems)}")
        if self.context is not None:
            bound[self.context] = context
        return bound

    def preset(
        self, id: str, description: str, presets: Mapping[str, Json], source: str = "", effects: Effects | None = None
    ) -> Tool:
        """This tool under another id with some arguments fixed, and with other ``effects`` if those are given. Raises
        `UnusableTool` when the arguments do not fit."""
        _, problems = self._validate(presets)
        if wrong := [text for kind, text in problems if kind != "missing"]:
            raise UnusableTool("; ".join(wrong))
        return msgspec.structs.replace(
            self,
            id=id,
            description=description or self.description,
            source=source,
            presets=dict(presets),
            effects=effects or self.effects,
            declares_effects=effects is not None or self.declares_effects,
        )

    def _validate(self, inputs: Mapping[str, Json]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Keyword arguments, and problems as (kind, text); JSON rules: no text becomes a number, dates are read from
        text."""
        try:
            model = self.arguments.model_validate_json(msgspec.json.encode(_integral(inputs)), strict=True)
        except ValidationError as error:
            known = [name for name in self.names.values() if name not in self.presets]
            return {}, [
                (problem["type"], _problem(problem, known))
                for problem in error.errors(include_url=False, include_input=False)[:PROBLEMS_MAX]
            ]
        bound = {parameter: getattr(model, field) for field, parameter in self.names.items()}
        return bound | (model.model_extra or {}), []


Schemas: TypeAlias = "WeakKeyDictionary[type[BaseModel], dict[str, Json]]"
_input_schemas: Schemas = WeakKeyDictionary()
_output_schemas: Schemas = WeakKeyDictionary()
"""By the model of a function's arguments, which is made once for a function: variants and registries share it."""


def _made_once(schemas: Schemas, arguments: type[BaseModel], make: Callable[[], dict[str, Json]]) -> dict[str, Json]:
    """A schema of its own for each caller; pydantic takes half a millisecond for one."""
    if arguments not in schemas:
        schemas[arguments] = make()
    return deepcopy(schemas[arguments])


def describe(
    function: Callable[..., Any], id: str, description: str, source: str = "", effects: str | None = None
) -> Tool:
    """The tool that ``function`` is; ``source`` defaults to its qualified name. Raises `UnusableTool`, also when no
    JSON Schema can say what its arguments are.
    """
    tool = tool_of(function, id, description, source, effects)
    _usable(lambda: tool.input_schema)
    return tool


def tool_of(
    function: Callable[..., Any], id: str, description: str, source: str = "", effects: str | None = None
) -> Tool:
    """The same of a function whose arguments are known to have a schema, which takes its time to make."""
    found = attempt(lambda: typing.get_type_hints(function, include_extras=True))
    if found.error is not None:
        raise UnusableTool(
            f"its annotations cannot be read: {printed(found.error)}; import their types outside TYPE_CHECKING"
        )
    hints = found.result()
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    context: str | None = None
    is_open = False
    for parameter in inspect.signature(function).parameters.values():
        annotation = hints.get(parameter.name, Any)
        if annotation is NodeContext:
            context = parameter.name
        elif parameter.kind is parameter.VAR_KEYWORD:
            is_open = True
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            raise UnusableTool(f"its parameter {parameter.name!r} cannot be given by name; tools take named arguments")
        else:
            field = f"argument_{len(fields)}"  # a parameter may have any name, a field may not
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[field] = (annotation, Field(default, alias=parameter.name))
            names[field] = parameter.name
    returns = hints.get("return", Any)
    commits = typing.get_origin(returns) is Committed
    config = ConfigDict(
        extra="allow" if is_open else "forbid", arbitrary_types_allowed=False, hide_input_in_errors=True
    )
    return Tool(
        id=id,
        description=description,
        function=function,
        arguments=_arguments(function, config, fields),
        names=names,
        context=context,
        open=is_open,
        returns=typing.get_args(returns)[0] if commits else returns,
        commits=commits,
        source=source or f"{function.__module__}.{function.__qualname__}",
        effects=Effects(effects) if effects is not None else _effects(function),
        declares_effects=effects is not None,
    )


KEY = "idempotency_key"


def _effects(function: Callable[..., Any]) -> Effects:
    """Of a tool that does not say: one that reads the idempotency key, or is given one, is assumed to honour it."""
    code = getattr(function, "__code__", None)
    reads = KEY in (*code.co_names, *code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) if code else False
    return Effects.IDEMPOTENT if reads else Effects.ONCE


def _arguments(function: Callable[..., Any], config: ConfigDict, fields: dict[str, Any]) -> type[BaseModel]:
    """The model of a function's arguments. Raises `UnusableTool`."""
    make: Callable[[], type[BaseModel]] = lambda: create_model(  # noqa: E731  typed, which `create_model` is not
        f"{function.__name__}_arguments", __config__=config, **fields
    )
    return _usable(make)


def _usable(make: Callable[[], Made]) -> Made:
    """What pydantic makes of a signature: it, and the types in there, raise many kinds. Raises `UnusableTool`."""
    outcome = attempt(make)
    if outcome.error is None:
        return outcome.result()
    reason = printed(outcome.error).split("\n", 1)[0] or type(outcome.error).__name__
    raise UnusableTool(f"its signature cannot be checked: {reason}")


def _problem(problem: Any, known: list[str]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    match problem["type"]:
        case "extra_forbidden" if len(problem["loc"]) == 1:
            hint = did_you_mean(place, known)
            return f"unknown argument {place!r}" + (f" ({hint})" if hint else " (it takes none)")
        case "missing":
            return f"argument {place!r} is missing"
    return f"argument {place!r}: {refusal(problem)}" if place else refusal(problem)


def _integral(value: Any) -> Any:
    """Integral numbers as integers: in the language 3.0 and 3 are the same number."""
    match value:
        case str():
            return value
        case float() if value.is_integer() and abs(value) < EXACT_INTEGER_MAX:
            return int(value)
        case dict() | Mapping():
            return {key: _integral(item) for key, item in value.items()}
        case list():
            return [_integral(item) for item in value]
    return value
