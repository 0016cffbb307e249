"""The adapter to any OpenAI-compatible provider, against a real server. [C7] [F1]"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.errors import InvalidModelOutput, ModelRefused, PermanentError, RateLimited, TransientError
from agentapp.llm import client, learned
from agentapp.llm.client import Message, Reply
from agentapp.policies.model_choices import AskedModel
from tests.llm.deadlines import words_at_the_deadline
from tests.offline_model.process import OfflineModel

QUESTION = "The garden has 40 old trees. The shop opens at nine."
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["count", "topic"],
    "properties": {"count": {"type": "integer"}, "topic": {"type": "string", "minLength": 1}},
}


def ask(text: str = QUESTION, *, timeout_s: float = 20, **more: Any) -> Reply:
    return client.complete([Message("system", "Answer."), Message("user", text)], timeout_s=timeout_s, **more)


def test_a_reply_carries_text_usage_and_time(provider: OfflineModel) -> None:
    reply = ask()

    assert "40 old trees" in reply.text and reply.finish_reason == "stop" and reply.model == "offline"
    assert reply.prompt_tokens > 10 and reply.completion_tokens > 10 and reply.latency_s > 0
    assert reply.data is None and reply.ttft_s is None


def test_a_model_without_a_price_costs_nothing_and_says_so(provider: OfflineModel) -> None:
    reply = ask(asked=AskedModel("nobody-knows-this-one", "unknown"))

    assert (reply.cost_usd, reply.cost_known) == (Decimal(0), False)


def test_the_offline_model_is_free(provider: OfflineModel) -> None:
    assert (ask().cost_usd, ask().cost_known) == (Decimal(0), True)


def test_a_known_model_is_priced(provider: OfflineModel) -> None:
    reply = ask(asked=AskedModel("gpt-4o-mini", "small"))

    assert reply.cost_known and reply.cost_usd > 0


def test_a_stream_hands_out_its_deltas_and_counts_the_same(provider: OfflineModel) -> None:
    deltas: list[str] = []
    whole = ask()

    reply = ask(on_delta=deltas.append)

    assert "".join(deltas) == reply.text == whole.text and len(deltas) > 3
    assert (reply.prompt_tokens, reply.completion_tokens) == (whole.prompt_tokens, whole.completion_tokens)
    assert reply.ttft_s is not None and reply.ttft_s <= reply.latency_s


def test_who_has_never_seen_a_model_write_holds_its_first_stream_back(provider: OfflineModel) -> None:
    """Its first words may be thought that only a later mark tells."""
    deltas: list[str] = []

    assert ask(on_delta=deltas.append).text == "".join(deltas)
    assert len(deltas) == 1


def test_a_structured_answer_is_parsed_and_asked_for_strictly(provider: OfflineModel) -> None:
    reply = ask(schema=SCHEMA, schema_name="garden")

    assert reply.data is not None and reply.data["count"] == 40
    wanted = provider.requests()[-1]["body"]["response_format"]["json_schema"]
    assert wanted["name"] == "garden" and wanted["strict"] is True


def test_an_open_schema_is_not_asked_for_strictly(provider: OfflineModel) -> None:
    ask(schema={"type": "object", "properties": {"count": {"type": "integer"}}})

    assert provider.requests()[-1]["body"]["response_format"]["json_schema"]["strict"] is False


def test_a_schema_that_is_none_costs_no_call(provider: OfflineModel) -> None:
    with pytest.raises(PermanentError, match="not a JSON schema"):
        ask(schema={"type": "thing"})

    assert provider.requests() == []


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 529])
def test_a_passing_failure_is_transient(provider: OfflineModel, status: int) -> None:
    provider.fail("status", status=status)

    with pytest.raises(TransientError, match=str(status)):
        ask()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_refusal_is_permanent_and_keeps_the_provider_s_words(provider: OfflineModel, status: int) -> None:
    refusal = {"error": {"message": "the moon is wrong", "code": None}}
    provider.fail("status", status=status, body=refusal, times=None)

    with pytest.raises(ModelRefused, match=f"{status}.*the moon is wrong"):
        ask()


def test_too_many_requests_tell_how_long_to_wait(provider: OfflineModel) -> None:
    provider.fail("status", status=429, retry_after_s=7)

    with pytest.raises(RateLimited) as caught:
        ask()

    assert caught.value.retry_after_s == 7


def test_nothing_is_retried_by_the_library(provider: OfflineModel) -> None:
    provider.fail("status", status=500, times=None)

    with pytest.raises(TransientError):
        ask()

    assert len(provider.requests()) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_silent_provider_is_transient(provider: OfflineModel, stream: bool) -> None:
    provider.fail("timeout")

    with pytest.raises(TransientError, match="in time"):
        ask(timeout_s=0.3, stream=stream)


def test_a_stream_that_drips_ends_at_its_time(provider: OfflineModel) -> None:
    provider.set_speed(latency_s=0, tokens_per_s=5)

    assert "its time was over" in words_at_the_deadline(lambda time_s: ask(timeout_s=time_s, stream=True))


@pytest.mark.parametrize(
    ("fault", "stream", "words"),
    [
        ("truncate_stream", True, "ended before it was complete"),
        ("truncate_stream", False, "no connection"),
        ("malformed_chunk", True, "malformed JSON"),
        ("malformed_chunk", False, "malformed JSON"),
        ("disconnect", True, "no connection|malformed|complete"),
        ("disconnect", False, "no connection"),
    ],
)
def test_a_broken_answer_is_transient(provider: OfflineModel, fault: str, stream: bool, words: str) -> None:
    provider.fail(fault)

    with pytest.raises(TransientError, match=words):
        ask(stream=stream)

    assert ask(stream=stream).finish_reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
def test_malformed_json_for_a_schema_is_invalid_output(provider: OfflineModel, stream: bool) -> None:
    provider.fail("malformed_json", match={"schema_name": "garden"})
    assert ask().text

    with pytest.raises(InvalidModelOutput, match="not JSON"):
        ask(schema=SCHEMA, schema_name="garden", stream=stream)


def test_an_answer_cut_by_max_tokens_is_invalid_output_for_a_schema(provider: OfflineModel) -> None:
    with pytest.raises(InvalidModelOutput):
        ask(schema=SCHEMA, max_tokens=1)


def test_a_refused_connection_is_transient(provider: OfflineModel, settings: Settings) -> None:
    settings.AGENTAPP_MODEL_BASE_URL = "http://127.0.0.1:9/v1"

    with pytest.raises(TransientError, match="no connection to the model provider"):
        ask()


def test_without_any_provider_the_error_says_what_to_set(provider: OfflineModel, settings: Settings) -> None:
    settings.AGENTAPP_MODEL_BASE_URL = settings.AGENTAPP_MODEL_API_KEY = ""

    with pytest.raises(PermanentError, match="set OPENAI_API_KEY"):
        ask()


def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_MODEL_API_KEY = "sk-secret\nsk-more"

    with pytest.raises(PermanentError, match="no HTTP header can carry") as refused:
        ask()

    assert "secret" not in str(refused.value)


def test_a_key_that_the_provider_quotes_is_not_kept(provider: OfflineModel, settings: Settings) -> None:
    settings.AGENTAPP_MODEL_API_KEY = "sk-very-secret"
    provider.fail("status", status=401, body={"error": {"message": "Unknown key sk-very-secret."}})

    with pytest.raises(ModelRefused, match=r"Unknown key \*\*\*\."):
        ask()


def test_parameters_that_a_model_refuses_are_learned(provider: OfflineModel) -> None:
    for name, code in (("temperature", "unsupported_value"), ("max_tokens", "unsupported_parameter")):
        refusal = {"error": {"message": f"no {name}", "param": name, "code": code}}
        provider.fail("status", status=400, match={"contains": f'"{name}"'}, body=refusal)

    ask(asked=AskedModel("a-reasoning-model", "reasons"), max_tokens=50)
    provider.reset()
    ask(asked=AskedModel("a-reasoning-model", "reasons"), max_tokens=50)

    (request,) = provider.requests()
    assert "temperature" not in request["body"] and "max_tokens" not in request["body"]
    assert request["body"]["max_completion_tokens"] == 50


def test_embeddings_come_in_order_over_several_batches(provider: OfflineModel) -> None:
    texts = [f"text number {number}" for number in range(learned.MOST_BATCH + 6)]

    found = client.embed(texts, timeout_s=20)

    assert (found.dimension, found.model) == (256, "wordllama-l2-supercat-256")
    assert found.vectors[-1] == client.embed(texts[-1:], timeout_s=20).vectors[0]
    assert found.tokens > len(texts) and len(found.vectors) == len(texts)


def test_no_texts_need_no_call(provider: OfflineModel) -> None:
    assert client.embed([], timeout_s=20).vectors == [] and provider.requests() == []


def test_embeddings_that_are_not_configured_say_so(provider: OfflineModel, settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = ""

    with pytest.raises(client.EmbeddingsNotConfigured, match="AGENTAPP_EMBEDDING_URL"):
        client.embed(["a"], timeout_s=20)


def test_threads_share_a_client_and_get_their_own_answers(provider: OfflineModel) -> None:
    # What is known of the model is read once, by this thread: the transaction of a test is its own.
    ask()
    texts = [f"Number {number} is the lucky one." for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(ask, texts))

    assert all(text in reply.text for text, reply in zip(texts, replies, strict=True))


def _ask_in_child(texts: Sequence[str], answers: Any) -> None:
    answers.put((os.getpid(), [ask(text).text for text in texts]))


def test_a_forked_child_gets_connections_of_its_own(provider: OfflineModel) -> None:
    ask()
    fork = multiprocessing.get_context("fork")
    answers: Any = fork.Queue()
    children = [
        fork.Process(target=_ask_in_child, args=([f"Child {child} says {n}." for n in range(10)], answers))
        for child in range(2)
    ]
    for child in children:
        child.start()
    mine = [ask(f"The parent says {number}.").text for number in range(10)]
    theirs = [answers.get(timeout=120)[1] for _ in children]
    for child in children:
        child.join(timeout=120)

    assert all(f"The parent says {number}." in text for number, text in enumerate(mine))
    assert sorted(texts[0][:8] for texts in theirs) == ["“Child 0", "“Child 1"]
    assert all(f"says {number}." in text for texts in theirs for number, text in enumerate(texts))
