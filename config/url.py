"""Read the URL of a server strictly: what could be meant in two ways is refused, and no refusal repeats a password."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ENCODE = "Percent-encode special characters in a name or password: # is %23, % is %25, / is %2F, @ is %40, ? is %3F"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Unusable(ValueError):
    """Why a value cannot be used, as the end of a sentence that begins with the name of its setting."""


@dataclass(frozen=True, kw_only=True)
class Url:
    """A URL in its parts. `user` and `password` are decoded; `server` is host and port as they were written."""

    scheme: str
    user: str
    password: str
    server: str
    host: str
    port: int | None
    path: str
    query: str

    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def __str__(self) -> str:
        """Write it so that every library reads the same."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        account = f"{quote(self.user, safe='')}{password}@" if self.user or password else ""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{account}{self.server}{self.path}{query}"


def read(text: str, *, schemes: tuple[str, ...], needs_host: bool = True) -> Url:
    """Take a URL apart.

    Raises:
        Unusable: another scheme, no host where one is needed, or characters that must be percent-encoded.
    """
    match = _SCHEME.match(text)
    if match is None or match[1].lower() not in schemes:
        raise Unusable(f"must start with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if _CONTROL.search(text) or "#" in text or _BROKEN_ESCAPE.search(text):
        raise Unusable(f"holds a character that means something else in a URL. {ENCODE}")
    rest = text[match.end() :]
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in rest[len(authority) :]:
        # A password with a slash, or an @ somewhere else: which one nobody can tell.
        raise Unusable(f"has an @ behind a / or ?. {ENCODE}")
    try:
        return _take_apart(text, scheme=match[1].lower(), authority=authority, needs_host=needs_host)
    except Unusable:
        raise
    except ValueError:
        # Not "from error": its words hold parts of the password.
        raise Unusable(f"has no host and port that can be read. {ENCODE}") from None


def _take_apart(text: str, *, scheme: str, authority: str, needs_host: bool) -> Url:
    parts = urlsplit(text)
    if needs_host and not parts.hostname:
        raise Unusable("names no host")
    host = unquote(parts.hostname or "", errors="strict")
    if not host.isprintable() or " " in host:
        raise Unusable("has a host with a blank or an invisible character in it")
    if parts.port == 0:
        raise Unusable("names the port 0, which no server has")
    user, password = (unquote(part or "", errors="strict") for part in (parts.username, parts.password))
    if _CONTROL.search(user + password):
        raise Unusable("has a control character in its name or password")
    return Url(
        scheme=scheme,
        user=user,
        password=password,
        server=authority.rpartition("@")[2],
        host=host,
        port=parts.port,
        path=parts.path,
        query=parts.query,
    )
