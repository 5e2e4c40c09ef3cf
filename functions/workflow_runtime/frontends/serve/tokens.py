"""Bearer tokens of `awr serve`: a YAML file of names, hashes and scopes. The tokens themselves are nowhere.

::

    - {name: ci, sha256: 9f86d081…, scopes: [read, run], expires: 2027-01-01T00:00:00Z}
    - {name: 网关, sha256: 60303ae2…, scopes: [approve], speaks_for_others: true}

A token is 256 random bits, so that its plain SHA-256 says nothing about it: there is nothing to try but all of them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import yaml

from workflow_runtime.errors import DefinitionError, RequestError
from workflow_runtime.frontends.api.route import Scope
from workflow_runtime.language.json_values import Json
from workflow_runtime.language.suggestions import with_hint
from workflow_runtime.language.yaml.small_files import WRONG_FIELD, read_document

PREFIX = "awr_"  # scanners of repositories find what looks like this
TOKEN_BYTES = 32
NAME_CHARS_MAX = 128
TOKENS_MAX = 1000  # one machine's callers; the file is read whole
GRANTED = tuple(scope.value for scope in Scope if scope is not Scope.OPEN)

HEADER = "# Tokens of awr serve: only their hashes. Written by `awr tokens`; read again when it changes.\n"

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]


class TokenEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A token, as the file has it.

    ``name``: the identity that the API sees: who asked, who approved.
    ``sha256``: of the token, in hexadecimal digits.
    ``scopes``: what it may be used for.
    ``expires``: from when on it is refused; None: never.
    ``speaks_for_others``: its holder may say whom a request is from: the backend of a web page, say.
    """

    name: Name
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    expires: datetime | None = None
    speaks_for_others: bool = False

    def has_expired(self, now: datetime) -> bool:
        return self.expires is not None and now >= self.expires


def new_token() -> str:
    """256 bits from the system, as text."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def hash_of(token: str) -> str:
    """As the file has it."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_tokens(file: Path) -> tuple[TokenEntry, ...]:
    """The entries of a file; none if it is not there. Raises `DefinitionError` that says what is wrong where."""
    if not file.exists():
        return ()
    document = read_document(file)
    if document.value is None:
        return ()
    if not isinstance(document.value, list):
        raise DefinitionError([document.finding(WRONG_FIELD, "expected a list of tokens")])
    entries: list[TokenEntry] = []
    findings = []
    for number, written in enumerate(document.value):
        try:
            entries.append(_entry(written))
        except ValueError as error:
            findings.append(document.finding(WRONG_FIELD, str(error), (number,)))
    names = [entry.name for entry in entries]
    findings += [
        document.finding(WRONG_FIELD, f"two tokens are called {name!r}: nobody could tell who asked")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if len(entries) > TOKENS_MAX:
        findings.append(document.finding(WRONG_FIELD, f"there are more than {TOKENS_MAX} tokens"))
    if findings:
        raise DefinitionError(findings)
    return tuple(entries)


def _entry(written: Json) -> TokenEntry:
    """Raises `ValueError` for the author."""
    if isinstance(written, dict):
        for scope in written.get("scopes") or ():
            if scope not in GRANTED:
                raise ValueError(with_hint(f"there is no scope {scope!r}: {', '.join(GRANTED)}", str(scope), GRANTED))
    try:
        entry = msgspec.convert(written, TokenEntry)
    except msgspec.ValidationError as error:
        raise ValueError(f"not a token: {error}") from None
    if entry.expires is not None and entry.expires.tzinfo is None:
        raise ValueError("expires has no time zone: write 2027-01-01T00:00:00Z")
    return entry


def write_tokens(file: Path, entries: Sequence[TokenEntry]) -> None:
    """Replace the file in one step: a concurrent reader sees the old one or the new one."""
    text = HEADER + yaml.safe_dump(
        [msgspec.to_builtins(entry) for entry in entries], allow_unicode=True, sort_keys=False
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text if entries else HEADER)
        os.replace(beside, file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def add_token(
    file: Path,
    name: str,
    scopes: Sequence[Scope],
    *,
    expires: datetime | None = None,
    speaks_for_others: bool = False,
) -> str:
    """Make a token and put its hash into the file; the token, which nothing can show again. Raises `RequestError`
    ``token_exists``, `DefinitionError` for a file that cannot be read.
    """
    entries = read_tokens(file)
    if any(entry.name == name for entry in entries):
        raise RequestError("token_exists", f"{file} has a token {name!r}; revoke it first, or take another name")
    token = new_token()
    entry = TokenEntry(name, hash_of(token), tuple(scopes), expires, speaks_for_others)
    write_tokens(file, (*entries, entry))
    return token


def revoke_token(file: Path, name: str) -> None:
    """Take a token out of the file. Raises `RequestError` ``not_found``, `DefinitionError`."""
    entries = read_tokens(file)
    kept = tuple(entry for entry in entries if entry.name != name)
    if len(kept) == len(entries):
        names = [entry.name for entry in entries]
        raise RequestError("not_found", with_hint(f"{file} has no token {name!r}", name, names))
    write_tokens(file, kept)


class TokenFile:
    """The tokens of a file, read again when it has changed. A file that cannot be read leaves the tokens as they were:
    a slip of an editor locks nobody out, and lets nobody in.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stamp = self._stamp_now()
        self._by_hash = {entry.sha256: entry for entry in read_tokens(file)}

    def __len__(self) -> int:
        return len(self._by_hash)

    def find(self, token: str) -> TokenEntry | None:
        """Looked up by its hash: how long that takes says nothing about any token."""
        entry = self._by_hash.get(hash_of(token))
        return None if entry is None or entry.has_expired(datetime.now(UTC)) else entry

    def refresh(self) -> bool:
        """Read the file again if it is another; whether it was. Raises `DefinitionError`."""
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        self._by_hash = {entry.sha256: entry for entry in read_tokens(self.file)}
        return True

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            status = os.stat(self.file)  # through the links of a mounted Kubernetes secret
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size
