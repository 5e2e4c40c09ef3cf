"""Webhooks: requests from outside that start executions and prove themselves by a signature.

The signature is the HMAC-SHA256 of ``<timestamp>.<method> <target>.<body>`` under the endpoint's secret, in
hexadecimal; the target is ``/hooks/<workflow>/<endpoint>``, decoded, with the query as it was sent: what is signed for
one endpoint is of no use at another. A request is taken within five minutes of its timestamp, and once. Other headers
are not signed.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from workflow_runtime.errors import NodeError, RequestError
from workflow_runtime.language.expressions import EvaluationError
from workflow_runtime.language.json_values import Json
from workflow_runtime.plan.triggers import WebhookTrigger, digest
from workflow_runtime.ports import Absent, ConditionFailed, Item, Ports
from workflow_runtime.services.catalog.triggers import Occasion, Triggers, start_key
from workflow_runtime.services.intake.starts import Starter
from workflow_runtime.storage import keys

if TYPE_CHECKING:
    from workflow_runtime.services.work.attempt import Secrets

SIGNATURE_HEADER = "x-signature"
TIMESTAMP_HEADER = "x-timestamp"
TOLERANCE_SECONDS = 300  # between the sender's clock and ours, and on the way
HIDDEN_HEADERS = frozenset({SIGNATURE_HEADER, "authorization", "cookie", "proxy-authorization"})

logger = logging.getLogger(__name__)

_SIGNATURE = re.compile(r"(?:sha256=)?([0-9a-fA-F]{64})")
_TIMESTAMP = re.compile(r"[0-9]{1,12}")


class Call(msgspec.Struct, frozen=True):
    """A request to an endpoint; headers by their lower-case names. ``raw_query``: the query as it was sent."""

    workflow_id: str
    endpoint: str
    method: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    raw_query: str = ""

    @property
    def target(self) -> str:
        path = f"/hooks/{self.workflow_id}/{self.endpoint.strip('/')}"
        return f"{path}?{self.raw_query}" if self.raw_query else path


class Accepted(msgspec.Struct, frozen=True):
    """A request whose proof holds. ``at``: its time (epoch ms); ``signature`` "" where none is asked for."""

    call: Call
    trigger: WebhookTrigger
    at: int
    signature: str = ""


class Webhooks:
    """``new_id`` gives a fresh identity per call. Requests with one `key` of the trigger answer the same execution."""

    def __init__(
        self, ports: Ports, triggers: Triggers, starter: Starter, secrets: Secrets, new_id: Callable[[], str]
    ) -> None:
        self._ports = ports
        self._triggers = triggers
        self._starter = starter
        self._secrets = secrets
        self._new_id = new_id

    def accept(self, call: Call) -> Accepted:
        """Check where a request goes and its proof; nothing of its body is read before.

        Raises `RequestError`: ``not_found`` (workflow, endpoint or method; it does not say which), ``unauthorized``,
        ``unavailable`` (the secret cannot be read).
        """
        trigger = self._triggers.webhook(call.workflow_id, call.endpoint, call.method)
        if trigger is None:
            raise RequestError("not_found", "there is nothing at this path")
        now = self._ports.clock.now()
        if trigger.secret is None:
            return Accepted(call, trigger, now)
        if not trigger.secret:
            logger.warning("a webhook requires signatures but names no secret", extra={"workflow_id": call.workflow_id})
            raise RequestError("unauthorized", "this endpoint requires a signature, but its workflow names no secret")
        signature = _SIGNATURE.fullmatch(call.headers.get(SIGNATURE_HEADER, ""))
        timestamp = call.headers.get(TIMESTAMP_HEADER, "")
        if signature is None or not _TIMESTAMP.fullmatch(timestamp):
            raise RequestError("unauthorized", "the request is not signed as this endpoint asks for")
        wanted = signature_of(self._secret(trigger.secret), timestamp, f"{call.method} {call.target}", call.body)
        given = signature[1].lower()
        if not hmac.compare_digest(given, wanted):
            raise RequestError("unauthorized", "the request is not signed as this endpoint asks for")
        at = int(timestamp) * 1000
        if abs(now - at) > TOLERANCE_SECONDS * 1000:
            raise RequestError("unauthorized", f"the timestamp is more than {TOLERANCE_SECONDS} s from the present")
        return Accepted(call, trigger, at, given)

    def start(self, accepted: Accepted, payload: Json) -> str:
        """Start the execution that the request asks for; its id. ``payload``: the body, parsed.

        Raises `RequestError`: ``conflict`` (a request with this signature was taken before), ``invalid_input``.
        """
        if not accepted.signature:
            return self._start(accepted, payload)
        claim = self._claim(accepted)
        try:
            return self._start(accepted, payload)
        except Exception:
            with suppress(Exception):  # then the sender has to sign again
                self._ports.table.delete_all([claim.key])
            raise

    def _claim(self, accepted: Accepted) -> Item:
        """Take the signature: later requests with it are refused. The owner tells our own write, if its response
        was lost, from another's."""
        call = accepted.call
        key = keys.webhook_call(call.workflow_id, call.endpoint.strip("/"), accepted.signature)
        owner = self._new_id()
        expires = accepted.at // 1000 + 2 * TOLERANCE_SECONDS  # by then its timestamp is refused
        item = Item(key, {"owner": owner, keys.EXPIRES: expires})
        try:
            self._ports.table.put(item, Absent())
        except ConditionFailed:
            stored = self._ports.table.get([key]).get(key)
            if stored is None or stored.attributes["owner"] != owner:
                raise RequestError("conflict", "a request with this signature was taken before") from None
        return item

    def _start(self, accepted: Accepted, payload: Json) -> str:
        call, trigger = accepted.call, accepted.trigger
        identity = accepted.signature or self._new_id()
        headers = {name: value for name, value in call.headers.items() if name not in HIDDEN_HEADERS}
        names = {"body": payload, "headers": headers, "query": dict(call.query)}
        occasion = Occasion(identity, accepted.at, payload, names)
        try:
            key = start_key(occasion, trigger) or f"\0webhook\0{digest(trigger)}\0{identity}"
            input = occasion.input(trigger)
        except EvaluationError as error:
            raise RequestError("invalid_input", f"no input could be made of the request: {error}") from error
        return self._starter.start_once(call.workflow_id, input, key)

    def _secret(self, name: str) -> str:
        try:
            secret = self._secrets.get(name)
        except NodeError as error:
            logger.error("a webhook's secret cannot be read", extra={"reason": error.message})
            raise RequestError("unavailable", "the request cannot be checked at the moment") from error
        if not secret:
            logger.error("a webhook's secret is empty", extra={"secret": name})
            raise RequestError("unavailable", "the request cannot be checked at the moment")
        return secret


def signature_of(secret: str, timestamp: str, request: str, body: bytes) -> str:
    """What a sender puts into `X-Signature`; ``request``: method and target."""
    signed = f"{timestamp}.{request}.".encode("utf-8", "surrogatepass") + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
