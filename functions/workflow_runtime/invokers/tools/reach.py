"""What built-in tools may reach. Nothing, until a deployment says so: a stack's roles are the outer fence, this the
inner one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from workflow_runtime.errors import NodeError

Area = Literal["http", "email", "database", "functions"]

SETTINGS: dict[Area, str] = {
    "http": "TOOLS_HTTP_ALLOW",
    "email": "TOOLS_EMAIL_ALLOW",
    "database": "TOOLS_DATABASE_ALLOW",
    "functions": "TOOLS_FUNCTIONS_ALLOW",
}
"""The setting (an environment variable, comma-separated) that opens each area."""


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
    ==============  ===================  =====================================================================
    """

    http: tuple[str, ...] | None = None
    email: tuple[str, ...] | None = None
    database: tuple[str, ...] | None = None
    functions: tuple[str, ...] | None = None

    @classmethod
    def from_settings(cls, settings: Mapping[str, str]) -> Reach:
        """The reach that ``settings`` (by the names in `SETTINGS`) allow; an empty or absent one leaves its tool
        off."""
        return cls(**{area: _entries(settings.get(name, "")) for area, name in SETTINGS.items()})

    def require(self, area: Area, tool: str) -> tuple[str, ...]:
        """The allow-list of ``area``. Raises `NodeError` ``not_allowed``, naming the setting, when it is off."""
        allowed: tuple[str, ...] | None = getattr(self, area)
        if allowed is None:
            raise NodeError(
                "not_allowed",
                f"the tool {tool!r} is off here; the setting {SETTINGS[area]} (an allow-list) turns it on",
            )
        return allowed


LOCAL_REACH = Reach(http=("*",))
"""Of local runs: public web addresses; AWS stays off."""


def refuse(area: Area, what: str) -> NodeError:
    """``what`` is not on the allow-list of ``area``."""
    return NodeError("not_allowed", f"{what} is not on the allow-list (setting {SETTINGS[area]})")


def _entries(text: str) -> tuple[str, ...] | None:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip()) or None
