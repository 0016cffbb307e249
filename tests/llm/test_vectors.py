"""Embeddings of any provider: batches of the size that it takes, vectors that can be kept, or a described failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentapp.errors import InvalidModelOutput, ModelRefused, QuotaExhausted, TransientError
from agentapp.llm import client, learned
from agentapp.models import ModelCapability
from tests.llm.deadlines import words_at_the_deadline
from tests.llm.odd_server import Json, Odd, OddServer, whole

pytestmark = pytest.mark.django_db

TEXTS = [f"text {number}" for number in range(100)]


def vectors(texts: list[str]) -> list[Json]:
    """What a provider answers: the number of a text, and a one."""
    return [{"index": place, "embedding": [float(text.split()[1]), 1.0]} for place, text in enumerate(texts)]


def takes(odd: OddServer, most: int, *, status: int = 400, words: Any = None) -> None:
    refusal = words or {"error": {"message": f"batch size is invalid, it should not be larger than {most}"}}

    def answer(body: Json) -> Odd:
        if len(body["input"]) > most:
            return whole(refusal, status=status)
        return whole({"data": vectors(body["input"]), "model": "odd", "usage": {"prompt_tokens": 5}})

    odd.answer = answer


@pytest.mark.parametrize(
    ("most", "status", "words"),
    [(32, 422, {"error": "batch size 64 > maximum 32"}), (10, 400, None), (1, 413, "too large"), (32, 413, {})],
)  # fmt: skip
def test_the_size_of_a_batch_is_learned(odd: OddServer, most: int, status: int, words: Any) -> None:
    takes(odd, most, status=status, words=words)

    found = client.embed(TEXTS, timeout_s=20)

    assert [vector[0] for vector in found.vectors] == list(range(100))
    size = ModelCapability.objects.get().learned["batch"]
    assert most / 2 < size <= most
    odd.requests.clear()
    learned.forget()  # as another process
    client.embed(TEXTS[:size], timeout_s=20)
    assert len(odd.requests) == 1


def test_a_text_that_is_refused_alone_is_a_refusal_and_teaches_nothing(odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        if "text 7" in body["input"]:
            return whole({"error": {"message": "text 7 is forbidden"}}, status=400)
        return whole({"data": vectors(body["input"])})

    odd.answer = answer

    with pytest.raises(ModelRefused, match="text 7 is forbidden"):
        client.embed(TEXTS, timeout_s=20)

    assert not ModelCapability.objects.exists()


def test_an_empty_account_is_not_asked_with_less(odd: OddServer) -> None:
    odd.answer = lambda _: whole({"error": {"message": "pay first", "code": "insufficient_quota"}}, status=429)

    with pytest.raises(QuotaExhausted, match="pay first"):
        client.embed(TEXTS, timeout_s=20)

    assert len(odd.requests) == 1


def test_vectors_are_put_in_the_order_of_their_texts(odd: OddServer) -> None:
    odd.answer = lambda body: whole({"data": vectors(body["input"])[::-1]})

    assert [vector[0] for vector in client.embed(TEXTS[:3], timeout_s=20).vectors] == [0, 1, 2]


def test_vectors_without_a_number_come_in_order(odd: OddServer) -> None:
    odd.answer = lambda _: whole({"data": [{"embedding": [1]}, {"embedding": [2]}], "usage": {"prompt_tokens": -3}})

    found = client.embed(TEXTS[:2], timeout_s=20)

    assert found.vectors == [[1.0], [2.0]] and found.tokens == 3


def one(embedding: Any, **more: Any) -> bytes:
    return json.dumps({"data": [{"embedding": embedding, **more}]}).encode()


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (one([float("nan")]), InvalidModelOutput, "vector 0 of the embedding model holds nan"),
        (one([float("inf")]), InvalidModelOutput, "holds inf"),
        (one([1e39]), InvalidModelOutput, "holds 1e.39"),
        (one([10**400]), InvalidModelOutput, "holds 1000"),
        (one([1.0, None]), InvalidModelOutput, "holds null"),
        (one([1.0, "2"]), InvalidModelOutput, "holds '2'"),
        (one([1.0, True]), InvalidModelOutput, "holds True"),
        (one(None), InvalidModelOutput, "is NoneType instead of a list"),
        (one("AACAPwAAAEA="), InvalidModelOutput, "is str instead of a list"),
        (one([]), InvalidModelOutput, "is 0 numbers"),
        (one([0.5] * 16_001), InvalidModelOutput, "is 16001 numbers"),
        (one([1.0], index=1), InvalidModelOutput, "numbered a vector 1 of 1"),
        (one([1.0], index="0"), InvalidModelOutput, "numbered a vector '0' of 1"),
        (b'{"data": []}', InvalidModelOutput, "asked for 1 embeddings, got 0"),
        (b'{"data": null}', InvalidModelOutput, "asked for 1 embeddings, got 0"),
        (b'{"data": [7]}', InvalidModelOutput, "is NoneType"),
        (b'{"data": [{"embedding": [1]}, {"embedding": [2]}]}', InvalidModelOutput, "asked for 1 embeddings, got 2"),
        (b"[[0.5, 0.5]]", TransientError, "a list instead of an object"),
        (b"<html>asleep</html>", TransientError, "web page: asleep"),
        (b"", TransientError, "nothing at all"),
        (b'{"error": {"message": "loading", "code": 503}}', TransientError, "loading"),
    ],
)
def test_what_is_no_vector_is_a_described_failure(
    odd: OddServer, body: bytes, kind: type[Exception], words: str
) -> None:
    odd.answer = lambda _: Odd(body)

    with pytest.raises(kind, match=words):
        client.embed(TEXTS[:1], timeout_s=20)


def test_vectors_of_two_dimensions_are_no_space(odd: OddServer) -> None:
    odd.answer = lambda _: whole({"data": [{"embedding": [1]}, {"embedding": [1, 2]}]})

    with pytest.raises(InvalidModelOutput, match=r"dimensions \[1, 2\]"):
        client.embed(TEXTS[:2], timeout_s=20)


def test_a_provider_that_drips_is_left_at_the_deadline(odd: OddServer) -> None:
    odd.answer = lambda _: odd.drip(b" ")

    assert "its time was over" in words_at_the_deadline(lambda time_s: client.embed(TEXTS[:1], timeout_s=time_s))


def test_all_batches_together_are_left_at_their_deadline(odd: OddServer) -> None:
    def answer(body: Json) -> Odd:
        if "text 0" in body["input"]:
            return whole({"data": vectors(body["input"])})
        return odd.drip(b" ")

    odd.answer = answer

    def embed(time_s: float) -> None:
        odd.requests.clear()
        client.embed(TEXTS, timeout_s=600, total_s=time_s)

    words = words_at_the_deadline(embed, shows=lambda words: "its time was over" in words and len(odd.requests) == 2)
    assert "its time was over" in words
    assert len(odd.requests) == 2
