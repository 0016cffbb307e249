"""Which URLs of strangers may be requested, and which addresses may be connected to. Pure: nothing is looked up here.

A URL is read by a grammar of its own that takes less than browsers and libraries do. What two readers could understand
differently (other spellings of an IPv4 address, user names, letters beyond ASCII) is refused, never translated.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agentapp.errors import PolicyBlocked
from agentapp.policies import bounds

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2_000
LONGEST_HOST = 253
PORTS = {"http": 80, "https": 443}
# Below it stand the ports of mail, DNS and shells.
FIRST_FREE_PORT = 1_024

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[/?][^#]*)?")
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
_AUTHORITY = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?")
# What begins like a number at the end of a host is an IPv4 address to many readers: 127.1, 0x7f000001, 017700000001.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's special-purpose registries: what is not reached over the public internet, or leads to another address.
_CLOSED_IPV4: tuple[Network, ...] = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Of IPv6 only this is handed out. Outside of it lie loopback, link-local and unique local addresses, multicast,
# IPv4-mapped and IPv4-compatible ones, and those of NAT64.
_OPEN_IPV6 = ipaddress.IPv6Network("2000::/3")
_CLOSED_IPV6: tuple[Network, ...] = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments: Teredo, ORCHID, benchmarking
        "2001:db8::/32", "3fff::/20",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in another form
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, given back
    )
)  # fmt: skip
# An interface identifier of ISATAP holds an IPv4 address.
_ISATAP = frozenset({b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe"})


class TargetNotAllowed(PolicyBlocked):
    """The platform does not connect to this address. The message says why, in words for the client that named it."""


@dataclass(frozen=True)
class Target:
    """A URL in its parts. `host` is in lower case and without brackets; `path` is never empty and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def literal(self) -> Address | None:
        """The address, where the host is one and no name."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """What the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse(url: str) -> Target:
    """Read a URL.

    Raises:
        TargetNotAllowed: it is none, or holds something that no target needs.
    """
    if len(url) > LONGEST_URL:
        raise TargetNotAllowed(f"A URL may have at most {LONGEST_URL:,} characters.")
    if not _CHARACTERS.fullmatch(url):
        raise TargetNotAllowed(
            "Write the URL in ASCII, without blanks: a host name in its xn-- form, other characters as %XX."
        )
    parts = _URL.fullmatch(url)
    if parts is None:
        raise TargetNotAllowed("Write the whole URL, as in https://example.org/hooks, without a fragment (#).")
    scheme = parts["scheme"].lower()
    if scheme not in PORTS:
        raise TargetNotAllowed(f"Only https:// and http:// are possible, not {scheme[:20]}://.")
    host, port = _host_and_port(parts["authority"], scheme)
    path = parts["path"] or "/"
    return Target(scheme, host, port, path if path.startswith("/") else f"/{path}")


def host_of(url: str) -> str:
    """Return the host of a URL that was accepted once; of any other all of it."""
    try:
        return parse(url).host
    except TargetNotAllowed:
        return url


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    if "@" in authority:
        raise TargetNotAllowed("Leave user name and password out of the URL.")
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise TargetNotAllowed("The URL needs a host, and a port only as a number behind it.")
    port = bounds.whole(found["port"], least=1, most=65_535) if found["port"] else PORTS[scheme]
    if port is None:
        raise TargetNotAllowed("A port is a number from 1 to 65535.")
    return (_ipv6(found["ipv6"]) if found["ipv6"] else _name_or_ipv4(found["host"].lower())), port


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise TargetNotAllowed(f"[{text[:50]}] is not an IPv6 address.") from None


def _name_or_ipv4(host: str) -> str:
    if host.endswith("."):
        raise TargetNotAllowed("Leave out the dot at the end of the host.")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            sentence = "Write an IPv4 address as four decimal numbers without leading zeros, or use a name."
            raise TargetNotAllowed(sentence) from None
    if len(host) > LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetNotAllowed(f"{host[:50]} is not a host name.")
    return host


def check(
    target: Target, addresses: Sequence[Address], *, allowed: Sequence[Network], allows_http: bool,
    allowed_by: str = "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS",
) -> None:  # fmt: skip
    """See that every address that a target's host stands for may be connected to.

    One that may not is enough to refuse all: the next connection could be made to it.
    `allowed` are networks of the operator's, in which http and every port are possible too; the setting `allowed_by`
    names them.

    Raises:
        TargetNotAllowed: the sentence names what is refused.
    """
    if not addresses:
        raise TargetNotAllowed(f"The name {target.host} has no address.")
    if all(_is_within(address, allowed) for address in addresses):
        return
    for address in addresses:
        if not (is_public(address) or _is_within(address, allowed)):
            raise TargetNotAllowed(
                # Not which one: what names stand for in the operator's network is nobody else's business.
                f"{target.host} leads to an address that is not public. An operator can allow its network with "
                f"{allowed_by}."
            )
    if target.scheme != "https" and not allows_http:
        raise TargetNotAllowed("Use https://. Over http:// everybody on the way could read what is sent.")
    if target.port != PORTS[target.scheme] and target.port < FIRST_FREE_PORT:
        raise TargetNotAllowed(f"Use the port {PORTS[target.scheme]}, or one from {FIRST_FREE_PORT} on.")


def is_public(address: Address) -> bool:
    """Tell whether an address belongs to one host on the public internet, and not to another one in disguise."""
    if isinstance(address, ipaddress.IPv4Address):
        return not _is_within(address, _CLOSED_IPV4)
    if address.scope_id is not None or address not in _OPEN_IPV6 or _is_within(address, _CLOSED_IPV6):
        return False
    return address.packed[8:12] not in _ISATAP


def _is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
