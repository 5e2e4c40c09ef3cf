"""What all models of a document share: how a mapping is read before its fields are.

`Model` turns a written mapping into canonical fields (aliases resolved, ``config:`` flattened, ``x-…`` dropped, null
taken as "not given") and reports unknown and contradictory keys together with everything that its fields find.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, ClassVar, Self, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from workflow_runtime.definition import rules
from workflow_runtime.findings import Rule
from workflow_runtime.language.expressions.values import equals
from workflow_runtime.language.refusals import refusal
from workflow_runtime.language.suggestions import nearest
from workflow_runtime.language.texts import quoted

Place = tuple[str | int, ...]
Recovery = Callable[[Any, "Reading"], Any]


def problem(
    rule: Rule, message: str, hint: str | None = None, at: Place = (), near: tuple[str, Iterable[str]] | None = None
) -> PydanticCustomError:
    """An error for a validator to raise: becomes a finding of ``rule`` at the validated value, or at ``at`` below it.

    ``near``: a word and the known ones, from which the hint is found when the finding is shown (that takes time).
    """
    context = {"text": message, "hint": hint, "at": at, "near": near}
    return PydanticCustomError(rule.id, "{text}", context)


def kind_of(value: object) -> str:
    """How to name a JSON value's kind to an author."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    return "a list" if isinstance(value, list) else "a mapping"


MAX_KEY_PROBLEMS = 100
"""Wrong keys reported of one mapping."""
MAX_PROBLEMS = 1_000
"""Problems after which further mappings are not looked at; far more than are shown."""


class Reading:
    """What reading one document carries along: defaults by node type, and how many problems there were.

    ``unsure_types``: node types with defaults that could not be read, so that nobody knows what their nodes lack.
    ``sound``: nodes that were read without problems, by identity of the written mapping (which outlives this).
    ``limit``: problems after which nothing more is looked at; recovery, which reads again what was counted, has none.
    """

    def __init__(
        self, defaults: Mapping[str, Mapping[str, Any]] | None = None, unsure_types: Collection[str] = ()
    ) -> None:
        self.defaults = defaults or {}
        self.unsure_types = unsure_types
        self.problems = 0
        self.limit: float = MAX_PROBLEMS
        self.sound: dict[int, Model] = {}


class Model(BaseModel):
    """Base of every model. ``aliases``: other names of fields, as written → canonical.

    ``has_config``: fields may also stand below ``config:``. ``keeps_null``: fields for which null is a value;
    elsewhere null is "not given". ``hidden``: canonical names that cannot be written. ``preferred``: canonical → how
    messages call it. ``noun``: what to call it in messages. ``recoveries``: how to make the best of a wrong value of a
    field; fields without one fall back on their defaults. ``others``: what stands under other keys than those of
    fields.

    Validators are made at first use: a document has a few of the types of nodes, and making all takes 0.1 s.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, defer_build=True)

    aliases: ClassVar[Mapping[str, str]] = {}
    has_config: ClassVar[bool] = False
    keeps_null: ClassVar[frozenset[str]] = frozenset()
    hidden: ClassVar[frozenset[str]] = frozenset()
    preferred: ClassVar[Mapping[str, str]] = {}
    noun: ClassVar[str] = "this mapping"
    recoveries: ClassVar[Mapping[str, Recovery]] = {}
    others: ClassVar["type[Model] | None"] = None

    @classmethod
    def written_names(cls) -> list[str]:
        """What an author may write, canonical names first."""
        names = [name for name in cls.model_fields if name not in cls.hidden]
        return [*names, *cls.aliases, *(["config"] if cls.has_config else [])]

    @classmethod
    def with_defaults(cls, fields: dict[str, Any], _reading: Reading) -> dict[str, Any]:
        """``fields`` and what the document gives to all models of this kind."""
        return fields

    @classmethod
    def may_lack(cls, _fields: Mapping[str, Any], _reading: Reading) -> bool:
        """Whether fields of this mapping may only be missing because something else could not be read."""
        return False

    @classmethod
    def recovered(cls, fields: Mapping[str, Any], reading: Reading) -> Self:
        """A best effort: those canonical ``fields`` that are sound; others at their defaults, required ones empty.

        What the fields mean together is not checked.
        """
        sound: dict[str, Any] = {}
        for name in fields.keys() & cls.model_fields.keys():
            try:
                sound[name] = _field_reader(cls, name).validate_python(fields[name], context=reading)
            except ValidationError:
                if name in cls.recoveries:
                    sound[name] = cls.recoveries[name](fields[name], reading)
        empty = {name: _empty(cls, name) for name, field in cls.model_fields.items() if field.is_required()}
        return cls.model_construct(set(sound), **{**empty, **sound})

    @classmethod
    def parts(cls, value: Mapping[str, Any]) -> list[tuple[tuple[str, ...], Any]]:
        """The mappings that hold the fields of a written mapping, each with where it stands."""
        if not cls.has_config or "config" not in value:
            return [((), value)]
        flat = {key: item for key, item in value.items() if key != "config"}
        return [((), flat), (("config",), value["config"] if value["config"] is not None else {})]

    @classmethod
    def canonical(cls, value: Mapping[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
        """The canonical fields of a written mapping, and what is wrong with its keys."""
        fields: dict[str, Any] = {}
        problems: list[InitErrorDetails] = []
        origin: dict[str, Place] = {}
        known = _fields_written(cls)
        parts = cls.parts(value)
        if len(parts) == 1 and known.issuperset(parts[0][1]):  # nothing to translate, as in nearly all
            return dict(parts[0][1]), problems
        for prefix, mapping in parts:
            if not isinstance(mapping, dict):
                text = f"`{prefix[-1]}` must be a mapping, not {kind_of(mapping)}"
                problems.append(_detail(problem(rules.WRONG_KIND, text), prefix))
                continue
            for key, item in mapping.items():
                if key.startswith("x-"):
                    continue
                name = cls.aliases.get(key, key)
                if len(problems) >= MAX_KEY_PROBLEMS:
                    break
                if key not in known and key not in cls.aliases and not (cls.others and isinstance(item, dict)):
                    text = f"{quoted(key)} is not a field of {cls.noun}"
                    unknown = problem(rules.UNKNOWN_FIELD, text, near=(key, cls.written_names()))
                    problems.append(_detail(unknown, (*prefix, key)))
                elif name in fields and not equals(fields[name], item):
                    shown, other = ".".join((*prefix, key)), ".".join(map(str, origin[name]))
                    text = f"`{shown}` and `{other}` are the same field and have different values"
                    problems.append(_detail(problem(rules.SAID_TWICE, text), (*prefix, key)))
                else:
                    fields[name] = item
                    origin[name] = (*prefix, key)
        return fields, problems[:MAX_KEY_PROBLEMS]

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, value: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(value, cls):
            return value
        reading = info.context if isinstance(info.context, Reading) else Reading()
        if reading.problems > reading.limit:
            return cls.model_construct()
        if not isinstance(value, dict):
            reading.problems += 1
            raise problem(rules.WRONG_KIND, f"{cls.noun} must be a mapping, not {kind_of(value)}")
        written, problems = cls.canonical(value)
        fields = cls.with_defaults(written, reading)
        if None in fields.values():
            fields = {name: item for name, item in fields.items() if item is not None or name in cls.keeps_null}
        try:
            model = handler(fields)
        except ValidationError as error:
            problems += _own_causes(cls, details(error, cls.preferred), problems, cls.may_lack(fields, reading))
            if not problems:
                return cls.recovered(fields, reading)
            reading.problems += len(problems)
            raise ValidationError.from_exception_data(cls.__name__, problems) from None
        if problems:
            reading.problems += len(problems)
            raise ValidationError.from_exception_data(cls.__name__, problems)
        return model


@cache
def _fields_written(model: type[Model]) -> frozenset[str]:
    """The canonical names that may be written."""
    return frozenset(model.model_fields.keys() - model.hidden)


@cache
def _field_reader(model: type[Model], name: str) -> TypeAdapter[Any]:
    field = model.model_fields[name]
    annotation: Any = field.annotation
    for extra in field.metadata:
        annotation = Annotated[annotation, extra]
    return TypeAdapter(annotation)


def _empty(model: type[Model], name: str) -> object:
    """What a required field without a value holds in a best effort: nothing that passes as a value."""
    return () if get_origin(model.model_fields[name].annotation) is tuple else ""


def _own_causes(
    model: type[Model], lines: list[InitErrorDetails], wrong_keys: list[InitErrorDetails], may_lack: bool
) -> list[InitErrorDetails]:
    """``lines`` without those that may merely follow from wrong keys of the mapping, or from unread defaults.

    A missing field may be there under a misspelt name, or one that resembles nothing; what fields mean together cannot
    be told while any is unknown.
    """
    if not wrong_keys and not may_lack:
        return lines
    slips = [str(line["loc"][-1]) for line in wrong_keys]
    known = model.written_names()
    kept = []
    for line in lines:
        is_missing = len(line["loc"]) == 1 and getattr(line["type"], "type", "") == rules.REQUIRED.id
        if not line["loc"] or (is_missing and may_lack):
            continue
        if is_missing:
            field = line["loc"][0]
            names = [field, *(alias for alias, name in model.aliases.items() if name == field)]
            if any(nearest(slip, map(str, names)) or not nearest(slip, known) for slip in slips):
                continue
        kept.append(line)
    return kept


class Many:
    """Annotation of a tuple field: a list of at most ``limit`` entries, or (``single``) one entry without the list."""

    def __init__(self, *, single: bool = False, limit: int = 1_000) -> None:
        self.single = single
        self.limit = limit

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> list[Any]:
            if isinstance(value, list):
                if len(value) > self.limit:
                    raise problem(
                        rules.TOO_MANY, f"the list has {len(value):,} entries; at most {self.limit:,} are allowed"
                    )
                return value
            if self.single:
                return [value]
            raise problem(rules.WRONG_KIND, f"expected a list, not {kind_of(value)}")

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]} if self.single else listed


def each(model: type[Model]) -> Recovery:
    """Recovers a list of ``model``, or one written without the list: every entry stays at its place."""

    def recover(value: Any, reading: Reading) -> tuple[Model, ...]:
        return tuple(recovered_entry(model, item, reading) for item in as_entries(value))

    return recover


def one(model: type[Model]) -> Recovery:
    """Recovers a single ``model``; None for anything but a mapping."""

    def recover(value: Any, reading: Reading) -> Model | None:
        return recovered_entry(model, value, reading) if isinstance(value, dict) else None

    return recover


def as_entries(value: Any) -> Sequence[Any]:
    """The entries of a list that may be written without the list when there is one."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def recovered_entry(model: type[Model], value: Any, reading: Reading) -> Model:
    """``value`` as a ``model``, or the best effort at it."""
    try:
        return model.model_validate(value, context=reading)
    except ValidationError:
        written = model.canonical(value)[0] if isinstance(value, dict) else {}
        fields = model.with_defaults(written, reading)
        return model.recovered(
            {name: item for name, item in fields.items() if item is not None or name in model.keeps_null}, reading
        )


class TextAs:
    """Annotation of a model field: plain text is short for a mapping with that text in ``field``; with ``lists`` a list
    of texts is too."""

    def __init__(self, field: str, *, lists: bool = False) -> None:
        self.field = field
        self.short: type | tuple[type, ...] = (str, list) if lists else str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: object) -> object:
            return {self.field: value} if isinstance(value, self.short) else value

        return core_schema.no_info_before_validator_function(read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1}
        texts = [] if self.short is str else [{"type": "array", "items": text}]
        return {"anyOf": [text, *texts, handler(schema)]}


def _detail(error: PydanticCustomError, place: Place) -> InitErrorDetails:
    return InitErrorDetails(type=error, loc=place, input=None)


def details(error: ValidationError, preferred: Mapping[str, str] | None = None) -> list[InitErrorDetails]:
    """The errors of ``error`` in the form that a new one is made of. ``preferred``: how to call missing fields."""
    found = []
    for item in error.errors(include_url=False, include_input=False):
        context = item.get("ctx", {})
        if item["type"] == "missing":
            name = str(item["loc"][-1])
            missing = problem(rules.REQUIRED, f"`{(preferred or {}).get(name, name)}` is missing")
            found.append(_detail(missing, item["loc"]))
        elif "text" in context:
            found.append(_detail(PydanticCustomError(item["type"], "{text}", context), item["loc"]))
        else:
            found.append(_detail(problem(rules.WRONG_KIND, refusal(item)), item["loc"]))
    return found


def with_common_fields(model: type[Model], value: Any, first: PydanticCustomError, reading: Any) -> ValidationError:
    """``first``, and what is wrong with the fields of ``value`` that ``model`` knows.

    For a mapping whose proper model is not known: its common fields can be checked, its others cannot be judged.
    """
    lines = [_detail(first, ())]
    fields, _ = model.canonical(value)
    try:
        model.model_validate({name: item for name, item in fields.items() if name != "type"}, context=reading)
    except ValidationError as error:
        lines += [line for line in details(error) if line["loc"] != ("type",)]
    return ValidationError.from_exception_data(model.__name__, lines)
