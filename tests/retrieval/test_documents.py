"""Loading documents: atomic, and no work twice. [C9]"""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from agentapp.errors import InvalidInput, NotFound, PermissionDenied, Unavailable
from agentapp.lifecycle import holds
from agentapp.models import Chunk, Document, Tenant
from agentapp.services import documents
from agentapp.services.principals import Principal
from tests.documents.files import pdf, word
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import KNOWLEDGE

pytestmark = pytest.mark.django_db

TEXT = "# Refunds\n\nWithin 30 days.\n\n## How\n\nPress the button.\n"


def load(principal: Principal, text: str = TEXT, *, source: str = "refunds.md", title: str = "Refunds") -> bool:
    _, stored = documents.load(principal, source=source, title=title, text=text)
    return stored


def embeddings_asked(provider: OfflineModel) -> int:
    return sum(1 for request in provider.requests() if request["path"].endswith("/embeddings"))


def test_each_chunk_records_its_embedding_model_and_dimension(principal: Principal, provider: OfflineModel) -> None:
    assert load(principal)

    rows = Chunk.objects.order_by("position").values_list("heading", "embedding_model", "embedding_dimension")
    assert list(rows) == [("Refunds", "offline", 256), ("Refunds > How", "offline", 256)]
    assert embeddings_asked(provider) == 1


def test_the_same_text_again_is_no_work_and_another_replaces_it(principal: Principal, provider: OfflineModel) -> None:
    load(principal)
    assert not load(principal)
    assert embeddings_asked(provider) == 1

    assert load(principal, "Within 60 days.")

    assert Document.objects.count() == 1
    assert [chunk.text for chunk in Chunk.objects.all()] == ["Within 60 days."]


def test_the_same_text_stays_as_it_is_until_all_are_embedded_by_another_model(
    principal: Principal, provider: OfflineModel, settings: Settings
) -> None:
    load(principal)
    settings.AGENTAPP_EMBEDDING_MODEL = "another"

    assert not load(principal), "see test_reembedding.py"

    assert set(Chunk.objects.values_list("embedding_model", flat=True)) == {"offline"}


def test_without_an_embedding_model_chunks_are_stored_bare_and_embedded_when_there_is_one(
    principal: Principal, provider: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_EMBEDDING_MODEL = ""
    assert load(principal)
    assert not load(principal)
    assert set(Chunk.objects.values_list("embedding_model", "embedding_dimension")) == {("", 0)}

    settings.AGENTAPP_EMBEDDING_MODEL = "offline"

    assert load(principal)
    assert not Chunk.objects.filter(embedding=None).exists()


def test_a_failing_embedding_model_stores_nothing_and_keeps_what_was_there(
    principal: Principal, provider: OfflineModel
) -> None:
    load(principal)
    provider.fail("status", status=500)

    with pytest.raises(Unavailable, match="not stored"):
        load(principal, "Within 60 days.")

    assert Chunk.objects.filter(text="Within 30 days.").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("text", ""), ("text", "# Only\n\n## headings\n"), ("text", "nul\0"), ("text", "x" * 1_000_001), ("title", "  "),
     ("title", "x" * 301), ("source", ""), ("source", "x" * 501)],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused_with_the_field(
    principal: Principal, no_embeddings: None, field: str, value: str
) -> None:
    given = {"source": "refunds.md", "title": "Refunds", "text": TEXT, field: value}

    with pytest.raises(InvalidInput) as refused:
        documents.load(principal, source=given["source"], title=given["title"], text=given["text"])

    assert [error["field"] for error in refused.value.errors] == [field]
    assert not Document.objects.exists()


def test_a_document_belongs_to_the_tenant_of_its_principal(
    principal: Principal, other_principal: Principal, other_tenant: Tenant, no_embeddings: None
) -> None:
    load(principal)
    load(other_principal, "Other text.")

    assert [document.source for document in documents.listing(principal)] == ["refunds.md"]
    assert Chunk.objects.filter(tenant=other_tenant).count() == 1
    with pytest.raises(NotFound):
        documents.load(principal, source="a", title="a", text="a", tenant_id=other_tenant.pk)
    with pytest.raises(PermissionDenied):
        load(Principal(scopes=frozenset({"documents:read"}), tenant_ids=principal.tenant_ids))


def run(folder: Path, *options: str, tenant: str = "sample") -> str:
    out = StringIO()
    call_command("load_documents", str(folder), *options, tenant=tenant, stdout=out)
    return out.getvalue().strip()


def test_the_command_says_what_it_did(tenant: Tenant, provider: OfflineModel, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "deep" / "refunds.md").write_text(TEXT)
    (tmp_path / "hours.txt").write_text("We are open from nine to five.")
    (tmp_path / ".hidden" / "secret.md").write_text("Secret.")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")

    assert run(tmp_path) == "sample: 2 new, 0 replaced, 0 unchanged. Search by words and by meaning (offline)."
    (tmp_path / "hours.txt").write_text("We are closed.")
    assert run(tmp_path).startswith("sample: 0 new, 1 replaced, 1 unchanged.")
    assert set(Document.objects.values_list("source", "title")) == {
        ("deep/refunds.md", "Refunds"),
        ("hours.txt", "hours"),
    }


def test_the_command_says_when_search_is_by_words_alone(tenant: Tenant, no_embeddings: None) -> None:
    assert "12 new" in run(KNOWLEDGE) and "by words alone" in run(KNOWLEDGE)


def test_the_command_explains_what_is_wrong(tenant: Tenant, no_embeddings: None, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="not a folder"):
        run(tmp_path / "nowhere")
    with pytest.raises(CommandError, match=r"no \*\.md, \*\.txt"):
        run(tmp_path)
    with pytest.raises(CommandError, match="create_tenant nobody"):
        run(KNOWLEDGE, tenant="nobody")
    (tmp_path / "latin.txt").write_bytes(b"gr\xfc\xdfe")
    (tmp_path / "good.txt").write_text("Good.")
    with pytest.raises(CommandError, match=r"latin\.txt: it is not UTF-8"):
        run(tmp_path)
    assert Document.objects.get().source == "good.txt"


def test_the_command_reads_files_of_all_kinds_into_a_collection(
    tenant: Tenant, no_embeddings: None, tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf("Paid by card.", title="Payment"))
    (tmp_path / "b.docx").write_bytes(word())
    (tmp_path / "c.html").write_text("<html><h1>Hours</h1><p>Nine to five.</p></html>")
    (tmp_path / "d.pdf").write_bytes(b"%PDF-1.7")

    with pytest.raises(CommandError, match=r"d\.pdf: It is damaged"):
        run(tmp_path, "--collection", "help")
    found = Document.objects.order_by("source").values_list("source", "title", "collection")
    assert list(found) == [("a.pdf", "Payment", "help"), ("b.docx", "Refunds", "help"), ("c.html", "Hours", "help")]
    (tmp_path / "d.pdf").unlink()
    (tmp_path / "a.pdf").unlink()
    assert run(tmp_path, "--collection", "help", "--prune").endswith("Removed: 1 document.\n  a.pdf")
    assert set(Document.objects.values_list("collection", flat=True)) == {"help"}


def test_pruning_removes_what_is_no_longer_in_the_folder_and_says_so(
    tenant: Tenant, principal: Principal, other_principal: Principal, no_embeddings: None, tmp_path: Path
) -> None:
    for name in ("kept.md", "gone.md", "deep.txt"):
        (tmp_path / name).write_text(TEXT)
    run(tmp_path)
    # Not of this folder: another tenant's, a web page's, and one that is no *.md or *.txt.
    load(other_principal, source="gone.md")
    for source in ("https://shop.test/refunds.md", "crm:42"):
        load(principal, source=source)
    before = Document.objects.count()
    for name in ("gone.md", "deep.txt"):
        (tmp_path / name).unlink()
    (tmp_path / "new.md").write_text(TEXT)

    said = run(tmp_path, "--prune", "--dry-run")
    assert said.startswith("Nothing is changed.") and "1 new, 0 replaced, 1 unchanged" in said
    assert said.endswith("To be removed: 2 documents.\n  deep.txt\n  gone.md")
    assert Document.objects.count() == before

    assert run(tmp_path, "--prune").endswith("Removed: 2 documents.\n  deep.txt\n  gone.md")
    left = Document.objects.filter(tenant=tenant).values_list("source", flat=True)
    assert set(left) == {"kept.md", "new.md", "https://shop.test/refunds.md", "crm:42"}
    assert Document.objects.filter(source="gone.md").exists()
    assert run(tmp_path, "--prune").endswith("Removed: 0 documents.")


def test_pruning_leaves_what_a_legal_hold_keeps_and_goes_on(
    tenant: Tenant, no_embeddings: None, tmp_path: Path
) -> None:
    for name in ("a.md", "b.md", "c.md", "kept.md"):
        (tmp_path / name).write_text(f"{TEXT} ann@x.test" if name == "b.md" else TEXT)
    run(tmp_path)
    for name in ("a.md", "b.md", "c.md"):
        (tmp_path / name).unlink()
    holds.place(tenant.pk, cover=holds.Cover(customer="ann@x.test"), reason="case 7", actor="user:ada")

    for only in (["--dry-run"], []):
        assert Document.objects.count() == 4
        out = StringIO()
        with pytest.raises(
            CommandError, match=r"legal hold.*\nb\.md: user:ada holds the customer ann@x\.test \(case 7\)\.$"
        ):
            call_command("load_documents", str(tmp_path), "--prune", *only, tenant=tenant.slug, stdout=out)
        assert out.getvalue().strip().lower().endswith("removed: 2 documents.\n  a.md\n  c.md")
    assert set(Document.objects.values_list("source", flat=True)) == {"b.md", "kept.md"}


def test_two_folders_are_kept_apart_by_their_prefix(tenant: Tenant, no_embeddings: None, tmp_path: Path) -> None:
    for name in ("shop", "staff"):
        (tmp_path / name).mkdir()
        for file in ("a.md", "b.md"):
            (tmp_path / name / file).write_text(TEXT)
        run(tmp_path / name, "--prefix", f"{name}/")
    (tmp_path / "shop" / "a.md").unlink()

    run(tmp_path / "shop", "--prefix", "shop/", "--prune")

    assert set(Document.objects.values_list("source", flat=True)) == {"shop/b.md", "staff/a.md", "staff/b.md"}


def test_a_file_that_cannot_be_read_and_a_folder_without_files_remove_nothing(
    tenant: Tenant, no_embeddings: None, tmp_path: Path
) -> None:
    (tmp_path / "a.md").write_text(TEXT)
    run(tmp_path)
    (tmp_path / "a.md").write_bytes(b"gr\xfc\xdfe")
    with pytest.raises(CommandError, match="not UTF-8"):
        run(tmp_path, "--prune")
    (tmp_path / "a.md").unlink()
    with pytest.raises(CommandError, match="There is no"):
        run(tmp_path, "--prune")
    assert Document.objects.get().source == "a.md"
