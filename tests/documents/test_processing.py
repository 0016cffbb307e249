"""A file is stored, and a workflow of its own takes it in: readers see the old text until all of the new is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.errors import InvalidInput, PermissionDenied
from agentapp.lifecycle import documents as moves
from agentapp.lifecycle import prune
from agentapp.models import Artifact, Chunk, Document, Job, Tenant, Workflow
from agentapp.runtime import outcome, runner
from agentapp.services import dead_letters, document_progress, documents, uploads, workflows
from agentapp.services.principals import Principal
from agentapp.services.uploads import File
from tests import harness
from tests.documents.conftest import Take
from tests.offline_model.process import OfflineModel

pytestmark = pytest.mark.django_db

TEXT = b"# Refunds\n\nWithin 30 days.\n\n## How\n\nPress the button.\n"
LONG = b"\n\n".join(b"# Part %d\n\n%s" % (number, b"word " * 150) for number in range(150))


@pytest.fixture(autouse=True)
def one_job_a_message(settings: Settings) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0


def texts(document: Document) -> list[str]:
    return list(Chunk.objects.filter(document=document).order_by("position").values_list("text", flat=True))


def state_of(document: Document) -> str:
    document.refresh_from_db()
    return document_progress.of([document])[document.pk].state


def task_of(document: Document) -> Workflow:
    assert document.task_id
    return Workflow.objects.get(pk=document.task_id)


def jobs_of(document: Document) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for job in Job.objects.filter(workflow=task_of(document)):
        found.setdefault(job.type, []).append(job.state)
    return found


def step(document: Document) -> str:
    """Run the next job of a document, and return its type."""
    harness.be_a_worker()
    job = Job.objects.filter(workflow=task_of(document), state="available").order_by("part")[0]
    runner.run(str(job.pk))
    return job.type


def test_a_file_is_stored_as_it_is_and_taken_in_by_a_workflow(upload: Take, principal: Principal) -> None:
    document = upload(TEXT)

    assert (document.state, document.title, document.size, texts(document)) == ("processing", "notes.md", 0, [])
    (stored,) = Artifact.objects.filter(workflow=None)
    assert (stored.pk, stored.file.read()) == (document.upload_id, TEXT)
    harness.drain()
    document.refresh_from_db()
    assert (document.state, document.title, document.size) == ("ready", "Refunds", len(TEXT))
    assert texts(document) == ["Within 30 days.", "Press the button."]
    task = task_of(document)
    assert (task.kind, task.state, task.result) == (
        "process_document", "completed", {"outcome": "ready", "reason": "", "chunks": 2},
    )  # fmt: skip
    assert harness.histories_are_legal()


def test_it_is_no_task_of_the_client_and_counts_for_no_limit(
    upload: Take, principal: Principal, settings: Settings
) -> None:
    settings.AGENTAPP_TENANT_MARK_TASKS = 1
    for number in range(3):
        upload(TEXT, f"{number}.md")

    assert not workflows.listing(principal).exists()
    assert set(Workflow.objects.values_list("origin", "priority")) == {("document", 3)}


def test_chunks_are_embedded_in_batches(provider: OfflineModel, upload: Take, settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL, settings.AGENTAPP_EMBEDDING_MODEL = provider.url, "offline"
    document = upload(LONG)
    harness.drain()

    assert jobs_of(document)["embed_chunks"] == ["completed"] * 3
    rows = Chunk.objects.filter(document=document)
    assert [row.position for row in rows.order_by("position")] == list(range(150))
    assert set(rows.values_list("embedding_model", "embedding_dimension")) == {("offline", 256)}


def test_the_same_file_again_is_no_work(take: Take, upload: Take) -> None:
    first = take(TEXT)

    assert upload(TEXT).task_id == first.task_id
    assert upload(TEXT, title="Refunds").task_id == first.task_id
    assert (Workflow.objects.count(), Artifact.objects.filter(workflow=None).count()) == (1, 1)


def test_a_file_that_is_being_taken_in_is_not_taken_in_twice(upload: Take) -> None:
    assert upload(TEXT).task_id == upload(TEXT).task_id
    assert Workflow.objects.count() == 1


def test_readers_see_the_old_text_until_all_of_the_new_is_there(take: Take, upload: Take) -> None:
    take(TEXT)
    document = upload(b"Within 60 days.")

    while Job.objects.filter(workflow=task_of(document), state="available").exists():
        assert texts(document) == ["Within 30 days.", "Press the button."]
        assert (state_of(document), document.title) == ("processing", "Refunds")
        step(document)

    assert (state_of(document), texts(document), document.title) == ("ready", ["Within 60 days."], "notes")


def test_another_file_ends_the_work_on_the_one_before(upload: Take) -> None:
    first = upload(TEXT)
    step(first)
    second = upload(b"Within 60 days.")
    harness.drain()

    assert task_of(first).state == "cancelled"
    assert (second.pk, texts(second)) == (first.pk, ["Within 60 days."])


def test_a_late_result_of_an_earlier_upload_changes_nothing(upload: Take) -> None:
    """Its cancellation may not have arrived, when the process died between the two."""
    first = upload(TEXT)
    for _ in range(3):
        step(first)
    task = task_of(first)
    Document.objects.filter(pk=first.pk).update(task_id="00000000-0000-0000-0000-000000000001")

    assert step(first) == "index_document"

    assert Workflow.objects.filter(pk=task.pk, result__outcome="superseded").exists()
    assert (state_of(first), texts(first)) == ("failed", [])


def test_a_worker_that_is_lost_at_any_job_loses_nothing(upload: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body has run and its result is not stored: the job is handed back and runs once more."""
    document = upload(LONG)
    lost: set[str] = set()

    def settle(held: Any, ended: Any, **more: Any) -> Any:
        if held.job.type in lost:
            return kept(held, ended, **more)
        lost.add(held.job.type)
        return kept(held, outcome.HandedBack(), **more)

    kept = runner.settle
    monkeypatch.setattr(runner, "settle", settle)
    harness.drain()

    assert lost == {"parse_document", "chunk_document", "embed_chunks", "index_document"}
    assert (state_of(document), len(texts(document))) == ("ready", 150)
    assert harness.histories_are_legal()


@pytest.mark.parametrize("steps", range(4))
def test_a_document_that_is_deleted_meanwhile_stays_deleted(
    upload: Take, principal: Principal, stored_files: Callable[[], set[str]], steps: int
) -> None:
    document = upload(TEXT)
    for _ in range(steps):
        step(document)

    documents.delete(principal, document.pk)
    harness.drain()

    assert (Document.objects.count(), Chunk.objects.count(), Artifact.objects.count()) == (0, 0, 0)
    assert Workflow.objects.get().state == "cancelled"
    assert stored_files() == set()


def test_deleting_a_document_deletes_its_file_and_what_taking_it_in_has_left(
    take: Take, principal: Principal, stored_files: Callable[[], set[str]]
) -> None:
    document, other = take(TEXT), take(TEXT, "other.md")
    documents.delete(principal, document.pk)

    left = {artifact.workflow_id for artifact in Artifact.objects.all()}
    assert left == {None, other.task_id}
    assert len(stored_files()) == Artifact.objects.count()


def test_a_text_that_is_loaded_meanwhile_wins(upload: Take, principal: Principal) -> None:
    document = upload(TEXT)
    step(document)
    documents.load(principal, source="notes.md", title="Notes", text="Loaded.")
    harness.drain()

    assert (state_of(document), texts(document)) == ("ready", ["Loaded."])
    assert Workflow.objects.get().state == "cancelled"


def test_a_task_that_ends_without_a_result_is_told_by_the_document(upload: Take) -> None:
    document = upload(TEXT)
    moves.end(document.task_id, actor="user:root", reason="a test")

    (shown,) = document_progress.of([document]).values()
    assert shown.state == "failed" and shown.error.startswith("The file was not processed.")
    assert upload(TEXT).task_id != document.task_id


def test_a_dead_letter_is_told_by_the_document_and_its_replay_ends_well(
    upload: Take, provider: OfflineModel, settings: Settings, principal: Principal
) -> None:
    settings.AGENTAPP_EMBEDDING_URL, settings.AGENTAPP_EMBEDDING_MODEL = provider.url, "offline"
    document = upload(TEXT)
    provider.fail("status", status=401)
    harness.drain()
    assert jobs_of(document)["embed_chunks"] == ["dead_lettered"]
    assert "an operator must look" in document_progress.of([document])[document.pk].error

    provider.reset()
    dead_letters.replay(principal, Job.objects.get(state="dead_lettered").pk)
    harness.drain()
    assert (state_of(document), len(texts(document))) == ("ready", 2)


@pytest.mark.parametrize(
    ("more", "field"),
    [({"source": ""}, "source"), ({"source": "x" * 501}, "source"), ({"title": "x" * 301}, "title"),
     ({"collection": "a/b"}, "collection"), ({"media_type": "image/png"}, "file")],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_and_nothing_is_stored(principal: Principal, more: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        uploads.upload(principal, File(TEXT, **({"source": "notes.md"} | more)))

    assert [error["field"] for error in refused.value.errors] == [field]
    assert not (Document.objects.exists() or Artifact.objects.exists() or Workflow.objects.exists())


def test_a_file_belongs_to_the_tenant_of_its_principal(take: Take, other_principal: Principal, tenant: Tenant) -> None:
    take(TEXT)
    other = uploads.upload(other_principal, File(b"Other text.", "notes.md"))
    harness.drain()

    assert texts(other) == ["Other text."]
    assert texts(Document.objects.get(tenant=tenant)) == ["Within 30 days.", "Press the button."]
    with pytest.raises(PermissionDenied):
        uploads.upload(Principal(frozenset({"documents:read"}), frozenset({tenant.pk})), File(TEXT, "a.md"))


def test_a_file_that_no_document_has_any_more_is_deleted_after_a_day(
    take: Take, clock: Clock, stored_files: Callable[[], set[str]]
) -> None:
    take(TEXT)
    clock.advance(3_600)
    document = take(b"Within 60 days.")
    clock.advance(86_400 - 60)

    assert (prune.uploads(older_than=timedelta(days=1), limit=9), len(uploaded())) == (1, 1)
    assert uploaded() == {document.upload_id}
    clock.advance(86_400)
    assert prune.uploads(older_than=timedelta(days=1), limit=9) == 0
    assert len(stored_files()) == Artifact.objects.count()


def uploaded() -> set[object]:
    return set(Artifact.objects.filter(workflow=None).values_list("pk", flat=True))
