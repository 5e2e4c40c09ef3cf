"""What built-in tools may reach. Nothing, until a deployment says so: a stack's roles are the outer fence, this the
inner one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from workflow_runtime.errors import NodeError

Area = Literal["http", "email", "database", "functions", "tables", "queues", "buses"]

SETTINGS: dict[Area, str] = {
    "http": "TOOLS_HTTP_ALLOW",
    "email": "TOOLS_EMAIL_ALLOW",
    "database": "TOOLS_DATABASE_ALLOW",
    "functions": "TOOLS_FUNCTIONS_ALLOW",
    "tables": "TOOLS_TABLES_ALLOW",
    "queues": "TOOLS_QUEUES_ALLOW",
    "buses": "TOOLS_BUSES_ALLOW",
}
"""The setting (an environment variable, comma-separated) that opens each area."""


DEPLOYED = "the setting {setting} of the deployment (an allow-list) opens it"
LOCAL = "the environment variable {setting} (an allow-list) opens it"
ALLOW_HTTP = "--allow-http"


class Reach(msgspec.Struct, frozen=True):
    """Allow-lists by area; None: the tool is off.

    ==============  ===================  =====================================================================
    area            tool                 entries
    ==============  ===================  =====================================================================
    ``http``        ``http_request``     ``*`` any public address · ``*.example.com`` public addresses of subdomains ·
                                         ``host`` that host, private and loopback addresses too · an address or CIDR
    ``email``       ``send_email``       recipients: ``someone@example.com`` · ``@example.com`` · ``*``
    ``database``    ``database_query``   cluster ARNs · ``*``
    ``functions``   ``lambda_invoke``    function names or ARNs, as written; a final ``*`` matches any rest
    ``tables``      ``dynamodb_write``   names of tables; a final ``*`` matches any rest
    ``queues``      ``sqs_send``         names of queues; a final ``*`` matches any rest
    ``buses``       ``publish_event``    names or ARNs, as written, of buses other than the runtime's own; a final ``*``
                                         matches any rest
    ==============  ===================  =====================================================================

    ``advice`` says what opens an area where this reach is in force, ``http_advice`` what else does for ``http``.
    """

    http: tuple[str, ...] | None = None
    email: tuple[str, ...] | None = None
    database: tuple[str, ...] | None = None
    functions: tuple[str, ...] | None = None
    tables: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    buses: tuple[str, ...] | None = None
    advice: str = DEPLOYED
    http_advice: str = ""

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Reach:
        """The reach that ``settings`` (by the names in `SETTINGS`) allow; an empty or absent one leaves its tool
        off."""
        lists: dict[str, Any] = {area: _entries(settings.get(name, "")) for area, name in SETTINGS.items()}
        return replace(cls(), **lists)

    def require(self, area: Area, tool: str) -> tuple[str, ...]:
        """The allow-list of ``area``. Raises `NodeError` ``not_allowed``, with what would open it, when it is off."""
        allowed: tuple[str, ...] | None = getattr(self, area)
        if allowed is None:
            raise self.refusal(area, f"the tool {tool!r} is off here")
        return allowed

    def check(self, area: Area, tool: str, what: str, name: str) -> None:
        """Raises `NodeError` ``not_allowed`` unless the allow-list of ``area`` names it; ``what`` says what it is."""
        if not _is_listed(name, self.require(area, tool)):
            raise self.refusal(area, f"{what} {name} is not on the allow-list")

    def refusal(self, area: Area, what: str) -> NodeError:
        """That something is not allowed, and what would change that."""
        advice = [self.advice.format(setting=SETTINGS[area]), self.http_advice if area == "http" else ""]
        return NodeError("not_allowed", "; ".join(part for part in (what, *advice) if part))


_STANDING_IN: dict[str, Any] = {"tables": ("*",), "queues": ("*",), "buses": ("*",)}
"""What is open on one machine unless the settings say otherwise: something in its own database stands for it."""

LOCAL_REACH = replace(Reach(http=("*",), advice=LOCAL), **_STANDING_IN)
"""Of local runs without settings: public web addresses, and what is kept on the machine; AWS stays off."""


def local_reach(environ: Mapping[str, str], allow_http: Sequence[str] | None = None) -> Reach:
    """The reach of a local run: what the settings in ``environ`` allow, public web addresses where they say nothing,
    and the hosts in ``allow_http`` besides (None: the program has no such option).
    """
    reach = Reach.from_settings(environ)
    reach = replace(reach, **{area: getattr(reach, area) or entries for area, entries in _STANDING_IN.items()})
    http = (reach.http if reach.http is not None else ("*",)) + tuple(allow_http or ())
    return replace(
        reach, http=http, advice=LOCAL, http_advice="" if allow_http is None else f"so does {ALLOW_HTTP} HOST"
    )


def _is_listed(name: str, entries: Sequence[str]) -> bool:
    """Whether an allow-list names it; a final ``*`` of an entry matches any rest."""
    return any(name.startswith(entry[:-1]) if entry.endswith("*") else name == entry for entry in entries)


def _entries(text: str) -> tuple[str, ...] | None:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip()) or None
