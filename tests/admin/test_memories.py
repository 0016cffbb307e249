"""The page of a memory: its versions, correcting, erasing."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import Settings

from agentapp.lifecycle import memories as moves
from agentapp.lifecycle.memories import Fact
from agentapp.models import Memory, MemoryChange, Tenant
from tests.admin.conftest import MakeStaff

pytestmark = pytest.mark.django_db
LIST = "/admin/agentapp/memory/"


@pytest.fixture(autouse=True)
def no_embeddings(settings: Settings) -> None:
    settings.AGENTAPP_EMBEDDING_URL = settings.AGENTAPP_EMBEDDING_MODEL = ""


@pytest.fixture
def writer(make_staff: MakeStaff, tenant: Tenant) -> Client:
    client = Client()
    client.force_login(make_staff("writer", tenant, "change_memory"))
    return client


def made(tenant: Tenant, text: str = "Pays by invoice.", about: str = "ada@example.test") -> Memory:
    return moves.write(Fact(tenant.pk, about, text, "sync_memory", is_untrusted=True))[0]


def page_of(memory: Memory) -> str:
    return f"{LIST}{memory.pk}/change/"


def test_a_person_corrects_a_fact(writer: Client, tenant: Tenant) -> None:
    memory = made(tenant)
    made(tenant, about="bob@example.test", text="Has a cat.")
    found = writer.get(LIST, {"q": "ADA@example.test", "version": "holds"}).content.decode()
    assert "Pays by invoice." in found and "Has a cat." not in found

    page = writer.post(page_of(memory), {"action": "correct", "text": "Pays by card."}, follow=True).content.decode()

    corrected = Memory.objects.get(fact_id=memory.fact_id, valid_until=None)
    assert (corrected.text, corrected.is_untrusted, corrected.written_by) == ("Pays by card.", False, "user:writer")
    assert "Pays by card." in page and "Pays by invoice." in page and "superseded by writer" in page
    refused = writer.post(page_of(memory), {"action": "correct", "text": "Pays in cash."})
    assert refused.status_code == 409 and "Pays in cash." not in {row.text for row in Memory.objects.all()}
    # What was typed stays, in the form of the version that holds.
    shown = refused.content.decode()
    assert f'action="{page_of(corrected)}"' in shown and "Pays in cash.</textarea>" in shown


def test_a_person_erases_one_fact_and_all_of_a_customer(writer: Client, tenant: Tenant) -> None:
    first, second, other = made(tenant), made(tenant, "Has a cat."), made(tenant, about="bob@example.test")
    made(tenant, "Lives in Ulm.")

    assert writer.post(page_of(first), {"action": "erase"}).status_code == 302
    assert Memory.objects.count() == 3
    assert writer.post(page_of(second), {"action": "erase_all"}).status_code == 302

    assert [memory.pk for memory in Memory.objects.all()] == [other.pk]
    assert set(MemoryChange.objects.filter(action="erased").values_list("actor", flat=True)) == {"user:writer"}
    writer.post(LIST, {"action": "remove", "_selected_action": str(other.pk)})
    assert not Memory.objects.exists()


def test_who_may_only_read_or_is_of_another_tenant_changes_nothing(
    reader: Client, stranger: Client, tenant: Tenant
) -> None:
    memory = made(tenant)
    page = reader.get(page_of(memory)).content.decode()
    assert "Pays by invoice." in page and 'class="danger"' not in page
    assert reader.post(page_of(memory), {"action": "erase"}).status_code == 403
    assert stranger.post(page_of(memory), {"action": "erase"}).status_code == 302
    assert "Pays by invoice." not in stranger.get(LIST).content.decode()
    assert Memory.objects.count() == 1
