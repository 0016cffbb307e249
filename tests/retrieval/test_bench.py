"""The benchmark of retrieval: `python -m bench.retrieval`. [C9]"""

from __future__ import annotations

import pytest

from agentapp.llm import client
from agentapp.models import Chunk, Tenant
from agentapp.services.principals import Principal
from bench import retrieval
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("within", [False, True])
def test_fused_is_at_least_as_good_as_the_better_ranking(
    tenant: Tenant, principal: Principal, provider: OfflineModel, within: bool
) -> None:
    retrieval.fill(principal)
    found = retrieval.measured(tenant.pk, lambda texts: client.embed(texts, timeout_s=20), within=within)

    print(retrieval.report(found, "sample"))
    words, meaning, fused = (found[name] for name in retrieval.RANKINGS)
    assert fused.recall >= max(words.recall, meaning.recall)
    assert fused.mrr >= max(words.mrr, meaning.mrr)


def test_each_question_of_the_sample_has_one_chunk_that_answers_it(
    tenant: Tenant, principal: Principal, no_embeddings: None
) -> None:
    retrieval.fill(principal)
    headings = [heading.split(" > ")[-1] for heading in Chunk.objects.values_list("heading", flat=True)]

    assert sorted(headings) == sorted(question.answer for question in retrieval.questions())
    assert len(set(headings)) == len(headings) == 60
    assert len({question.collection for question in retrieval.questions()}) == 3


def test_scores_count_the_first_five_and_the_place() -> None:
    scores = retrieval.Scores([1, 2, 6, None])

    assert (scores.recall, scores.median) == (0.5, 4)
    assert scores.mrr == pytest.approx((1 + 1 / 2 + 1 / 6) / 4)
