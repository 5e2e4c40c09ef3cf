"""Digests, encodings and deterministic ids."""

from __future__ import annotations

from workflow_runtime.language.expressions.errors import EvaluationError
from workflow_runtime.language.expressions.functions.registry import function
from workflow_runtime.language.expressions.scope import Scope
from workflow_runtime.language.expressions.values import check_text, json_text, text
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.look_alikes import normalized

_ALGORITHMS = ("sha256", "sha1", "sha512", "md5")
_NAMESPACE = "6f0d9f3e-3f5c-5f0e-9a49-0d7a1c1b7a52"  # of this function; changing it changes every id


@function("hash(x, algorithm = sha256)", 1, 2)
def digest(scope: Scope, value: Json, algorithm: Json = "sha256") -> str:
    """Hexadecimal digest of a text in UTF-8, or of another value's JSON with sorted keys. For identity, not for
    secrets."""
    if algorithm not in _ALGORITHMS:
        raise EvaluationError(f"unknown algorithm; there are {', '.join(_ALGORITHMS)}")
    import hashlib

    source = check_text(value) if type(value) is str else json_text(value, scope, ordered=True)
    scope.charge(3 + (len(source) >> 5))
    return hashlib.new(algorithm, source.encode(), usedforsecurity=False).hexdigest()


@function("base64_encode(text)", 1)
def base64_encode(scope: Scope, value: Json) -> str:
    from base64 import b64encode

    source = check_text(text(value))
    scope.charge_text(len(source) * 2)
    return b64encode(source.encode()).decode()


@function("base64_decode(text)", 1)
def base64_decode(scope: Scope, value: Json) -> str:
    """The text that was encoded; both alphabets, padding optional. An error when it is not UTF-8."""
    from base64 import b64decode

    source = check_text(text(value))
    scope.charge_text(len(source) * 2)
    plain = source.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return b64decode(plain.encode("ascii") + b"=" * (-len(plain) % 4), validate=True).decode()
    except UnicodeError:
        raise EvaluationError("not base64 of a text in UTF-8") from None
    except ValueError:
        raise EvaluationError("not base64") from None


@function("url_encode(text)", 1)
def url_encode(scope: Scope, value: Json) -> str:
    """Percent-encoded, ``/`` too, so that it fits any part of a URL."""
    from urllib.parse import quote

    source = check_text(text(value))
    scope.charge_text(len(source) * 16)
    return quote(source, safe="")


@function("uuid()", 0)
def uuid(scope: Scope) -> str:
    """The same for the same execution, place and count of calls there."""
    from uuid import UUID, uuid5

    scope.charge(3)  # microseconds, not nanoseconds as most operations
    scope.uuid_count += 1
    return str(uuid5(UUID(_NAMESPACE), f"{scope.uuid_seed}:{scope.uuid_count}"))


@function("in_state(name)", 1)
def in_state(scope: Scope, name: Json) -> bool:
    """Whether a state of that name is active."""
    return normalized(text(name)) in scope.active_states
