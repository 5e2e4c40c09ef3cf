"""Request bodies: YAML or JSON by Content-Type, in a few charsets, within bounds."""

from __future__ import annotations

from email.message import Message
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from pydantic import BaseModel, ValidationError

from workflow_runtime.frontends.api.problems import Problem, invalid
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.language.json_values import DEPTH_MAX, TooDeep, is_deeper, malformed, read_json
from workflow_runtime.language.refusals import refusal
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX

JSON_TYPES = ("application/json",)
YAML_TYPES = ("application/yaml", "text/yaml", "application/x-yaml", "text/x-yaml")
FORM_TYPE = "application/x-www-form-urlencoded"
FORM_FIELDS_MAX = 1000
CHARSETS = ("utf-8", "utf8", "us-ascii", "utf-16", "gb18030", "gbk", "gb2312", "iso-8859-1")
LEVELS_MAX = DEPTH_MAX + 1  # a body is an object whose fields hold values

Model = TypeVar("Model", bound=BaseModel)


def definition_source(request: Request, what: str = "a workflow definition") -> bytes:
    """A definition as UTF-8 text; JSON is YAML, so the compiler reads both. Raises `Problem`."""
    media_type, charset = _content_type(request)
    if not request.body:
        raise Problem("invalid_body", f"the body is missing; it must be {what}")
    _check_size(request.body, _yaml_bytes_max(), "a definition")
    return _text(request.body, charset).encode() if media_type else request.body


def parsed_body(request: Request, model: type[Model]) -> Model:
    """A body of JSON values, validated. No body at all is the model's default. Raises `Problem`."""
    media_type, charset = _content_type(request)
    is_yaml = media_type in YAML_TYPES
    _check_size(request.body, _yaml_bytes_max() if is_yaml else INPUT_BYTES_MAX, "the body")
    text = _text(request.body, charset)
    value = {} if not text.strip() else _yaml(text) if is_yaml else _json(text)
    _check_depth(value)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        raise invalid({**_hinted(line, model), "loc": ("body", *line["loc"])} for line in found) from None


def _hinted(line: Any, model: type[BaseModel]) -> dict[str, Any]:
    """Of a field that the body does not have, which it has that may be meant."""
    if line["type"] != "extra_forbidden" or len(line["loc"]) != 1:
        return dict(line)
    return {**line, "type": "value_error", "msg": with_hint(refusal(line), str(line["loc"][0]), model.model_fields)}


def hook_body(request: Request) -> Any:
    """What a webhook was sent: JSON, or the fields of a form; null for no body. Raises `Problem`."""
    _check_size(request.body, INPUT_BYTES_MAX, "the body")
    message = Message()
    message["Content-Type"] = request.headers.get("content-type") or JSON_TYPES[0]
    media_type, charset = message.get_content_type(), (message.get_content_charset() or "utf-8").lower()
    if charset not in CHARSETS:
        raise Problem("unsupported_media_type", f"the charset must be one of {', '.join(CHARSETS)}")
    text = _text(request.body, charset)
    if not text.strip():
        return None
    if media_type == FORM_TYPE:
        return dict(_fields(text))
    if media_type not in JSON_TYPES and not media_type.endswith("+json"):
        raise Problem("unsupported_media_type", f"the body may be {JSON_TYPES[0]} or {FORM_TYPE}")
    value = _json(text)
    _check_depth(value)
    return value


def _fields(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX)
    except ValueError:
        raise Problem("too_large", f"a form may have {FORM_FIELDS_MAX} fields") from None


def _content_type(request: Request) -> tuple[str, str]:
    """Media type and charset, in lower case. Raises `Problem` for one that is not supported."""
    header = request.headers.get("content-type", "")
    message = Message()
    message["Content-Type"] = header or JSON_TYPES[0]
    media_type = message.get_content_type() if header.strip() else ""
    charset = (message.get_content_charset() or "utf-8").lower()
    if media_type and (media_type not in (*JSON_TYPES, *YAML_TYPES) or "/" not in header):
        detail = f"the body may be {', '.join((*JSON_TYPES, *YAML_TYPES[:2]))}; say so in Content-Type"
        raise Problem("unsupported_media_type", detail, headers={"Accept-Post": ", ".join((*JSON_TYPES, *YAML_TYPES))})
    if charset not in CHARSETS:
        raise Problem("unsupported_media_type", f"the charset must be one of {', '.join(CHARSETS)}")
    return media_type, charset


def _check_size(body: bytes, most: int, what: str) -> None:
    if len(body) > most:
        raise Problem("too_large", f"{what} may have {most:,} bytes; this one has {len(body):,}", bytes_max=most)


def _text(body: bytes, charset: str) -> str:
    try:
        return body.decode(charset)
    except UnicodeDecodeError as error:
        raise Problem("invalid_body", f"byte {error.start} of the body is not {charset}") from None


def _json(text: str) -> Any:
    try:
        return read_json(text.removeprefix("\ufeff"), LEVELS_MAX)
    except TooDeep:
        raise Problem("invalid_request", _too_deep()) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Problem("invalid_body", f"the body is not JSON: {malformed(text, error)}") from None


def _yaml_bytes_max() -> int:
    from workflow_runtime.language.yaml.text import MAX_SOURCE_BYTES  # `definition` takes long to import

    return MAX_SOURCE_BYTES


def _yaml(text: str) -> Any:
    from workflow_runtime.language.yaml.document import read_document
    from workflow_runtime.language.yaml.text import Unreadable, read_text

    try:
        document = read_document(read_text(text))
    except Unreadable as error:
        detail = f"the body is not YAML: line {error.line}, column {error.column}: {error.message}"
        raise Problem("invalid_body", detail) from None
    if document.problems:
        raise Problem("invalid_body", f"the body is not YAML: {document.problems[0].message}")
    return {} if document.is_empty else document.value


def _check_depth(value: Any) -> None:
    if is_deeper(value, LEVELS_MAX):
        raise Problem("invalid_request", _too_deep())


def _too_deep() -> str:
    return f"the body is nested more than {LEVELS_MAX} levels deep"
