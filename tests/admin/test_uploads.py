"""Uploading a file in the admin, and what its page says of it."""

from __future__ import annotations

from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from agentapp.models import Document, Tenant
from tests import harness

pytestmark = pytest.mark.django_db
ADDRESS = "/admin/agentapp/document/add/"


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


def sent(data: bytes = b"# Hours\n\nNine to five.\n", name: str = "hours.md", **more: object) -> dict[str, object]:
    return {"file": SimpleUploadedFile(name, data), "collection": "help"} | more


def member(tenant: Tenant, role: str) -> Client:
    call_command("create_user", role, "--tenant", tenant.slug, "--role", role, stdout=StringIO())
    visitor = Client()
    visitor.force_login(User.objects.get(username=role))
    return visitor


def test_a_person_uploads_a_file_for_their_tenant(tenant: Tenant, other_tenant: Tenant) -> None:
    visitor = member(tenant, "operator")
    assert "multipart/form-data" in visitor.get(ADDRESS).content.decode()

    page = visitor.post(ADDRESS, sent(), follow=True).content.decode()

    document = Document.objects.get()
    assert (document.tenant, document.source, document.collection) == (tenant, "hours.md", "help")
    assert "The file hours.md is stored" in page and "processing" in page
    harness.drain()
    page = visitor.get(f"/admin/agentapp/document/{document.pk}/change/").content.decode()
    assert "ready" in page and "Nine to five." in page


def test_what_cannot_be_taken_in_is_said_and_what_was_typed_stays(tenant: Tenant, admin_client: Client) -> None:
    answer = admin_client.post(ADDRESS, sent(b"\x89PNG", "a.png", title="My hours"))

    assert answer.status_code == 422
    assert "picture" in answer.content.decode() and "My hours" in answer.content.decode()
    assert admin_client.post(ADDRESS, {"title": "T"}).status_code == 422
    assert not Document.objects.exists()


def test_a_file_without_text_says_why_on_its_page(tenant: Tenant, admin_client: Client) -> None:
    admin_client.post(ADDRESS, sent(b"%PDF-1.7", "a.pdf"))
    harness.drain()

    page = admin_client.get(f"/admin/agentapp/document/{Document.objects.get().pk}/change/").content.decode()
    assert "failed" in page and "It is damaged" in page


def test_who_may_only_look_and_who_is_of_another_tenant_upload_nothing(tenant: Tenant, other_tenant: Tenant) -> None:
    assert member(tenant, "viewer").post(ADDRESS, sent()).status_code == 403
    assert member(other_tenant, "operator").post(ADDRESS, sent(tenant=tenant.pk)).status_code == 404
    assert not Document.objects.exists()
