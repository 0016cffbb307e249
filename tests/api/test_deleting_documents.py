"""One document: read, deleted with its chunks, and unknown afterwards."""

from __future__ import annotations

import threading
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from pytest_django import Settings

from agentapp.lifecycle import documents as moves
from agentapp.models import Chunk, Document, Tenant
from agentapp.retrieval import ingest
from agentapp.retrieval.chunking import Piece
from tests.api.conftest import Api, problem_of

HOURS = {"source": "hours.md", "title": "Opening hours", "text": "# Hours\n\nWe are open from nine to five."}


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def made(api: Api, **values: str) -> dict[str, Any]:
    document: dict[str, Any] = api.post("/documents", HOURS | values).json()
    return document


@pytest.mark.django_db
def test_a_document_is_read_and_deleted_with_its_chunks(api: Api) -> None:
    document, other = made(api), made(api, source="other.md")
    address = f"/documents/{document['id']}"
    assert api.get(address).json() == document

    response = api.delete(address)

    assert (response.status_code, response.content) == (204, b"")
    assert [str(row.document_id) for row in Chunk.objects.all()] == [other["id"]]
    problem_of(api.get(address), 404)
    problem_of(api.delete(address), 404)
    assert made(api)["id"] != document["id"]


@pytest.mark.django_db
def test_a_foreign_document_is_as_unknown_as_one_that_nobody_has(api: Api, other_api: Api) -> None:
    foreign, nobodys = made(other_api)["id"], str(uuid4())
    for ask in (api.get, api.delete):
        answers = [problem_of(ask(f"/documents/{pk}"), 404)["detail"] for pk in (foreign, nobodys)]
        assert answers[0].replace(foreign, nobodys) == answers[1]
    assert Document.objects.count() == 1


@pytest.mark.django_db
def test_who_may_only_read_deletes_nothing(api: Api, tenant: Tenant, make_key: Any) -> None:
    document = made(api)
    reader, writer = (Api(make_key(tenant, f"documents:{right}")[1]) for right in ("read", "write"))
    assert "documents:write" in problem_of(reader.delete(f"/documents/{document['id']}"), 403)["detail"]
    assert writer.delete(f"/documents/{document['id']}").status_code == 204


@pytest.mark.django_db(transaction=True)
def test_a_text_that_is_loaded_meanwhile_is_deleted_too(api: Api) -> None:
    """Its new chunks come between the deletion of the old ones and that of the document."""
    document = Document.objects.get(pk=UUID(made(api)["id"]))
    deleting = threading.Thread(target=lambda: _delete(document.pk))
    with transaction.atomic():
        Document.objects.select_for_update().get(pk=document.pk)
        deleting.start()
        _wait_for_a_lock()
        # As ingest.replace does it, below the lock that it takes first.
        document.chunks.all().delete()
        Chunk.objects.bulk_create(ingest.chunks(document, [Piece("h", "new")], None))
    deleting.join(timeout=120)
    assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)


def _delete(pk: UUID) -> None:
    try:
        moves.remove(Document.objects.filter(pk=pk))
    finally:
        connection.close()


def _wait_for_a_lock() -> None:
    question = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with connection.cursor() as cursor:
        for _ in range(12_000):
            # The statistics of a transaction are those of its first look.
            cursor.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")
            cursor.execute(question)
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits")


@pytest.mark.django_db
def test_a_person_without_permission_and_one_of_another_tenant_delete_nothing(
    api: Api, tenant: Tenant, other_tenant: Tenant
) -> None:
    document = made(api)
    address = f"/admin/agentapp/document/{document['id']}/change/"
    chosen = {"action": "remove", "_selected_action": [document["id"]]}
    for where, role in ((tenant, "viewer"), (other_tenant, "operator")):
        call_command("create_user", role, "--tenant", where.slug, "--role", role, stdout=StringIO())
        visitor = Client()
        visitor.force_login(User.objects.get(username=role))
        assert b"Delete this document" not in visitor.get(address, follow=True).content
        visitor.post(address)
        visitor.post("/admin/agentapp/document/", chosen)
        assert Document.objects.exists(), role


@pytest.mark.django_db
def test_a_person_deletes_documents_in_the_admin_if_allowed(api: Api, admin_client: Client, tenant: Tenant) -> None:
    first, second = made(api), made(api, source="other.md")
    chosen = {"action": "remove", "_selected_action": [first["id"]]}
    page = admin_client.post("/admin/agentapp/document/", chosen, follow=True)
    assert "no answer quotes hours.md any more" in page.content.decode()
    address = f"/admin/agentapp/document/{second['id']}/change/"
    assert "Delete this document" in admin_client.get(address).content.decode()
    admin_client.post(address)
    assert (Document.objects.count(), Chunk.objects.count()) == (0, 0)
