"""What the HTTP tool may do: which addresses it may connect to, and which headers and cookies it may send where.

Public addresses only, unless the allow-list names more. What counts as public is decided on the address that is
connected to, after resolution, never on the name. Source of the ranges: IANA's special-purpose registries (RFC 6890 and
updates).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.reach import LOCAL_REACH, Reach

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# IPv6 forms that carry an IPv4 address: a translator or tunnel would take the connection to it. Refused whatever they
# carry.
CARRIERS = tuple(
    ipaddress.IPv6Network(text)
    for text in (
        "::/96",  # IPv4-compatible (RFC 4291)
        "::ffff:0:0/96",  # IPv4-mapped (RFC 4291)
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64, local use (RFC 8215)
        "2001::/32",  # Teredo (RFC 4380)
        "2002::/16",  # 6to4 (RFC 3056)
    )
)
# Not public, and not in every Python version's tables.
EXTRA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); Alibaba's metadata service is in it
        "192.0.0.0/24",  # protocol assignments (RFC 6890); Oracle's metadata service is in it
        "192.31.196.0/24",  # AS112 (RFC 7535)
        "192.52.193.0/24",  # AMT (RFC 7450)
        "192.88.99.0/24",  # 6to4 relays (RFC 7526)
        "192.175.48.0/24",  # AS112 (RFC 7534)
        "198.18.0.0/15",  # benchmarks (RFC 2544)
        "168.63.129.16/32",  # Azure's host service: public by number only
        "100::/64",  # discard (RFC 6666)
        "2001::/23",  # protocol assignments (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "3fff::/20",  # documentation (RFC 9637)
        "5f00::/16",  # segment routing (RFC 9602)
        "fec0::/10",  # site-local (RFC 3879)
    )
)
ISATAP = re.compile(r"^(?:[0-9a-f]{4}:){4}0[02]00:5efe:")  # RFC 5214: interface ids that carry an IPv4 address

COOKIES_MAX = 50  # of one exchange: as many as browsers keep for one site

GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that IANA has given out; what is outside is reserved


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could reach ``address``: global unicast, and no carrier of another address."""
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    if any(address in network for network in EXTRA if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    if address.scope_id is not None or ISATAP.match(address.exploded):
        return False
    return address in GLOBAL_UNICAST and not any(address in network for network in CARRIERS)


class AllowList:
    """The ``http`` entries of a `Reach`, whose advice its refusals give. Raises `ValueError` for an entry that is no
    host, address or network.
    """

    def __init__(self, entries: Iterable[str], reach: Reach = LOCAL_REACH) -> None:
        self._reach = reach
        self._any = False
        self._hosts: set[str] = set()
        self._suffixes: list[str] = []
        self._networks: list[Network] = []
        for entry in entries:
            self._add(entry.strip().lower())

    def _add(self, entry: str) -> None:
        if entry == "*":
            self._any = True
        elif entry.startswith("*."):
            self._suffixes.append(entry[1:])
        elif _HOST.fullmatch(entry) and not _ENDS_IN_NUMBER.search(entry):
            self._hosts.add(entry)
        else:
            try:
                self._networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
            except ValueError:
                hint = "a host stands without scheme, port and path"
                raise ValueError(f"{entry[:100]!r} is not a host, address or network; {hint}") from None

    def check(self, host: str, addresses: Iterable[str]) -> list[Address]:
        """The addresses of ``host``, if every one of them may be connected to. Raises `NodeError` ``not_allowed``.

        One bad address among good ones refuses them all: such an answer is suspicious.
        """
        parsed = [_parse(text) for text in addresses]
        if not parsed:
            raise NodeError("execution_error", f"the host {host} has no address")
        for address in parsed:
            self._check(host, address)
        return parsed

    def _check(self, host: str, address: Address) -> None:
        if any(address in network for network in self._networks if network.version == address.version):
            return
        if host in self._hosts and _is_local_use(address):
            return
        if self._any or host in self._hosts or any(host.endswith(suffix) for suffix in self._suffixes):
            if is_public(address):
                return
            raise self._reach.refusal("http", f"the host {host} is at an address that is not public")
        raise self._reach.refusal("http", f"the host {host} is not on the allow-list")


def _is_local_use(address: Address) -> bool:
    """Loopback and private networks, which naming a host opens; never link-local ones, where metadata services are."""
    if address in _METADATA or getattr(address, "scope_id", None):
        return False
    return any(address in network for network in _LOCAL_USE if network.version == address.version)


_LOCAL_USE = tuple(
    ipaddress.ip_network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
# AWS's metadata service over IPv6 lies in the private range; it is opened by its address only.
_METADATA = (ipaddress.IPv6Address("fd00:ec2::254"), ipaddress.IPv6Address("fd20:ce::254"))

_HOST = re.compile(
    r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?"
)
_ENDS_IN_NUMBER = re.compile(r"(?:^|\.)(?:[0-9]+|0x[0-9a-f]*)\.?$")


def check_host(host: str) -> Address | None:
    """The address that ``host`` (lower case, ASCII) is, or None for a name. Raises `NodeError` for what is neither.

    ``2130706433``, ``0x7f.1``, ``0177.0.0.1`` are numbers to some resolvers and names to others: refused (WHATWG URL,
    "ends in a number").
    """
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        pass
    if not _HOST.fullmatch(host) or _ENDS_IN_NUMBER.search(host):
        raise NodeError("validation_error", f"{host[:100]!r} is not a host name or address")
    return None


def _parse(text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise NodeError("execution_error", f"the resolver answered {text[:100]!r}, which is not an address") from None


_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 9110 §5.6.2, token
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]{0,8192}")  # RFC 9110 §5.5 without obs-text: what every server reads alike

OURS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)  # they say where a message ends and whom it is for
CARRIED = frozenset({"accept", "accept-language", "content-type", "user-agent"})


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with lower-case names. Raises `NodeError` ``validation_error``; values never appear in the
    message."""
    checked: dict[str, str] = {}
    for name, value in headers.items():
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(name):
            raise NodeError("validation_error", f"{name[:100]!r} is not a header name")
        if lower in OURS or lower.startswith("proxy-"):
            raise NodeError("validation_error", f"the header {name!r} cannot be set")
        if lower in checked:
            raise NodeError("validation_error", f"the header {name!r} is given twice")
        if not _HEADER_VALUE.fullmatch(value):
            raise NodeError(
                "validation_error", f"the value of the header {name!r} holds line breaks or non-ASCII characters"
            )
        checked[lower] = value.strip()
    return checked


def after_redirect(headers: Mapping[str, str]) -> dict[str, str]:
    """What another origin may see: a key stands in Authorization, or in any header of an API's own."""
    return {name: value for name, value in headers.items() if name in CARRIED}


class Cookies:
    """The cookies of one exchange, each for the origin that set it; its ``Domain`` is not followed to others (RFC 6265
    §5). Nothing outlives the exchange.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, str]] = {}  # (origin, name) -> (path, value)

    def keep(self, origin: str, default_path: str, lines: Iterable[str]) -> None:
        """Take the ``Set-Cookie`` lines of a response."""
        for line in lines:
            pair, *attributes = line.split(";")
            name, equals, value = (part.strip() for part in pair.partition("="))
            if not equals or not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                continue
            said = dict(_attribute(text) for text in attributes)
            path = said.get("path", "")
            if said.get("max-age", "1").lstrip("-").isdecimal() and int(said.get("max-age", "1")[:10]) <= 0:
                self._kept.pop((origin, name), None)
            elif len(self._kept) < COOKIES_MAX:
                self._kept[origin, name] = (path if path.startswith("/") else default_path, value)

    def header(self, origin: str, path: str, given: str) -> str:
        """The header ``Cookie`` of a request to ``origin``; ``given`` is the author's own, which comes first."""
        names = {pair.partition("=")[0].strip() for pair in given.split(";")}
        ours = [
            f"{name}={value}"
            for (place, name), (root, value) in self._kept.items()
            if place == origin and name not in names and _is_below(path, root)
        ]
        return "; ".join([*([given] if given else []), *ours])


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip().lower(), value.strip()


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root.endswith("/") else f"{root}/")
