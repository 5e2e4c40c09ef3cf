"""Which HTTP API a command talks to, and what it says of itself there."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from workflow_runtime.frontends.cli.errors import usage_error
from workflow_runtime.frontends.dev.options import PORT_DEFAULT

URL_DEFAULT = f"http://127.0.0.1:{PORT_DEFAULT}"
PORTS = {"http": 80, "https": 443}


class Server(msgspec.Struct, frozen=True):
    """The API at ``url``, with the path it has there, if any. ``token``: sent as a bearer token; ``profile`` and
    ``region``: requests are signed with these AWS credentials, for this region. ``db``: no API is asked, but this
    database file.
    """

    url: str
    token: str | None = None
    profile: str | None = None
    region: str | None = None
    db: Path | None = None

    def check(self) -> None:
        """Raises `CliError` (usage) for what is not an address, or not a token: neither is worth a request."""
        check_address("--url (or AWR_URL)", self.url)
        if self.token is not None and (self.profile or self.region):
            raise usage_error("--token, or --profile and --region: requests carry a token or are signed")
        if self.region is not None and self.aws_region not in (None, self.region):
            raise usage_error(f"--region is {self.region}, but the API at {self.url} is in {self.aws_region}")
        if self.token is not None:
            header_value("--token (or AWR_TOKEN)", self.token)

    @property
    def signs(self) -> bool:
        """Whether requests are signed with AWS credentials."""
        asked = self.profile is not None or self.region is not None
        return self.token is None and (asked or self.aws_region is not None)

    @property
    def aws_region(self) -> str | None:
        """Where the API is, if the URL is one of AWS's own."""
        from workflow_runtime.frontends.client.signing import (
            aws_region,  # with it comes httpx, which help texts do without
        )

        return aws_region(self.url)

    @property
    def loopback(self) -> tuple[str, int] | None:
        """Host and port if it is this machine, where `awr dev` is; else None."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        try:
            own = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return None
        return (host, parts.port or PORTS[parts.scheme]) if own else None

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"} if self.token is not None else {}


def check_address(option: str, url: str) -> None:
    """Raises `CliError` (usage)."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        hint = f"http://{url}, perhaps?" if "://" not in url else ""
        raise usage_error(f"{option} is not an http:// or https:// address: {url!r}", hint)


def header_value(option: str, text: str) -> str:
    """The text if an HTTP header can carry it, else raises `CliError` (usage), which does not repeat it."""
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise usage_error(f"{option} must be ASCII characters, not empty, without line breaks or spaces around it")
    return text
