"""A session with an MCP server, and the way over streamable HTTP through the guard, with limits of time and size.

Of each failure it says whether the server can have done something: NotSentYet and CannotBeSent prove that it has not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import agentapp
from agentapp import conf, redaction, secret_refs
from agentapp.delivery.guarded_http import Answer, Guard, Limits, NoAnswer, NotConnected
from agentapp.errors import CannotBeSent, NotSentYet, PermanentError
from agentapp.policies import storable
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.tools.servers.messages import Awaited, text_of, words

Json = dict[str, Any]

# The newest revision with sessions; a server may answer with an older one.
PROTOCOL_VERSION = "2025-11-25"
SUPPORTED_VERSIONS = frozenset({"2024-11-05", "2025-03-26", "2025-06-18", PROTOCOL_VERSION})
MOST_BYTES = 1024 * 1024
MOST_PAGES = 20
CONNECT_S = 5.0
# How long the end of a session may take, which nobody waits for.
END_SESSION_S = 2.0
# What calls tool servers for a job; the runtime has asked whether its worker class may.
CALLS_TOOLS = frozenset({"tools:call"})
_SESSION_ID = re.compile(r"[\x21-\x7e]{1,500}")
# JSON-RPC: the request was not understood, so nothing was done. -32602 is no proof: servers answer with it, too, when
# the output of a tool that has run does not fit.
_NOT_UNDERSTOOD = frozenset({-32700, -32600, -32601})
_REFUSED = frozenset({400, 401, 403, 404, 405, 406, 410, 411, 413, 415, 421, 422, 426, 431})


class UnreadableAnswer(PermanentError):
    """The server has answered with what is no answer, or with too much: it may have done what it was asked."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and which environment variable holds its key."""

    url: str
    key_variable: str = ""


@dataclass(frozen=True)
class Result:
    """What a tool has answered; an answer may be that it failed."""

    text: str
    is_error: bool


def guard() -> Guard:
    """Return what this installation's settings allow tool servers to be."""
    return Guard(allowed=tuple(conf.tool_allowed_networks()), allowed_by="AGENTAPP_TOOL_ALLOWED_NETWORKS")


class Session:
    """What is said to a server, whichever way it goes. `left_s` tells how much time there is for all that is still to
    be asked."""

    def __init__(self, left_s: Callable[[], float]) -> None:
        self._left_s = left_s
        self._number = 0

    def begin(self) -> None:
        """Initialize the session. Raises NotSentYet and CannotBeSent."""
        about = {"name": "agentapp", "version": agentapp.__version__}
        found = self._ask_without_effect(
            "initialize", protocolVersion=PROTOCOL_VERSION, capabilities={}, clientInfo=about
        )
        version = found.get("protocolVersion")
        if version not in SUPPORTED_VERSIONS:
            said = storable.text(version, most=30) if isinstance(version, str) else "no version"
            raise CannotBeSent(f"The tool server speaks {said} of the protocol, which is not spoken here.")
        self._agreed(version)
        try:
            self._post({"jsonrpc": "2.0", "method": "notifications/initialized"}, None)
        except (NoAnswer, UnreadableAnswer) as error:
            raise NotSentYet(str(error)) from None

    def listing(self) -> Iterator[Any]:
        """Return what the server says of each of its tools. Raises NotSentYet and CannotBeSent."""
        cursor: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            found = self._ask_without_effect("tools/list", **cursor)
            tools = found.get("tools")
            if not isinstance(tools, list):
                raise CannotBeSent("The tool server answers with no list of tools.")
            yield from tools
            following = found.get("nextCursor")
            if not isinstance(following, str) or not following:
                return
            cursor = {"cursor": following}

    def call(self, name: str, arguments: Json) -> Result:
        """Call a tool.

        Raises:
            NotSentYet, CannotBeSent: it was certainly not run.
            NoAnswer, UnreadableAnswer: it may have run.
        """
        found = self._ask("tools/call", name=name, arguments=arguments)
        return Result(redaction.redacted(text_of(found)), is_error=found.get("isError") is True)

    def end(self) -> None:
        """End the session; whether the server hears that does not matter."""
        raise NotImplementedError

    def _ask_without_effect(self, method: str, **params: Any) -> Json:
        """Ask what changes nothing: no failure leaves a doubt."""
        try:
            return self._ask(method, **params)
        except NoAnswer as error:
            raise NotSentYet(str(error)) from None
        except UnreadableAnswer as error:
            raise CannotBeSent(str(error)) from None

    def _ask(self, method: str, **params: Any) -> Json:
        self._number += 1
        awaited = Awaited(self._number)
        self._post({"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}, awaited)
        found = awaited.found or {}
        if "error" in found:
            error = found["error"]
            sentence = redaction.redacted(f"The tool server refuses: {words(error)}")
            is_refused = isinstance(error, dict) and error.get("code") in _NOT_UNDERSTOOD
            raise (CannotBeSent if is_refused else UnreadableAnswer)(sentence)
        result = found.get("result")
        if not isinstance(result, dict):
            raise UnreadableAnswer("The tool server answers with something that is no answer.")
        return result

    def _agreed(self, version: str) -> None:
        """The server speaks this version of the protocol."""

    def _post(self, message: Json, awaited: Awaited | None) -> None:
        """Send a message, and wait for the answer that it has, if any. Raises NotSentYet and CannotBeSent, if it was
        certainly not taken; NoAnswer and UnreadableAnswer otherwise."""
        raise NotImplementedError


class HttpSession(Session):
    """Over streamable HTTP, through the guard."""

    def __init__(self, address: Address, left_s: Callable[[], float], by: Guard) -> None:
        super().__init__(left_s)
        self._url = address.url
        self._guard = by
        key = key_of(address)
        self._headers = {
            "User-Agent": f"agentapp/{agentapp.__version__}", "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        } | ({"Authorization": f"Bearer {key}"} if key else {})  # fmt: skip

    def end(self) -> None:
        """Tell the server that it may forget the session; whether it hears that does not matter."""
        if "Mcp-Session-Id" in self._headers:
            limits = Limits(
                connect_s=END_SESSION_S, read_s=END_SESSION_S, total_s=END_SESSION_S, content_s=0.1, content_bytes=1
            )
            with suppress(NoAnswer, TargetNotAllowed, OSError):
                self._guard.request("DELETE", self._url, headers=self._headers, body=None, limits=limits)

    def _agreed(self, version: str) -> None:
        self._headers["MCP-Protocol-Version"] = version

    def _post(self, message: Json, awaited: Awaited | None) -> None:
        left_s = self._left_s()
        limits = Limits(
            connect_s=min(CONNECT_S, left_s), read_s=left_s, total_s=left_s, content_s=left_s, content_bytes=MOST_BYTES
        )
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        try:
            answer = self._guard.post(
                self._url, headers=self._headers, body=body, limits=limits,
                is_enough=awaited.is_in if awaited else lambda content: True,
            )  # fmt: skip
        except TargetNotAllowed as error:
            raise CannotBeSent(f"The tool server may not be called: {error}") from None
        except NotConnected as error:
            raise NotSentYet(f"The tool server cannot be reached: {error}") from None
        self._check(answer)
        if awaited is not None:
            _read(awaited, answer)

    def _check(self, answer: Answer) -> None:
        """Keep the id of the session. Raises for a status that is no success."""
        id = answer.headers.get("mcp-session-id", "")
        if _SESSION_ID.fullmatch(id):
            self._headers["Mcp-Session-Id"] = id
        if answer.status == 429:
            raise NotSentYet("The tool server answers 429: it has no time now.")
        if answer.status in _REFUSED or 300 <= answer.status <= 399:
            raise CannotBeSent(f"The tool server refuses with {answer.status}.")
        if answer.status >= 400:
            raise NoAnswer(f"The tool server answered {answer.status}.")


def _read(awaited: Awaited, answer: Answer) -> None:
    if "text/event-stream" in answer.headers.get("content-type", "").lower():
        awaited.take_rest(answer.content)
    elif awaited.found is None:
        awaited.take(answer.content)
    if awaited.found is not None:
        return
    if len(answer.content) >= MOST_BYTES:
        raise UnreadableAnswer(f"The tool server answers with more than {MOST_BYTES:,} bytes, which are not read.")
    if not answer.is_whole:
        raise NoAnswer("The tool server did not end its answer.")
    raise UnreadableAnswer("The tool server answers with something that is no answer.")


def key_of(address: Address) -> str:
    """The key of a server; empty: it needs none. Raises CannotBeSent: it is missing here."""
    variable = address.key_variable
    try:
        return secret_refs.resolve(variable, held=CALLS_TOOLS) if variable else ""
    except PermanentError as error:
        raise CannotBeSent(str(error)) from None
