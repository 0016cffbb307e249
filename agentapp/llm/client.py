"""The one door to a model: chat completions and embeddings of any OpenAI-compatible provider.

Nothing is retried here (`max_retries=0`): the retry brain sees every failure as an error that says what happens
next. A client is made at first use, shared by the threads of a process, and made anew after a fork: a shared
connection would mix up the answers of two processes.
"""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import openai
from django.conf import settings
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from agentapp import clock
from agentapp.errors import InvalidModelOutput, PermanentError, TransientError
from agentapp.llm import answers, failures, structured
from agentapp.llm.answers import Answer, Embeddings, EmbeddingsNotConfigured, Message, Reply

__all__ = ["Embeddings", "EmbeddingsNotConfigured", "Message", "Reply", "complete", "embed"]

CONNECT_TIMEOUT_S = 10.0
EMBEDDING_BATCH = 64
OPTIONAL = ("temperature", "max_tokens")
UNSUPPORTED = ("unsupported_parameter", "unsupported_value")


@dataclass
class _Process:
    """The clients of this process, by (URL, key), and the (model, parameter) pairs that a provider refused."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    clients: dict[tuple[str, str], openai.OpenAI] = field(default_factory=dict)
    unsupported: set[tuple[str, str]] = field(default_factory=set)


_process = _Process()


def _forget_clients() -> None:
    """Start anew in a forked child: its parent keeps the connections, and perhaps held the lock."""
    global _process
    _process = _Process()


os.register_at_fork(after_in_child=_forget_clients)


def complete(
    messages: Sequence[Message],
    *,
    model: str | None = None,
    schema: dict[str, Any] | None = None,
    schema_name: str = "answer",
    max_tokens: int | None = None,
    temperature: float = 0.0,
    timeout_s: float,
    on_delta: Callable[[str], None] | None = None,
    stream: bool = False,
) -> Reply:
    """Ask a model once and return its whole answer.

    With `schema` the answer is JSON, checked against it. With `on_delta` or `stream` the answer is read as it is
    written, and `on_delta` gets each piece of text. `timeout_s` bounds the whole call of a stream, and each silence
    of the connection otherwise; a silence never lasts longer than AGENTAPP_MODEL_TIMEOUT_S.

    Raises:
        TransientError: time-out, lost connection, overload, cut or garbled answer; `retry_after_s` is the provider's.
        RateLimited: the same for 429.
        InvalidModelOutput: the answer is not what the schema asks for.
        ModelRefused: another 4xx, a refusal or a content filter, with the provider's own words.
        PermanentError: no model is configured, or the schema is none.
    """
    if schema is not None:
        structured.check_schema(schema)
    request = _request(messages, model=model, max_tokens=max_tokens, temperature=temperature)
    if schema is not None:
        request["response_format"] = _response_format(schema, name=schema_name)
    started_s = time.monotonic()
    with _provider_failures():
        client = _client(settings.AGENTAPP_MODEL_BASE_URL, settings.AGENTAPP_MODEL_API_KEY, timeout_s=timeout_s)
        if stream or on_delta is not None:
            answer = _read_stream(client, request, deadline_s=started_s + timeout_s, on_delta=on_delta)
        else:
            answer = _read_whole(_create(client, request))
    return answers.reply(answer, messages=messages, schema=schema, latency_s=time.monotonic() - started_s)


def embed(texts: Sequence[str], *, timeout_s: float) -> Embeddings:
    """Turn texts into vectors, in batches; `timeout_s` bounds each batch.

    Raises:
        EmbeddingsNotConfigured: no embedding URL or model is set.
        TransientError, ModelRefused: as in complete().
        InvalidModelOutput: the provider left texts out or mixed dimensions.
    """
    model = settings.AGENTAPP_EMBEDDING_MODEL
    if not settings.AGENTAPP_EMBEDDING_URL or not model:
        raise EmbeddingsNotConfigured(
            "no embeddings are configured: set AGENTAPP_EMBEDDING_URL and AGENTAPP_EMBEDDING_MODEL"
        )
    vectors: list[list[float]] = []
    tokens = 0
    with _provider_failures():
        client = _client(settings.AGENTAPP_EMBEDDING_URL, settings.AGENTAPP_EMBEDDING_KEY, timeout_s=timeout_s)
        for start in range(0, len(texts), EMBEDDING_BATCH):
            batch = list(texts[start : start + EMBEDDING_BATCH])
            # Float, not the client's default base64: every compatible provider knows it.
            answer = client.embeddings.create(model=model, input=batch, encoding_format="float")
            vectors += [item.embedding for item in sorted(answer.data, key=lambda item: item.index)]
            tokens += answer.usage.prompt_tokens if answer.usage else answers.estimate_tokens(batch)
    dimensions = {len(vector) for vector in vectors}
    if len(vectors) != len(texts) or len(dimensions) > 1:
        raise InvalidModelOutput(
            f"asked for {len(texts)} embeddings, got {len(vectors)} of the dimensions {sorted(dimensions)}"
        )
    return Embeddings(vectors=vectors, model=model, dimension=dimensions.pop() if dimensions else 0, tokens=tokens)


def _client(base_url: str | None, api_key: str | None, *, timeout_s: float) -> openai.OpenAI:
    """Return this process's client for a provider, made at first use, with every wait on the connection bounded."""
    if not base_url and not api_key:
        raise PermanentError("no model is configured: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server without keys")
    key = (base_url or "", api_key or "")
    with _process.lock:
        if key not in _process.clients:
            # A local server needs no key, but the library refuses to start without one.
            url = base_url or "https://api.openai.com/v1"
            _process.clients[key] = openai.OpenAI(
                base_url=url, api_key=api_key or "none", max_retries=0, http_client=_http_client(url)
            )
        client = _process.clients[key]
    silence_s = min(timeout_s, float(settings.AGENTAPP_MODEL_TIMEOUT_S))
    return client.with_options(timeout=openai.Timeout(silence_s, connect=min(silence_s, CONNECT_TIMEOUT_S)))


def _http_client(url: str) -> openai.DefaultHttpxClient:
    """Return a client that goes through the proxies of the environment, but never to a server on this machine."""
    try:
        return openai.DefaultHttpxClient(trust_env=not _is_loopback(urlsplit(url).hostname or ""))
    except (ImportError, ValueError) as error:
        raise PermanentError(f"the proxy that the environment names cannot be used: {error}") from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _request(
    messages: Sequence[Message], *, model: str | None, max_tokens: int | None, temperature: float
) -> dict[str, Any]:
    """Build the body of a chat completion."""
    request: dict[str, Any] = {
        "model": model or settings.AGENTAPP_MODEL,
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "temperature": temperature,
    }
    if max_tokens is not None:
        request["max_tokens"] = max_tokens
    return request


def _response_format(schema: dict[str, Any], *, name: str) -> dict[str, Any]:
    """Ask for a structured answer, strictly where the provider's strict mode would accept the schema."""
    return {
        "type": "json_schema",
        "json_schema": {"name": name, "schema": schema, "strict": structured.is_strict(schema)},
    }


def _create(client: openai.OpenAI, request: dict[str, Any]) -> Any:
    """Send a request, without the parameters that this model is known to refuse.

    Reasoning models take no temperature and call max_tokens max_completion_tokens. Nothing announces it, so the first
    refusal is learned and the request sent again; that is another request, not a retry of this one.
    """
    while True:
        fitting = {
            name: value for name, value in request.items() if (request["model"], name) not in _process.unsupported
        }
        if "max_tokens" in request and "max_tokens" not in fitting:
            fitting["max_completion_tokens"] = request["max_tokens"]
        try:
            return client.chat.completions.with_raw_response.create(**fitting)
        except openai.BadRequestError as error:
            refused = error.param or ""
            if error.code not in UNSUPPORTED or refused not in fitting or refused not in OPTIONAL:
                raise
            _process.unsupported.add((request["model"], refused))


def _read_whole(response: Any) -> Answer:
    """Take the answer out of a completion that came at once."""
    completion: ChatCompletion = response.parse()
    if not completion.choices:
        raise TransientError("the model provider answered without a choice")
    choice = completion.choices[0]
    answer = Answer(model=completion.model, finish_reason=choice.finish_reason)
    answer.pause_s = failures.pause_s(response.headers)
    answer.text = choice.message.content or ""
    answer.refusal = choice.message.refusal or ""
    if completion.usage:
        answer.prompt_tokens = completion.usage.prompt_tokens
        answer.completion_tokens = completion.usage.completion_tokens
    return answer


def _read_stream(
    client: openai.OpenAI, request: dict[str, Any], *, deadline_s: float, on_delta: Callable[[str], None] | None
) -> Answer:
    """Gather an answer as it is written. `deadline_s` is on the monotonic clock: a stream that drips ends there."""
    started_s = time.monotonic()
    answer = Answer(model=request["model"])
    response = _create(client, {**request, "stream": True, "stream_options": {"include_usage": True}})
    answer.pause_s = failures.pause_s(response.headers)
    with response.parse() as chunks:
        for chunk in chunks:
            piece = _take_chunk(answer, chunk)
            if piece and answer.ttft_s is None:
                answer.ttft_s = time.monotonic() - started_s
            if piece and on_delta is not None:
                on_delta(piece)
            if time.monotonic() > deadline_s:
                raise TransientError("the model was still writing when its time was over")
    return answer


def _take_chunk(answer: Answer, chunk: ChatCompletionChunk) -> str:
    """Add one chunk of a stream to the answer and return its piece of text."""
    answer.model = chunk.model or answer.model
    if chunk.usage:
        answer.prompt_tokens = chunk.usage.prompt_tokens
        answer.completion_tokens = chunk.usage.completion_tokens
    if not chunk.choices:
        return ""
    choice = chunk.choices[0]
    answer.finish_reason = choice.finish_reason or answer.finish_reason
    piece = choice.delta.content or ""
    answer.text += piece
    answer.refusal += choice.delta.refusal or ""
    return piece


@contextmanager
def _provider_failures() -> Iterator[None]:
    """Turn the library's errors into ours."""
    try:
        yield
    except openai.APITimeoutError as error:
        raise TransientError("the model did not answer in time") from error
    except openai.APIStatusError as error:
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        raise failures.from_status(
            error.status_code, message=error.message, headers=headers, now=clock.now()
        ) from error
    except openai.APIConnectionError as error:
        raise TransientError(f"no connection to the model provider: {error.__cause__ or error}") from error
    except openai.APIError as error:
        raise TransientError(f"the model provider's answer cannot be read: {error.message}") from error
    except json.JSONDecodeError as error:
        # The library lets a malformed chunk or body escape as it is.
        raise TransientError(f"the model provider sent malformed JSON: {error}") from error
