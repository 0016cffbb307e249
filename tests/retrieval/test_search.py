"""Searching the sample knowledge base in a real Postgres, with the embeddings of a real server. [C9]"""

from __future__ import annotations

import pytest
from django.db.models import QuerySet
from pytest_django import Settings

from agentapp import clock
from agentapp.errors import TransientError
from agentapp.llm import client
from agentapp.llm.answers import Embeddings, EmbeddingsNotConfigured
from agentapp.models import Approval, Chunk, Stage, Tenant, Workflow
from agentapp.retrieval import full_text, replies, search, sources
from agentapp.retrieval.passages import Found, Passage
from agentapp.services import documents
from agentapp.services.principals import Principal
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import fill
from tests.retrieval.questions import IN_THE_SAME_WORDS, LABELLED, PARAPHRASED, Labelled

pytestmark = pytest.mark.django_db

AT = 5


def test_a_search_of_one_collection_finds_no_other(tenant: Tenant, no_embeddings: None, principal: Principal) -> None:
    for name in ("default", "agentapp"):
        text = f"The refund of {name}."
        documents.load(principal, source=f"{name}.md", title=name, text=text, collection=name)

    def sought(collection: str) -> list[str]:
        found = search.search(tenant.pk, "refund", limit=AT, embed=client_without, collection=collection)
        return sorted(passage.title for passage in found.passages)

    assert (sought("default"), sought("agentapp"), sought("nothing")) == (["default"], ["agentapp"], [])
    assert sought("") == ["agentapp", "default"]
    source = sources.by_name("documents")
    (only,) = source.find(tenant.pk, "refund", limit=AT, embed=client_without, collection="default").passages
    assert only.title == "default"


def client_without(texts: list[str], /, *, model: str = "") -> Embeddings:
    raise EmbeddingsNotConfigured("none")


def embed(texts: list[str], /, *, model: str = "") -> Embeddings:
    return client.embed(texts, timeout_s=20, model=model)


def chunks_of(tenant: Tenant) -> QuerySet[Chunk]:
    return Chunk.objects.filter(tenant=tenant)


def answers(labelled: Labelled, chunk: Chunk) -> bool:
    return (chunk.document.source, chunk.heading.split(" > ")[-1]) == (labelled.file, labelled.heading)


def recall(tenant: Tenant, questions: tuple[Labelled, ...], *, by: str) -> float:
    """The share of the questions whose passage is among the first AT: by words, by meaning, or fused."""
    hits = 0
    for labelled in questions:
        if by == "words":
            found = [hit.id for hit in full_text.rank(chunks_of(tenant), labelled.question, limit=AT)]
        elif by == "meaning":
            found = search.by_meaning(chunks_of(tenant), embed([labelled.question]))[:AT]
        else:
            passages = search.search(tenant.pk, labelled.question, limit=AT, embed=embed).passages
            found = [Chunk.objects.get(pk=passage.id).pk for passage in passages]
        rows = chunks_of(tenant).select_related("document").in_bulk(found)
        hits += any(answers(labelled, chunk) for chunk in rows.values())
    return hits / len(questions)


def test_fused_recall_is_at_least_that_of_each_ranking(tenant: Tenant, provider: OfflineModel) -> None:
    fill(tenant)
    labels = {labelled: [c for c in chunks_of(tenant).select_related("document") if answers(labelled, c)]
              for labelled in LABELLED}  # fmt: skip
    assert all(len(chunks) == 1 for chunks in labels.values()), "each label names one passage"

    recalls = {by: recall(tenant, LABELLED, by=by) for by in ("words", "meaning", "fused")}

    assert recalls == {"words": 0.5, "meaning": 0.95, "fused": 0.95}
    assert recalls["fused"] >= max(recalls["words"], recalls["meaning"])


def test_paraphrases_are_found_by_meaning_alone(tenant: Tenant, provider: OfflineModel) -> None:
    fill(tenant)

    assert recall(tenant, PARAPHRASED, by="words") == 0.0
    assert recall(tenant, PARAPHRASED, by="fused") == 0.9
    assert recall(tenant, IN_THE_SAME_WORDS, by="fused") == 1.0


def test_without_an_embedding_model_the_search_is_full_text_and_says_so(
    tenant: Tenant, provider: OfflineModel, no_embeddings: None
) -> None:
    fill(tenant)

    found = search.search(tenant.pk, "How do I reset my password?", limit=AT, embed=embed)

    assert found.mode == "full_text"
    assert found.passages[0].heading == "Passwords and signing in > Reset your password"
    assert provider.requests() == []


def test_vectors_of_another_model_that_is_gone_are_never_compared(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    fill(tenant)
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    provider.fail("status", status=404, match={"model": "offline"}, times=None)

    found = search.search(tenant.pk, "Can I get my money back?", limit=AT, embed=embed)

    assert found.mode == "full_text"
    assert search.search(tenant.pk, "xyzzy", limit=AT, embed=embed).passages == []


def test_an_embedding_model_that_fails_is_an_error_to_retry(tenant: Tenant, provider: OfflineModel) -> None:
    fill(tenant)
    provider.fail("status", status=503)

    with pytest.raises(TransientError):
        search.search(tenant.pk, "refund", limit=AT, embed=embed)


def test_a_tenant_never_finds_passages_of_another(tenant: Tenant, other_tenant: Tenant, provider: OfflineModel) -> None:
    fill(tenant)
    approved_reply(tenant, subject="Refunds", body="A refund takes five days.")

    for source in sources.registered():
        assert source.search(other_tenant.pk, "refund", limit=AT, embed=embed).passages == []
        assert source.search(tenant.pk, "refund", limit=AT, embed=embed).passages


@pytest.mark.parametrize("query", ["", "   ", "?!", "the of and", "a & b | !c <-> ('", "nul \0 byte", "x" * 20_000])
def test_a_strange_query_finds_something_or_nothing_but_never_fails(
    tenant: Tenant, provider: OfflineModel, query: str
) -> None:
    fill(tenant)

    for source in sources.registered():
        assert isinstance(source.search(tenant.pk, query, limit=AT, embed=embed), Found)


def test_an_empty_knowledge_base_answers_with_nothing(tenant: Tenant, provider: OfflineModel) -> None:
    assert search.search(tenant.pk, "refund", limit=AT, embed=embed) == Found(passages=[], mode="full_text")


def test_an_address_of_a_document_goes_with_its_passages(tenant: Tenant, provider: OfflineModel) -> None:
    fill(tenant)
    assert search.search(tenant.pk, "refund", limit=1, embed=embed).passages[0].url == ""
    document = Chunk.objects.select_related("document").get(heading__endswith="Quiet hours").document
    document.source = "https://sampleware.example/notifications"
    document.save()

    (found,) = search.search(tenant.pk, "quiet hours", limit=1, embed=embed).passages

    assert (found.source, found.title, found.url) == ("documents", "Notifications", document.source)


def approved_reply(
    tenant: Tenant, *, subject: str, body: str, sources: list[dict[str, str]] | None = None, state: str = "approved"
) -> Approval:
    """An approval as the lifecycle leaves it, without the run around it."""
    workflow = Workflow.objects.create(tenant=tenant, kind="probe", input={}, created_at=clock.now())
    stage = Stage.objects.create(workflow=workflow, position=1, name="approval", kind="decision")
    content = {"to": "customer@sample.test", "subject": subject, "body": body}
    return Approval.objects.create(
        workflow=workflow, stage=stage, tenant=tenant, state=state, content=content, draft=content,
        content_sha256="0" * 64, sources=[{"n": 1}] if sources is None else sources, created_at=clock.now(),
    )  # fmt: skip


def found_replies(tenant: Tenant, query: str) -> list[Passage]:
    return replies.search(tenant.pk, query, limit=AT, embed=embed).passages


def test_earlier_replies_are_found_without_recipient_and_citation_marks(tenant: Tenant) -> None:
    reply = approved_reply(
        tenant, subject="Re: Invoice", body="You find the invoice under Billing [1]. It is a PDF [2, 3]."
    )
    approved_reply(tenant, subject="Re: Password", body="Press *Forgot password* [1].")

    (found,) = found_replies(tenant, "Where is my invoice?")

    assert (found.id, found.source, found.title) == (str(reply.pk), "approved_replies", "Earlier reply: Re: Invoice")
    assert found.text == "You find the invoice under Billing. It is a PDF."
    assert "customer@sample.test" not in str(found)


def test_what_was_not_approved_or_said_only_that_nothing_was_found_teaches_nothing(tenant: Tenant) -> None:
    approved_reply(tenant, subject="Re: Discount", body="We know nothing of a discount.", sources=[])
    approved_reply(tenant, subject="Re: Discount", body="A discount of all.", state="rejected")
    assert found_replies(tenant, "discount") == []

    edited = approved_reply(tenant, subject="Re: Discount", body="We know nothing of a discount.", sources=[])
    edited.content = {**edited.content, "body": "Schools get a discount of half the price."}
    edited.save()

    assert [found.id for found in found_replies(tenant, "discount")] == [str(edited.pk)]


def test_the_line_of_a_reply_that_admits_ignorance_is_left_out(tenant: Tenant) -> None:
    body = "Refunds take five days [1].\n\nOur knowledge base does not contain an answer to “Discounts”. Sorry.\n\nBye"
    approved_reply(tenant, subject="Re: Money", body=body)

    (found,) = found_replies(tenant, "refunds and discounts")

    assert found.text == "Refunds take five days.\n\n\nBye"
