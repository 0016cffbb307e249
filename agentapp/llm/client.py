"""The one door to a model: chat completions and embeddings of any OpenAI-compatible provider."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.conf import settings

from agentapp import clock, secret_refs
from agentapp.errors import ModelRefused, PermanentError, TransientError
from agentapp.llm import answers, capabilities, connection, learned, prices, rate_headers, reading, structured
from agentapp.llm.answers import Answer, Embeddings, EmbeddingsNotConfigured, Message, OfferedTool, Reply
from agentapp.llm.capabilities import Form
from agentapp.llm.connection import Provider
from agentapp.llm.failures import Refused, decisive
from agentapp.llm.reasoning import Splitter
from agentapp.llm.relayed import Relayed, Request
from agentapp.llm.request import Question
from agentapp.llm.vectors import embed_all
from agentapp.policies.model_choices import AskedModel

__all__ = ["Embeddings", "EmbeddingsNotConfigured", "Message", "OfferedTool", "Reply", "complete", "embed"]

# What calls a model for a job; the runtime has asked whether its worker class may.
CALLS_MODELS = frozenset({"model:call"})
OnDelta = Callable[[str], None]


def complete(
    messages: Sequence[Message],
    *,
    asked: AskedModel | None = None,
    schema: dict[str, Any] | None = None,
    schema_name: str = "answer",
    tools: Sequence[OfferedTool] = (),
    max_tokens: int | None = None,
    temperature: float = 0.0,
    parallel_tool_calls: bool | None = None,
    timeout_s: float,
    on_delta: OnDelta | None = None,
    on_progress: Callable[[], None] | None = None,
    stream: bool = False,
) -> Reply:
    """Ask a model once and return its whole answer.

    `asked` is the model and its provider, those of the settings without. With `schema` the answer is JSON, checked
    against it. With `tools` the reply may have `calls`, also malformed ones and calls of a tool that is not among them.
    With `on_delta`, `on_progress` or `stream` the answer is read as it is written: `on_delta` gets each piece of text,
    `on_progress` is called for whatever comes in. `timeout_s` bounds the whole call, whatever comes meanwhile.
    A model that refuses a part of the request is asked again at once in another form, which is remembered.

    Raises:
        TransientError: time-out, lost connection, overload, cut or garbled answer; `retry_after_s` is the provider's.
        RateLimited: the same for 429.
        InvalidModelOutput: the answer is not what the schema asks for, or there is none.
        QuotaExhausted: the account at the provider is empty.
        ModelRefused: another 4xx, a refusal or a content filter, with the provider's own words; or it takes no tools.
        PermanentError: no model is configured, its key is missing, or the schema is none.
    """
    if schema is not None:
        structured.check_schema(schema)
    question = Question(
        messages=messages, model=asked.model if asked else settings.AGENTAPP_MODEL, schema=schema,
        schema_name=schema_name, max_tokens=max_tokens, temperature=temperature, tools=tools,
        parallel_tool_calls=parallel_tool_calls,
        is_streamed=stream or on_delta is not None or on_progress is not None,
    )  # fmt: skip
    return _reply(question, asked, timeout_s=timeout_s, on_delta=on_delta, on_progress=on_progress)


def relay(
    request: Request,
    *,
    asked: AskedModel | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    parallel_tool_calls: bool | None = None,
    timeout_s: float,
    on_delta: OnDelta | None = None,
    on_progress: Callable[[], None] | None = None,
) -> Reply:
    """Ask a model what an agent framework asks it; as `complete`. The answer is not checked against a schema."""
    question = Relayed(
        request, model=asked.model if asked else settings.AGENTAPP_MODEL, max_tokens=max_tokens,
        temperature=temperature, parallel_tool_calls=parallel_tool_calls,
        is_streamed=on_delta is not None or on_progress is not None,
    )  # fmt: skip
    return _reply(question, asked, timeout_s=timeout_s, on_delta=on_delta, on_progress=on_progress)


def _reply(question: Question | Relayed, asked: AskedModel | None, **more: Any) -> Reply:
    call = _Call(_provider(asked), question, **more)
    return answers.reply(
        call.answer(), messages=question.messages, schema=question.schema, latency_s=call.elapsed_s(),
        may_be_free=question.model in prices.FREE and not (asked and asked.base_url),
    )  # fmt: skip


def _provider(asked: AskedModel | None) -> Provider:
    if asked is None or asked.is_of_settings:
        return Provider(settings.AGENTAPP_MODEL_BASE_URL or "", settings.AGENTAPP_MODEL_API_KEY or "")
    # The key of the settings is for the provider of the settings: nobody else is told it.
    key = secret_refs.resolve(asked.key_variable, held=CALLS_MODELS) if asked.key_variable else ""
    return Provider(asked.base_url or settings.AGENTAPP_MODEL_BASE_URL or "", key, is_guarded=bool(asked.base_url))


def embed(
    texts: Sequence[str], *, timeout_s: float, total_s: float = float("inf"), model: str = ""
) -> Embeddings:  # fmt: skip
    """Turn texts into vectors, in batches; `timeout_s` bounds each batch, `total_s` all of them. `model` is one that
    was configured before.

    Raises:
        EmbeddingsNotConfigured: no embedding URL or model is set.
        TransientError, QuotaExhausted, ModelRefused: as in complete().
        InvalidModelOutput: the provider left texts out, mixed dimensions, or sent what is no vector.
    """
    configured = settings.AGENTAPP_EMBEDDING_MODEL
    if not settings.AGENTAPP_EMBEDDING_URL or not configured:
        raise EmbeddingsNotConfigured(
            "no embeddings are configured: set AGENTAPP_EMBEDDING_URL and AGENTAPP_EMBEDDING_MODEL"
        )
    provider = Provider(settings.AGENTAPP_EMBEDDING_URL, settings.AGENTAPP_EMBEDDING_KEY or "")
    if model not in ("", configured) and settings.AGENTAPP_EMBEDDING_OLD_URL:
        provider = Provider(settings.AGENTAPP_EMBEDDING_OLD_URL, settings.AGENTAPP_EMBEDDING_OLD_KEY or "")
    return embed_all(provider, model or configured, texts, timeout_s=timeout_s, ends_s=time.monotonic() + total_s)


class _Call:
    """One question, asked in one form after the other until the model takes it."""

    def __init__(
        self, provider: Provider, question: Question | Relayed, *, timeout_s: float, on_delta: OnDelta | None,
        on_progress: Callable[[], None] | None,
    ) -> None:  # fmt: skip
        self._provider = provider
        self._question = question
        self._on_delta = on_delta
        self._on_progress = on_progress
        self._started_s = time.monotonic()
        self._ends_s = self._started_s + timeout_s
        self._at = (provider.base_url, question.model)

    def elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def answer(self) -> Answer:
        known = learned.recall(*self._at)
        tried, first = [known.form], None
        is_too_long = was_ignored = False
        while True:
            answer = Answer(model=self._question.model, offered=frozenset(tool.name for tool in self._question.tools))
            try:
                self._ask(answer, tried[-1], known)
                if not self._was_ignored(answer, tried):
                    break
                was_ignored = True
                tried.append(replace(tried[-1], format="text"))
            except Refused as refused:
                first = first or refused
                is_too_long = is_too_long or refused.refusal.is_too_long
                following = None if answer.is_begun else self._following(tried, refused)
                if following is None:
                    raise self._meaning(first, refused) from None
                tried.append(following)
        if was_ignored and "{" not in answer.text:
            # It was not the format: a question can make a model say something else, and must not teach us about it.
            return answer
        if tried[-1] != known.form and not is_too_long:
            # What made room for one long prompt says nothing about the model.
            learned.remember(*self._at, replace(known, form=tried[-1]))
        learned.prove(*self._at, tried[-1], self._question.kind)
        return answer

    def _was_ignored(self, answer: Answer, tried: Sequence[Form]) -> bool:
        """Tell whether the format was taken and not kept: there is no object at all in what a model wrote to its end.

        Many servers take parameters that they do not know. With the schema in the prompt the model hears of it.
        """
        if self._question.schema is None or tried[-1].format == "text" or "{" in answer.text:
            return False
        is_proven = learned.is_proven(*self._at, tried[0], self._question.kind)
        return answer.finish_reason == "stop" and not is_proven and self._on_delta is None

    def _meaning(self, first: Refused, last: Refused) -> TransientError | PermanentError:
        error = decisive(first, last, now=clock.now())
        if isinstance(error, ModelRefused) and capabilities.refuses_tools(self._question.features, first.refusal):
            return ModelRefused(f"the model {self._question.model} cannot be asked with tools: {error}")
        return error

    def _following(self, tried: Sequence[Form], refused: Refused) -> Form | None:
        if capabilities.refuses_tools(self._question.features, refused.refusal):
            return None
        return capabilities.following(
            tried, self._question.features, status=refused.effective_status, refusal=refused.refusal,
            is_proven=learned.is_proven(*self._at, tried[0], self._question.kind),
        )  # fmt: skip

    def _ask(self, answer: Answer, form: Form, known: learned.Learned) -> None:
        # Who has never seen a model write cannot tell whether its first words are thought.
        splitter = Splitter(holds=known.is_unopened or not learned.has_answered(*self._at))
        body = self._question.body(form)
        with connection.completion(self._provider, body, ends_s=self._ends_s) as incoming:
            answer.pause_s = rate_headers.pause_s(incoming.headers, now=clock.now())
            if self._question.is_streamed:
                chunks = self._watched(incoming.chunks)
                reading.stream(chunks, answer, splitter, on_piece=lambda piece: self._hand_out(answer, piece))
            else:
                reading.whole(incoming.read(), answer, splitter)
        rest = reading.finish(answer, splitter)
        if self._question.is_streamed:
            self._hand_out(answer, rest)
        if splitter.was_unopened and not known.is_unopened:
            learned.remember(*self._at, replace(known, is_unopened=True))

    def _watched(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            if self._on_progress is not None:
                self._on_progress()
            yield chunk

    def _hand_out(self, answer: Answer, piece: str) -> None:
        if piece and answer.ttft_s is None:
            answer.ttft_s = self.elapsed_s()
        if piece and self._on_delta is not None:
            self._on_delta(piece)
