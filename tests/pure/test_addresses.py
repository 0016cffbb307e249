"""Which URLs are read, and which addresses are public."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import addresses
from agentapp.policies.addresses import Target, TargetNotAllowed

PUBLIC = (
    "93.184.215.14", "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111", "2a00:1450::1",
)  # fmt: skip
PRIVATE = (
    "10.1.2.3", "127.0.0.1", "100.64.0.1", "::1", "::", "fe80::1", "fd00::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
    "2002:808:808::",
)  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_is_public(text: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PRIVATE)
def test_any_other_is_not_nor_is_one_in_disguise(text: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(text))


@given(st.ip_addresses())
def test_what_python_does_not_call_global_is_not_public(address: addresses.Address) -> None:
    if addresses.is_public(address):
        assert address.is_global and not address.is_multicast and not address.is_reserved


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://example.org", Target("https", "example.org", 443, "/")),
        ("HTTPS://Example.ORG:8443/a/b?c=d", Target("https", "example.org", 8443, "/a/b?c=d")),
        ("http://xn--bcher-kva.example?x", Target("http", "xn--bcher-kva.example", 80, "/?x")),
        ("http://8.8.8.8/", Target("http", "8.8.8.8", 80, "/")),
        ("https://[2606:4700:0::1111]:8443/", Target("https", "2606:4700::1111", 8443, "/")),
        ("http://receiver:9000/", Target("http", "receiver", 9000, "/")),
        ("http://my_service/", Target("http", "my_service", 80, "/")),
    ],
)
def test_a_url_is_read_in_its_parts(url: str, target: Target) -> None:
    assert addresses.parse(url) == target


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://a.example", "a.example"), ("https://a.example:444", "a.example:444"), ("http://[::1]:81", "[::1]:81")],
)
def test_the_host_header_has_a_port_where_it_is_not_the_usual_one(url: str, host: str) -> None:
    assert addresses.parse(url).authority == host


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("https://bücher.example/", "Write the URL in ASCII"),
        ("https://user@example.org/", "Leave user name and password out"),
        ("https://example.org./", "Leave out the dot"),
        ("https://127.1/", "Write an IPv4 address as four decimal numbers"),
        ("ftp://example.org/", "Only https:// and http:// are possible"),
        ("https://example.org/#part", "without a fragment"),
        ("https://example.org:99999/", "A port is a number from 1 to 65535"),
        ("example.org/hooks", "Write the whole URL"),
    ],
)
def test_what_is_refused_is_refused_with_what_to_do(url: str, sentence: str) -> None:
    with pytest.raises(TargetNotAllowed, match=sentence):
        addresses.parse(url)


def check(url: str, *found: str, allowed: str = "", allows_http: bool = False) -> None:
    networks = [ipaddress.ip_network(allowed)] if allowed else []
    target = addresses.parse(url)
    literals = [ipaddress.ip_address(text) for text in found]
    addresses.check(target, literals, allowed=networks, allows_http=allows_http)


def test_one_address_that_is_not_public_refuses_all() -> None:
    check("https://example.org", "8.8.8.8", "2606:4700::1111")

    with pytest.raises(TargetNotAllowed, match="an address that is not public"):
        check("https://example.org", "8.8.8.8", "10.0.0.1")


def test_a_network_of_the_operator_may_be_private_and_without_tls_at_any_port() -> None:
    check("http://receiver:25", "10.0.0.1", allowed="10.0.0.0/8")

    with pytest.raises(TargetNotAllowed, match="that is not public"):
        check("http://receiver:25", "10.0.0.1", allowed="10.1.0.0/16")


def test_an_allowed_network_opens_no_other_spelling_of_its_addresses() -> None:
    with pytest.raises(TargetNotAllowed):
        check("http://receiver", "::ffff:10.0.0.1", allowed="10.0.0.0/8")


def test_without_tls_a_public_address_needs_the_setting() -> None:
    with pytest.raises(TargetNotAllowed, match="Use https"):
        check("http://example.org", "8.8.8.8")

    check("http://example.org", "8.8.8.8", allows_http=True)


@pytest.mark.parametrize("port", [22, 25, 53, 110, 1023])
def test_a_low_port_is_that_of_another_service(port: int) -> None:
    with pytest.raises(TargetNotAllowed, match="Use the port 443"):
        check(f"https://example.org:{port}", "8.8.8.8")
