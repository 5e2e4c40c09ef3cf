"""Which addresses `http_request` connects to."""

from __future__ import annotations

import ipaddress

import pytest

from workflow_runtime.errors import NodeError
from workflow_runtime.invokers.tools.builtin.http_guard import AllowList, check_host, is_public

REFUSED = [
    # loopback, unspecified, "this network"
    "127.0.0.1", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.1.2.3", "::1", "::",
    # private
    "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255",
    "fc00::1", "fd12:3456:789a::1", "fec0::1",
    # link-local and metadata services
    "169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe",
    "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16",
    # carrier-grade NAT, benchmarks, documentation, protocol assignments
    "100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255", "192.0.0.1", "192.0.2.1", "198.51.100.1",
    "203.0.113.1", "192.88.99.1", "192.31.196.1", "192.52.193.1", "192.175.48.1",
    "2001:db8::1", "3fff::1", "2001:2::1", "2001:10::1", "100::1", "5f00::1",
    # multicast, reserved, broadcast
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1", "4000::1", "1::1",
    # IPv6 forms that carry an IPv4 address, a public one too
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8", "::ffff:7f00:1", "::127.0.0.1", "::8.8.8.8",
    "::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::8.8.8.8", "64:ff9b:1::7f00:1",
    "2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1", "2001::7f00:1", "2001:0:808:808::1",
    "2a00:1450:4001:830:0:5efe:7f00:1", "2a00:1450:4001:830:200:5efe:a00:1",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00:1450::1"]

AMBIGUOUS = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.1", "127.0.1", "0", "1.2.3.4.5",
    "256.1.1.1", "127.0.0.1.", "0x", "example.0x7f", "a..b", "-a.com", "a b", "exa_mple.com/..", "", ".", "é.com",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    for entries in (["*"], ["*.example.com"]):
        with pytest.raises(NodeError) as caught:
            AllowList(entries).check("www.example.com", [address])
        assert caught.value.type == "not_allowed"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed_for_any_host(address: str) -> None:
    assert AllowList(["*"]).check("example.com", [address]) == [ipaddress.ip_address(address)]


@pytest.mark.parametrize("host", AMBIGUOUS)
def test_a_host_that_resolvers_may_read_as_a_number_or_not_at_all_is_refused(host: str) -> None:
    with pytest.raises(NodeError) as caught:
        check_host(host)
    assert caught.value.type == "validation_error"


def test_one_private_answer_among_public_ones_refuses_the_host() -> None:
    with pytest.raises(NodeError, match="not public"):
        AllowList(["*"]).check("example.com", ["8.8.8.8", "10.0.0.1"])


def test_a_named_host_may_be_private_or_loopback() -> None:
    allow_list = AllowList(["Internal.Example.com", "localhost"])
    assert allow_list.check("internal.example.com", ["10.0.0.1"])
    assert allow_list.check("localhost", ["127.0.0.1", "::1"])


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "fe80::1", "::ffff:127.0.0.1", "100.64.0.1"])
def test_a_named_host_is_never_at_a_metadata_address(address: str) -> None:
    with pytest.raises(NodeError) as caught:
        AllowList(["internal.example.com"]).check("internal.example.com", [address])
    assert caught.value.type == "not_allowed"


def test_a_network_on_the_list_is_allowed_under_every_name() -> None:
    allow_list = AllowList(["10.1.0.0/16", "[fd00::1]"])
    assert allow_list.check("db.internal", ["10.1.2.3", "fd00::1"])
    with pytest.raises(NodeError, match="TOOLS_HTTP_ALLOW"):
        allow_list.check("db.internal", ["10.2.0.1"])


def test_a_network_on_the_list_does_not_open_its_carried_forms() -> None:
    with pytest.raises(NodeError):
        AllowList(["10.0.0.0/8", "*"]).check("db.internal", ["::ffff:10.0.0.1"])


def test_a_host_that_is_not_on_the_list_is_refused_though_public() -> None:
    allow_list = AllowList(["api.example.com", "*.trusted.org"])
    assert allow_list.check("api.example.com", ["8.8.8.8"])
    assert allow_list.check("a.b.trusted.org", ["8.8.8.8"])
    for host in ("example.com", "evil-api.example.com", "trusted.org", "nottrusted.org", "api.example.com.evil.org"):
        with pytest.raises(NodeError) as caught:
            allow_list.check(host, ["8.8.8.8"])
        assert caught.value.type == "not_allowed"


def test_a_host_without_addresses_is_an_error() -> None:
    with pytest.raises(NodeError, match="no address"):
        AllowList(["*"]).check("example.com", [])


@pytest.mark.parametrize("entry", ["http://example.com", "10.0.0.0/99", "exa mple", "999.1.1.1", "localhost:3000"])
def test_an_entry_that_is_no_host_or_network_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="is not a host, address or network"):
        AllowList([entry])
