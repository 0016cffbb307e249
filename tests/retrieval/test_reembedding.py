"""Another embedding model: searches use the vectors before until all new ones are there. [C9]"""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F
from pytest_django import Settings

from agentapp.errors import TransientError
from agentapp.lifecycle import vectors
from agentapp.models import Chunk, Job, Memory, ModelCall, Tenant, Workflow
from agentapp.retrieval import memories, search
from agentapp.retrieval.passages import Found
from agentapp.runtime import runner
from agentapp.services import documents, embeddings, reembedding
from agentapp.services import memories as facts
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal, make_due
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db

TEXTS = {"refunds.md": "Refunds are paid within 30 days.", "locks.md": "A lock is released when its owner ends."}
CUSTOMER = "ada@example.org"


@pytest.fixture(autouse=True)
def texts(principal: Principal, tenant: Tenant, provider: OfflineModel) -> None:
    for source, text in TEXTS.items():
        documents.load(principal, source=source, title=source, text=text)
    facts.write(principal, about=CUSTOMER, text="She pays by invoice.")
    provider.reset()


def load_long(principal: Principal) -> None:
    """A document of a hundred passages."""
    text = "\n\n".join(f"# Part {number}\n\nThe square of {number} is {number**2}." for number in range(100))
    documents.load(principal, source="squares.md", title="Squares", text=text)


def found(tenant: Tenant, query: str = "When do I get my money back?") -> Found:
    return search.search(tenant.pk, query, limit=3, embed=embeddings.of_tenant(tenant.pk))


def recalled(tenant: Tenant) -> list[str]:
    embed = embeddings.of_tenant(tenant.pk)
    return [one.text for one in memories.search(tenant.pk, "How is it paid?", about=CUSTOMER, limit=3, embed=embed)]


def asked(provider: OfflineModel) -> list[tuple[str, int]]:
    """Which model was asked to embed how many texts, since the last reset."""
    bodies = [one["body"] for one in provider.requests() if one["path"].endswith("/embeddings")]
    return [(body["model"], len(body["input"])) for body in bodies]


def models(rows: Any) -> set[tuple[str, str]]:
    return set(rows.values_list("embedding_model", "next_model"))


def begin(tenant: Tenant) -> Workflow:
    task = reembedding.start(tenant.pk)
    assert task is not None
    return Workflow.objects.get(pk=task)


def run_one(task: Workflow) -> Job:
    be_a_worker()
    job = Job.objects.filter(workflow=task, state="available").order_by("stage__position", "part")[0]
    runner.run(str(job.pk))
    job.refresh_from_db()
    return job


def test_searches_go_on_with_the_vectors_before_until_the_new_ones_are_complete(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    run_one(task)
    run_one(task)
    provider.reset()

    assert models(Chunk.objects) == {("offline", "another"), ("offline", "")}
    assert found(tenant).mode == "fused" and found(tenant).passages[0].title == "refunds.md"
    assert {model for model, _ in asked(provider)} == {"offline"}

    drain(task)
    provider.reset()
    assert models(Chunk.objects) == {("another", "")} == models(Memory.objects)
    assert found(tenant).mode == "fused" and found(tenant).passages[0].title == "refunds.md"
    assert recalled(tenant) == ["She pays by invoice."]
    assert {model for model, _ in asked(provider)} == {"another"}
    task.refresh_from_db()
    assert (task.state, task.result) == ("completed", {"model": "another", "dimension": 256, "left": 0})
    assert histories_are_legal()


def test_between_the_steps_of_the_switch_a_search_compares_the_same_texts(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    drain(begin(tenant))
    # As in the middle of the switch: one passage still has its new vector beside the old one.
    half = Chunk.objects.filter(document__source="refunds.md")
    half.update(
        next_embedding=F("embedding"), next_model="another", next_dimension=256, embedding_model="offline",
        embedding=[0.5] * 256,
    )  # fmt: skip
    embedded = embeddings.of_tenant(tenant.pk)(["When do I get my money back?"])

    assert len(search.by_meaning(Chunk.objects.filter(tenant=tenant), embedded)) == 2
    assert found(tenant).passages[0].title == "refunds.md"


def test_a_job_that_is_run_again_embeds_only_what_is_missing(
    principal: Principal, tenant: Tenant, provider: OfflineModel, settings: Settings, clock
) -> None:
    load_long(principal)
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    run_one(task)
    provider.reset()
    long = Job.objects.get(workflow=task, type="reembed_texts", payload__part__document=str(_document("squares.md")))
    be_a_worker()
    provider.fail("status", status=503, match={"contains": "square of 99"}, times=1)
    runner.run(str(long.pk))
    long.refresh_from_db()
    assert (long.state, asked(provider)) == ("retryable", [("another", 64), ("another", 36)])
    assert Chunk.objects.filter(next_model="another").count() == 64

    provider.reset()
    make_due(clock, 3_600)
    drain(task)
    assert ("another", 36) in asked(provider) and ("another", 64) not in asked(provider)
    assert models(Chunk.objects) == {("another", "")}


def test_two_starts_are_one_and_what_was_cancelled_goes_on_where_it_was(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    assert reembedding.start(tenant.pk) is None
    run_one(task)
    run_one(task)

    assert reembedding.stop(tenant.pk) == task.pk
    assert reembedding.stop(tenant.pk) is None
    drain(task)
    assert models(Chunk.objects) == {("offline", "another"), ("offline", "")}

    again = begin(tenant)
    provider.reset()
    drain(again)
    # To learn the dimension, and for the document and the fact that were left.
    assert sorted(asked(provider)) == [("another", 1)] * 3
    assert models(Chunk.objects) == {("another", "")}


def test_what_is_loaded_meanwhile_is_found_and_taken_along(
    principal: Principal, tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    run_one(task)
    documents.load(principal, source="new.md", title="new.md", text="Invoices are sent on Mondays.")
    facts.write(principal, about=CUSTOMER, text="She lives in Rome.")

    assert found(tenant, "On which day is the bill mailed?").passages[0].title == "new.md"
    assert models(Chunk.objects) == {("offline", "")} == models(Memory.objects)
    drain(task)
    assert models(Chunk.objects) == {("another", "")} == models(Memory.objects)


def test_a_model_that_goes_back_leaves_nothing_behind(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    run_one(task)
    run_one(task)
    settings.AGENTAPP_EMBEDDING_MODEL = "offline"
    provider.reset()
    drain(task)

    assert models(Chunk.objects) == {("offline", "")} == models(Memory.objects)
    assert {model for model, _ in asked(provider)} == {"offline"}


def test_the_model_before_is_asked_at_its_own_address(
    tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    settings.AGENTAPP_EMBEDDING_OLD_URL = "http://127.0.0.1:9/v1"
    with pytest.raises(TransientError):
        found(tenant)

    drain(begin(tenant))
    assert found(tenant).mode == "fused"


def test_vectors_of_another_dimension_are_noticed_and_made_again(tenant: Tenant, provider: OfflineModel) -> None:
    Chunk.objects.filter(document__source="locks.md").update(embedding=[1, 0, 0], embedding_dimension=3)
    Memory.objects.update(embedding=[1, 0, 0], embedding_dimension=3)
    assert "Vectors of offline have different dimensions: 3, 256." in reembedding.status(tenant).sentences
    assert [one.title for one in found(tenant).passages] == ["refunds.md"]
    assert recalled(tenant) == []

    drain(begin(tenant))
    assert set(Chunk.objects.values_list("embedding_dimension", flat=True)) == {256}
    assert recalled(tenant) == ["She pays by invoice."]


def test_it_is_of_one_tenant_and_its_cost_is_recorded(
    tenant: Tenant, other_principal: Principal, other_tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    documents.load(other_principal, source="theirs.md", title="theirs.md", text="Theirs alone.")
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    task = begin(tenant)
    drain(task)

    assert models(Chunk.objects.filter(tenant=other_tenant)) == {("offline", "")}
    calls = ModelCall.objects.filter(workflow_id=task.pk)
    assert set(calls.values_list("tenant_id", "model", "is_embedding")) == {(tenant.pk, "another", True)}
    task.refresh_from_db()
    assert task.tokens == sum(calls.values_list("prompt_tokens", flat=True)) > 0


def test_the_command_starts_tells_and_cancels(
    tenant: Tenant, other_tenant: Tenant, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = "another"
    assert say("--status").splitlines() == [
        "sample: 0 of 3 texts have a vector of another.", "  Documents are searched by vectors of offline.",
    ]  # fmt: skip
    assert "has been started" in say()
    assert say("--tenant", "sample") == "sample: it runs already.\n"
    assert "is pending: 0 of" in say("--status")
    assert "is cancelled" in say("--cancel")
    assert vectors.open_task(tenant.pk) is None
    drain(begin(tenant))
    assert say("--status") == "sample: 3 of 3 texts have a vector of another.\n"


def say(*options: str) -> str:
    said = StringIO()
    call_command("reembed", *options, stdout=said)
    return said.getvalue()


def _document(source: str) -> Any:
    return Chunk.objects.filter(document__source=source).values_list("document_id", flat=True)[0]
