"""The way to a provider: one client for each address and key, and one deadline for each call.

Nothing is retried here (`max_retries=0`): the retry policy sees every failure as an error that says what happens
next. A client is made at first use, shared by the threads of a process, and made again after a fork: a shared
connection would mix up the answers of two processes.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai

from agentapp.errors import PermanentError, TransientError
from agentapp.llm import deadline, guarded
from agentapp.llm.failures import Refused
from agentapp.llm.guarded import GuardedBackend
from agentapp.policies import provider_errors

CONNECT_TIMEOUT_S = 10.0
LONGEST_BODY_BYTES = 24 * 1024 * 1024
LONGEST_REFUSAL_BYTES = 64 * 1024
# What is shorter may be a word that stands for no key.
SHORTEST_KEY = 8
# Each has its connections.
MOST_CLIENTS = 64


@dataclass(frozen=True)
class Provider:
    """Where a model answers, and the key for it. `is_guarded`: a row names it, so that its address is checked."""

    base_url: str
    api_key: str = field(repr=False)
    is_guarded: bool = False


@dataclass(frozen=True)
class Incoming:
    """An answer of status 2xx whose body is still to be read; names of headers are in lower case. `key` is taken out of
    what is read: a provider may quote it."""

    headers: dict[str, str]
    chunks: Iterator[bytes]
    key: str = field(default="", repr=False)

    def read(self) -> bytes:
        return _without(self.key, b"".join(self.chunks))


class _Answered(openai.OpenAIError):
    """An answer of another status. The library would read its body to the end, however long it is."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


@dataclass
class _Process:
    lock: threading.Lock = field(default_factory=threading.Lock)
    clients: dict[Provider, openai.OpenAI] = field(default_factory=dict)


_process = _Process()


def _forget_clients() -> None:
    """Start again in a forked child: its parent keeps the connections, and perhaps held the lock."""
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_forget_clients)


def completion(provider: Provider, body: dict[str, Any], *, ends_s: float) -> AbstractContextManager[Incoming]:
    """Ask for a chat completion. `ends_s` is on the monotonic clock: then the call is over, whatever comes in.

    Raises:
        Refused: the provider answered with another status than 2xx.
        TransientError: no connection, it broke, or the time was over; also raised by what reads the chunks.
        PermanentError: no provider is configured.
        TargetNotAllowed: its address may not be connected to.
    """
    return _call(provider, lambda client: client.chat.completions, body, ends_s=ends_s)


def embeddings(provider: Provider, body: dict[str, Any], *, ends_s: float) -> AbstractContextManager[Incoming]:
    """Ask for vectors; as `completion`."""
    return _call(provider, lambda client: client.embeddings, body, ends_s=ends_s)


@contextmanager
def _call(
    provider: Provider, of: Callable[[openai.OpenAI], Any], body: dict[str, Any], *, ends_s: float
) -> Iterator[Incoming]:
    if provider.is_guarded:
        guarded.guard().check(provider.base_url)
    client = _client(provider)
    left_s = max(0.001, ends_s - time.monotonic())
    timeout = openai.Timeout(left_s, connect=min(left_s, CONNECT_TIMEOUT_S))
    try:
        with (
            deadline.within(ends_s),
            of(client.with_options(timeout=timeout)).with_streaming_response.create(**body) as response,
        ):
            incoming = response.http_response
            chunks = (_without(provider.api_key, chunk) for chunk in _bounded(incoming))
            yield Incoming(headers=_lower(incoming.headers), chunks=chunks, key=provider.api_key)
    except _Answered as answered:
        raise answered.refused from None
    except (openai.APITimeoutError, httpx2.TimeoutException) as error:
        raise TransientError("the model did not answer in time") from error
    except httpx2.DecodingError as error:
        raise TransientError(f"the model provider's answer cannot be unpacked: {error}") from error
    except (openai.APIConnectionError, httpx2.RequestError) as error:
        cause = provider_errors.short(str(error.__cause__ or error))
        raise TransientError(f"no connection to the model provider: {cause}") from error
    except openai.APIError as error:
        raise TransientError(f"the model provider's answer cannot be read: {error.message}") from error


def _client(provider: Provider) -> openai.OpenAI:
    """Return this process's client for a provider, made at first use."""
    if not provider.base_url and not provider.api_key:
        raise PermanentError("no model is configured: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys")
    if not (provider.api_key.isascii() and provider.api_key.isprintable()):
        # The library's own words for it would quote the key.
        raise PermanentError("the key of the model provider has characters that no HTTP header can carry: set it again")
    with _process.lock:
        # In the order of use. Nobody closes one that is dropped while a call uses it.
        client = _process.clients.pop(provider, None)
        if client is None:
            address = provider.base_url or "https://api.openai.com/v1"
            # A local server needs no key, but the library refuses to start without one.
            client = openai.OpenAI(
                base_url=address,
                api_key=provider.api_key or "none",
                max_retries=0,
                http_client=_http_client(address, is_guarded=provider.is_guarded),
            )
        _process.clients[provider] = client
        while len(_process.clients) > MOST_CLIENTS:
            del _process.clients[next(iter(_process.clients))]
        return client


def _http_client(address: str, *, is_guarded: bool) -> httpx2.Client:
    """Return a client that goes through the proxies of the environment, but never to a server on this machine.

    Where the address is checked it goes through none: a proxy would look the name up again.
    """
    trust_env = not is_guarded and not _is_loopback(urlsplit(address).hostname or "")
    try:
        # A redirect turns a POST into a GET, or takes the key elsewhere: it is not followed.
        client = openai.DefaultHttpxClient(
            follow_redirects=False, trust_env=trust_env, verify=_trusted(by_environment=trust_env),
            event_hooks={"response": [_refuse]},
        )  # fmt: skip
    except (ImportError, ValueError) as error:
        raise PermanentError(f"the proxy that the environment names cannot be used: {error}") from error
    return deadline.install(client, connects=partial(GuardedBackend, url=address) if is_guarded else None)


@cache
def _trusted(*, by_environment: bool) -> ssl.SSLContext:
    """The authorities that certificates are checked with. A copy for each client took 20 ms, and its memory."""
    return httpx2.create_ssl_context(trust_env=by_environment)


def _refuse(response: httpx2.Response) -> None:
    if response.is_success:
        return
    raw = bytearray()
    try:
        for chunk in response.iter_bytes():
            raw += chunk
            if len(raw) > LONGEST_REFUSAL_BYTES:
                break
    except httpx2.RequestError:
        # The status says enough; of the words there is what has come.
        pass
    text = bytes(raw[:LONGEST_REFUSAL_BYTES]).decode("utf-8", "replace")
    # Some providers quote the key that they refuse.
    key = response.request.headers.get("authorization", "").removeprefix("Bearer ")
    text = text.replace(key, "***") if len(key) >= SHORTEST_KEY else text
    raise _Answered(Refused(response.status_code, body=text, headers=_lower(response.headers)))


def _bounded(response: httpx2.Response) -> Iterator[bytes]:
    """Yield the body, unpacked, up to the longest that is read: a few packed bytes can be a great many."""
    total = 0
    try:
        for chunk in response.iter_bytes():
            total += len(chunk)
            if total > LONGEST_BODY_BYTES:
                raise TransientError(f"the model provider's answer has more than {LONGEST_BODY_BYTES} bytes")
            yield chunk
    except httpx2.TimeoutException as error:
        raise TransientError("the model was still writing when its time was over") from error


def _without(key: str, raw: bytes) -> bytes:
    return raw.replace(key.encode(), b"***") if len(key) >= SHORTEST_KEY else raw


def _lower(headers: httpx2.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
