"""Which addresses the HTTP tools may call, as an operator has set them up. Pure."""

from __future__ import annotations

import base64
import json
import re
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal
from urllib.parse import quote, unquote, urlencode

import pydantic
from pydantic import AfterValidator, Field

from agentapp.policies import addresses, sentences
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.secret_refs import TOOL_SECRET, is_ref

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
READS: tuple[Method, ...] = ("GET", "HEAD")
ALL = "*"
LONGEST_PATH = 1_000
_NAME = re.compile(r"[a-z][a-z0-9_]{0,49}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
# Blanks, and characters of control and of format.
_SLIGHT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufffd]")
# The request says these itself.
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "content-type", "idempotency-key"})


def _base_url(url: str) -> str:
    try:
        addresses.parse(url)
    except TargetNotAllowed as error:
        raise ValueError(str(error)) from None
    if "?" in url:
        raise ValueError("It has no query: the tool is given one with each call.")
    return url.rstrip("/")


def _leads_elsewhere(part: str) -> bool:
    """Whether some server takes a part of a path for one of dots: without what stands behind its `;`, blanks and
    characters that nobody sees, and after it has unquoted it once more."""
    for _ in range(3):
        if any(_SLIGHT.sub("", one.partition(";")[0]) in (".", "..") for one in re.split(r"[/\\]", part)):
            return True
        part = unquote(part)
    return False


def _header(name: str) -> str:
    if not _HEADER.fullmatch(name) or name.lower() in _OURS:
        raise ValueError("This is no name of a header, or of one that each request has.")
    return name


def _secret(name: str) -> str:
    if name and not is_ref(name, prefix=TOOL_SECRET):
        raise ValueError(
            f"This is the name of an environment variable, {TOOL_SECRET} and capital letters, digits or _."
        )
    return name


class HttpEndpoint(pydantic.BaseModel):
    """An address that agents of these tenants may call, and the secret that goes with each request.

    `networks` are not public and may be connected to all the same; `is_idempotent`: it does what it was sent under one
    `Idempotency-Key` once, so a request that was not answered is sent again.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    base_url: Annotated[str, AfterValidator(_base_url)]
    tenants: Annotated[tuple[str, ...], Field(min_length=1)]
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("GET",)
    secret: Annotated[str, AfterValidator(_secret)] = ""
    header: Annotated[str, AfterValidator(_header)] = "Authorization"
    scheme: Literal["Bearer", "Basic", "Token", ""] = "Bearer"
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    is_idempotent: bool = False

    def is_for(self, tenant: str) -> bool:
        return tenant in self.tenants or ALL in self.tenants

    def url(self, path: str, query: dict[str, str]) -> str:
        """Return where a request goes: below `base_url`, whatever the path says.

        Raises:
            ValueError: the path leads elsewhere, or is too long.
        """
        parts = path.strip("/").split("/")
        if "\\" in path or any(_leads_elsewhere(part) for part in parts):
            raise ValueError("A path has no parts . or .. and no backslash.")
        # A per cent sign is quoted too: a server that follows the standard reads no other path in it.
        below = "/".join(quote(part, safe="-._~:@!$&'()*+,;=") for part in parts)
        slash = "/" if path.endswith("/") and below else ""
        found = f"/{below}{slash}" if below else ""
        asked = f"?{urlencode(query)}" if query else ""
        if len(found) + len(asked) > LONGEST_PATH:
            raise ValueError(f"A path and its query have at most {LONGEST_PATH:,} characters.")
        return f"{self.base_url}{found}{asked}"

    def credentials(self, secret: str) -> dict[str, str]:
        """Return the header that carries a secret; none where the endpoint has no secret."""
        if not secret:
            return {}
        if self.scheme == "Basic":
            secret = base64.b64encode(secret.encode()).decode()
        return {self.header: f"{self.scheme} {secret}".lstrip()}


def read(text: str) -> dict[str, HttpEndpoint]:
    """Read endpoints by name from JSON.

    Raises:
        ValueError: it cannot be read as that; the words say what is wrong.
    """
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("This is no JSON.") from None
    if not isinstance(found, dict):
        raise ValueError("This is a JSON object: endpoints by their names.")
    endpoints: dict[str, HttpEndpoint] = {}
    for name, said in found.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:50]!r} is no name: small letters, digits and underscores, at most 50.")
        try:
            endpoints[name] = HttpEndpoint.model_validate(said)
        except pydantic.ValidationError as error:
            raise ValueError(f"{name}: {sentences.detail(sentences.field_errors(error))}") from None
    return endpoints
