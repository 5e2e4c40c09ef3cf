"""One MCP call in one HTTP request: JSON-RPC 2.0, revision 2026-07-28 or one of those with a handshake.

Sources: modelcontextprotocol.io/specification/2026-07-28 (basic, transports: each call carries its revision and the
client's capabilities in ``_meta``, and headers repeat what gateways route by) and …/2025-11-25 (``initialize`` first;
without a session id every later call stands alone, too).
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from workflow_runtime.frontends.api.answers import Answer, json_answer
from workflow_runtime.frontends.api.bodies import LEVELS_MAX
from workflow_runtime.frontends.api.request import Request
from workflow_runtime.language.json_values import Json, is_deeper, malformed
from workflow_runtime.services.intake.starts import INPUT_BYTES_MAX

STATELESS = "2026-07-28"
WITH_HANDSHAKE = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
SUPPORTED = (STATELESS, *WITH_HANDSHAKE)

META_PREFIX = "io.modelcontextprotocol/"
TASKS = f"{META_PREFIX}tasks"

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021
UNSUPPORTED_VERSION = -32022

# Clients with a handshake take a 404 for the end of a session, so only the stateless revision gets these for a call.
STATUSES = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    MISSING_CAPABILITY: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
NAMED_BY = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId", "tasks/cancel": "taskId"}
"""The parameter that ``Mcp-Name`` repeats, by method."""


class Fault(Exception):
    """Ends a call with a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Json = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data


class Call(msgspec.Struct, frozen=True):
    """``id`` None: a notification, which nobody answers. ``capabilities``: the client's, if the revision tells them
    with each call."""

    id: str | int | None
    method: str
    params: dict[str, Any]
    stateless: bool
    capabilities: dict[str, Any] = {}

    @property
    def takes_tasks(self) -> bool:
        extensions = self.capabilities.get("extensions")
        return isinstance(extensions, dict) and TASKS in extensions

    @property
    def takes_forms(self) -> bool:
        """Whether the client can ask a person to fill in a form."""
        elicitation = self.capabilities.get("elicitation")
        return isinstance(elicitation, dict) and (not elicitation or "form" in elicitation)

    def text(self, name: str) -> str:
        """A parameter that must be a text. Raises `Fault`."""
        value = self.params.get(name)
        if not isinstance(value, str) or not value:
            raise Fault(INVALID_PARAMS, f"params.{name} must be a text")
        return value

    def object(self, name: str) -> dict[str, Any]:
        """A parameter that is an object, or is not there. Raises `Fault`."""
        value = self.params.get(name)
        if value is not None and not isinstance(value, dict):
            raise Fault(INVALID_PARAMS, f"params.{name} must be an object")
        return value or {}


def parsed(request: Request) -> Call:
    """The call in a request, its envelope checked but not its headers. Raises `Fault`."""
    if len(request.body) > INPUT_BYTES_MAX:
        raise Fault(INVALID_REQUEST, f"a call may have {INPUT_BYTES_MAX:,} bytes; this one has {len(request.body):,}")
    document = _decoded(request.body)
    if isinstance(document, list):
        raise Fault(INVALID_REQUEST, "one call per request: batches are not taken")
    if not isinstance(document, dict) or document.get("jsonrpc") != "2.0":
        raise Fault(INVALID_REQUEST, 'the body must be a JSON-RPC call: an object with "jsonrpc": "2.0"')
    method, id, params = document.get("method"), document.get("id"), document.get("params")
    if not isinstance(method, str):
        raise Fault(INVALID_REQUEST, "`method` must be a text")
    if "id" in document and (isinstance(id, bool) or not isinstance(id, str | int)):
        raise Fault(INVALID_REQUEST, "`id` must be a text or an integer")
    if params is not None and not isinstance(params, dict):
        raise Fault(INVALID_REQUEST, "`params` must be an object")
    params = params or {}
    meta = params.get("_meta")
    version = request.headers.get("mcp-protocol-version", "")
    names_itself = isinstance(meta, dict) and f"{META_PREFIX}protocolVersion" in meta
    stateless = names_itself or version == STATELESS
    declared = meta.get(f"{META_PREFIX}clientCapabilities") if isinstance(meta, dict) else None
    return Call(id, method, params, stateless, declared if isinstance(declared, dict) else {})


def check_envelope(call: Call, request: Request) -> None:
    """That revision and headers fit the call. Raises `Fault`."""
    header = request.headers.get("mcp-protocol-version", "")
    if not call.stateless:
        if header and header not in SUPPORTED:
            raise unsupported(header)
        return
    meta = call.params.get("_meta")
    meta = meta if isinstance(meta, dict) else {}
    version = meta.get(f"{META_PREFIX}protocolVersion")
    if not isinstance(version, str) or not isinstance(meta.get(f"{META_PREFIX}clientCapabilities"), dict):
        message = f"params._meta must have {META_PREFIX}protocolVersion and {META_PREFIX}clientCapabilities"
        raise Fault(INVALID_PARAMS, message)
    _check_header("MCP-Protocol-Version", header, version)
    if version != STATELESS:
        raise unsupported(version)
    _check_header("Mcp-Method", request.headers.get("mcp-method", ""), call.method)
    named = call.params.get(NAMED_BY.get(call.method, ""))
    if isinstance(named, str):
        _check_header("Mcp-Name", _plain(request.headers.get("mcp-name", "")), named)


def unsupported(version: str) -> Fault:
    data: Json = {"supported": list(SUPPORTED), "requested": version}
    return Fault(UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def result_answer(call: Call, result: dict[str, Any]) -> Answer:
    """``resultType`` is of the stateless revision; without one, the result is complete."""
    if call.stateless:
        result = {"resultType": "complete", **result}
    else:
        result.pop("resultType", None)
    return json_answer({"jsonrpc": "2.0", "id": call.id, "result": result})


def fault_answer(fault: Fault, call: Call | None, status: int | None = None) -> Answer:
    """``call`` None: it could not be read. ``status``: of HTTP, if another than the code's."""
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.data is not None:
        error["data"] = fault.data
    by_code = STATUSES.get(fault.code, 200) if call is None or call.stateless else 200
    return json_answer({"jsonrpc": "2.0", "id": call.id if call else None, "error": error}, status or by_code)


def _decoded(body: bytes) -> Json:
    try:
        document: Json = msgspec.json.decode(body)
    except RecursionError:
        raise Fault(PARSE_ERROR, "the body is nested too deep") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        reason = malformed(body.decode("utf-8", "replace"), error)
        raise Fault(PARSE_ERROR, f"the body is not JSON: {reason}") from None
    if is_deeper(document, LEVELS_MAX):
        raise Fault(PARSE_ERROR, f"the body is nested more than {LEVELS_MAX} levels deep")
    return document


def _check_header(name: str, header: str, said: str) -> None:
    if header != said:
        raise Fault(HEADER_MISMATCH, f"the header {name} does not say what the call does")


def _plain(header: str) -> str:
    """What a header says: text that it cannot hold is ``=?base64?…?=`` there."""
    if not (header.startswith("=?base64?") and header.endswith("?=")):
        return header
    try:
        return base64.b64decode(header[len("=?base64?") : -len("?=")], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
