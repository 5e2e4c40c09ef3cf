"""The OpenTelemetry collector behind `ports.TraceSink`, over HTTP."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from urllib.error import HTTPError
from urllib.parse import unquote
from urllib.request import Request, urlopen

from workflow_runtime.ports import SERVICE_DEFAULT

SECONDS_MAX = 2  # a collector is near; a dispatcher has 15 s for everything
PAUSE_SECONDS = 30  # after a failure: a collector that is away must not hold up what runs
PATH = "/v1/traces"
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"  # the conventions' own switch, off by default

logger = logging.getLogger(__name__)


class OtlpCollector:
    """``url``: of the endpoint for traces; ``headers``: sent with each request, credentials for instance; ``content``:
    see `TraceSink`."""

    def __init__(
        self,
        url: str,
        service: str = SERVICE_DEFAULT,
        headers: Mapping[str, str] | None = None,
        *,
        content: bool = False,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"an OTLP endpoint begins with http:// or https://, not {url!r}")
        self.service = service
        self.content = content
        self._url = url
        self._headers = {"content-type": "application/json", **(headers or {})}
        self._silent_until = 0.0

    def send(self, body: bytes) -> None:
        """Spans that do not arrive are lost; the log says so, once per pause."""
        if time.monotonic() < self._silent_until:
            return
        try:
            post(self._url, body, self._headers)
        except OSError as error:
            self._silent_until = time.monotonic() + PAUSE_SECONDS
            logger.warning("the trace collector does not take spans", extra={"reason": str(error)})


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Raises `OSError` (`HTTPError` for an answer that refuses)."""
    try:
        with urlopen(Request(url, body, dict(headers), method="POST"), timeout=SECONDS_MAX) as answer:
            answer.read()
    except HTTPError as error:
        with error:
            raise OSError(f"{error.code} {error.reason}") from None


def collector_of(environ: Mapping[str, str]) -> OtlpCollector | None:
    """What OpenTelemetry's own variables name: ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``…_TRACES_ENDPOINT``, complete),
    ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_SERVICE_NAME``, `CONTENT`; None: there is no collector. Raises `ValueError`.
    """
    base, whole = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"), environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    url = whole or (base.rstrip("/") + PATH if base else "")
    if not url or environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    service = environ.get("OTEL_SERVICE_NAME") or environ.get("POWERTOOLS_SERVICE_NAME") or SERVICE_DEFAULT
    headers = _headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""))
    return OtlpCollector(url, service, headers, content=environ.get(CONTENT, "").lower() == "true")


def _headers(text: str) -> dict[str, str]:
    """``name=value`` pairs with commas, values percent-encoded."""
    pairs = (pair.partition("=") for pair in text.split(",") if "=" in pair)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
