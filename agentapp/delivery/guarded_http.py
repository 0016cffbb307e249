"""HTTP to addresses that strangers name: to public ones only, within limits of time and size, without redirects.

A name is looked up once. Every address that it has must be allowed, and the connection is made to one of those that
were checked: a name that answers differently the second time changes nothing. Proxies of the environment are not used,
because a proxy would look the name up again.
"""

from __future__ import annotations

import errno
import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from agentapp.delivery.wire import Wire, left_s
from agentapp.errors import TransientError
from agentapp.observability import tracing
from agentapp.policies import addresses, storable
from agentapp.policies.addresses import Address, Network, Target

# Returns the addresses of a name, as text; raises OSError.
Resolve = Callable[[str, int], Sequence[str]]
IsEnough = Callable[[bytes], bool]

LOOKUP_S = 5.0
# Of status line and headers.
HEAD_BYTES = 64 * 1024
# Of this machine, which has no sockets or no memory left; all else is the other side's, or the network's between.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class NoAnswer(TransientError):
    """The other side could not be reached, or did not answer as HTTP within the limits. Another time it may."""


class NotConnected(NoAnswer):
    """There was no connection: of the request nothing was sent."""


@dataclass(frozen=True)
class Limits:
    """`connect_s` is for looking up, connecting and TLS, `read_s` from one piece of the answer to the next, `total_s`
    for all of it. Of the answer's content no more than `content_bytes` is read, within `content_s`."""

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 15.0
    content_s: float = 15.0
    content_bytes: int = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """`is_whole`: the content was read to its end. A status is known even where the content is not."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    is_whole: bool


def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver for all addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(item[4][0]) for item in found))


@dataclass(frozen=True)
class Guard:
    """What may be connected to. `allowed` are networks of the operator's own, which the setting `allowed_by` names;
    `resolve` and `tls` are for tests and for who has a resolver or certificates of their own."""

    allowed: tuple[Network, ...] = ()
    allows_http: bool = False
    allowed_by: str = "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS"
    resolve: Resolve = look_up
    tls: ssl.SSLContext | None = field(default=None, compare=False)

    def check(self, url: str) -> tuple[Target, list[Address]]:
        """Return a URL in its parts and the addresses that may be connected to for it.

        Raises:
            TargetNotAllowed: it may not be requested.
            NoAnswer: its name cannot be looked up.
        """
        target = addresses.parse(url)
        literal = target.literal
        found = [literal] if literal else self._addresses(target)
        addresses.check(target, found, allowed=self.allowed, allows_http=self.allows_http, allowed_by=self.allowed_by)
        return target, found

    def get(self, url: str, *, headers: Mapping[str, str], limits: Limits | None = None) -> Answer:
        """Read what is at a URL; see post."""
        return self._request("GET", url, headers, None, limits or Limits())

    def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, limits: Limits | None = None,
        is_enough: IsEnough | None = None,
    ) -> Answer:  # fmt: skip
        """Send one request and return the answer, whatever its status is; a redirect is an answer like any other.

        `is_enough` is asked with what has been read so far: a stream need not be read to its end.

        Raises:
            TargetNotAllowed: it may not be requested; nothing was connected to.
            NoAnswer: there was none within the limits.
        """
        return self._request("POST", url, headers, body, limits or Limits(), is_enough)

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None, limits: Limits | None = None
    ) -> Answer:
        """Send a request of any method; see post. Raises NotConnected where nothing of it was sent."""
        return self._request(method, url, headers, body, limits or Limits())

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limits: Limits,
        is_enough: IsEnough | None = None,
    ) -> Answer:  # fmt: skip
        deadline_s = time.monotonic() + limits.total_s
        target, found = self.check(url)
        # Path and query may hold what nobody else shall read.
        told: tracing.Attributes = {
            "http.request.method": method,
            "server.address": target.host,
            "server.port": target.port,
        }
        with tracing.span(method, told, kind="client") as span:
            with _connected(target, found, limits=limits, deadline_s=deadline_s, tls=self.tls) as wire:
                answer = _exchanged(method, target, wire, headers, body, limits, is_enough)
            span.set({"http.response.status_code": answer.status})
            return answer

    def _addresses(self, target: Target) -> list[Address]:
        return [_address(target, text) for text in _within(LOOKUP_S, self.resolve, target)]


def _address(target: Target, text: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise NotConnected(f"The name {target.host} was looked up, and {text[:50]!r} is not an address.") from None


def _within(seconds: float, resolve: Resolve, target: Target) -> Sequence[str]:
    """Look a name up in a thread, because nothing can interrupt the system's resolver: it may take a minute."""
    answers: list[Sequence[str] | OSError | UnicodeError] = []

    def ask() -> None:
        try:
            answers.append(resolve(target.host, target.port))
        except (OSError, UnicodeError) as error:
            answers.append(error)

    thread = threading.Thread(target=ask, name="look up", daemon=True)
    thread.start()
    thread.join(seconds)
    if not answers:
        raise NotConnected(f"The name {target.host} could not be looked up within {seconds:.0f} s.")
    answer = answers[0]
    if isinstance(answer, OSError | UnicodeError):
        raise NotConnected(f"The name {target.host} could not be looked up: {_words(answer)}.") from None
    return answer


class _Response(http.client.HTTPResponse):
    """Skips what comes before an answer, such as 103 Early Hints; http.client itself skips 100 alone."""

    def begin(self) -> None:
        super().begin()
        # 101 is the last answer that is HTTP: nobody has asked to speak anything else.
        while 100 < self.status < 200 and self.status != http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]
            super().begin()


class _Connection(http.client.HTTPConnection):
    """Speaks over what it is given; it must never connect by itself."""

    auto_open = 0
    response_class = _Response

    def __init__(self, target: Target, wire: Wire) -> None:
        super().__init__(target.host, target.port)
        self.sock: Any = wire

    def connect(self) -> None:
        raise http.client.NotConnected


def _connected(
    target: Target, found: Sequence[Address], *, limits: Limits, deadline_s: float, tls: ssl.SSLContext | None
) -> Wire:
    """Connect to the first of these addresses that answers. Raises NoAnswer."""
    until_s = min(deadline_s, time.monotonic() + limits.connect_s)
    failure = OSError("there is no address")
    for position, address in enumerate(found):
        try:
            # One that is silent must not take the time of those after it.
            link = _link(target, address, within_s=left_s(until_s) / (len(found) - position), tls=tls)
        except OSError as error:
            failure = error
            continue
        bytes_left = HEAD_BYTES + limits.content_bytes
        return Wire(link, deadline_s=deadline_s, read_s=limits.read_s, bytes_left=bytes_left)
    raise _no_answer(failure, f"Connecting to {target.authority} failed", NotConnected) from None


@cache
def _trusted() -> ssl.SSLContext:
    # Reading the authorities of the system takes longer than a handshake.
    return ssl.create_default_context()


def _link(target: Target, address: Address, *, within_s: float, tls: ssl.SSLContext | None) -> socket.socket:
    until_s = time.monotonic() + within_s
    link = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        link.settimeout(left_s(until_s))
        link.connect((str(address), target.port))
        if target.scheme == "https":
            link.settimeout(left_s(until_s))
            link = (tls or _trusted()).wrap_socket(link, server_hostname=target.host)
    except OSError:
        link.close()
        raise
    return link


def _exchanged(
    method: str, target: Target, wire: Wire, headers: Mapping[str, str], body: bytes | None, limits: Limits,
    is_enough: IsEnough | None,
) -> Answer:  # fmt: skip
    connection = _Connection(target, wire)
    try:
        connection.request(method, target.path, body, {"Host": target.authority, "Connection": "close", **headers})
        response = connection.getresponse()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _no_answer(error, f"{target.authority} did not answer") from None
    wire.end_within(limits.content_s)
    content, is_whole = _content(response, limits.content_bytes, is_enough)
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content, is_whole)


def _content(response: http.client.HTTPResponse, most: int, is_enough: IsEnough | None) -> tuple[bytes, bool]:
    """Read up to `most` bytes, as far as they come."""
    content = b""
    try:
        while len(content) < most:
            piece = response.read1(most - len(content))
            if not piece:
                # With a length, or in chunks, the end of the connection is not the end of the content.
                return content, not response.length
            content += piece
            if is_enough is not None and is_enough(content):
                return content, False
    except (OSError, http.client.HTTPException, ValueError):
        return content, False
    return content, response.length == 0


def _no_answer(error: Exception, what: str, kind: type[NoAnswer] = NoAnswer) -> NoAnswer:
    """The failure in words. One of this machine keeps its cause, by which it is told from the other side's."""
    if isinstance(error, OSError) and error.errno in _OURS:
        raise error
    if isinstance(error, TimeoutError):
        return kind(f"{what}: it took too long.")
    return kind(f"{what}: {_words(error)}.")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid ({error.verify_message})"
    words = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return storable.text(words, most=200).rstrip(".")
