"""An export has all of a tenant, nothing of another, and no secret."""

from __future__ import annotations

import hashlib
import json
import re
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from agentapp.lifecycle import erase
from agentapp.models import ApiKey, Artifact, Tenant, Workflow
from agentapp.services import exporting
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import full_task, write_artifact
from tests.retention.filling import fill

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_has_every_row_and_file_of_the_tenant_alone(
    principal: Principal, other_tenant: Tenant, admin_user: User, tmp_path: Path
) -> None:
    tenant = Tenant.objects.get(slug="sample")
    mine, others = fill(tenant, admin_user), fill(other_tenant, admin_user)
    task = full_task(principal)
    artifact = Artifact.objects.get(workflow=task)
    write_artifact(Workflow.objects.get(tenant=other_tenant), "of another")
    out, folder = StringIO(), tmp_path / "export"

    call_command("export_tenant", "sample", "--to", str(folder), stdout=out)

    manifest = json.loads((folder / "manifest.json").read_text())
    for model in exporting.tables():
        name = erase.name(model)
        text = (folder / f"{name}.jsonl").read_bytes()
        about = manifest["tables"][name]
        assert about == {"rows": text.count(b"\n"), "sha256": hashlib.sha256(text).hexdigest()} and about["rows"]
        assert about["rows"] == model._default_manager.filter(**{exporting.tables()[model]: tenant}).count()
    rows = [json.loads(line) for line in (folder / "Workflow.jsonl").read_text().splitlines()]
    assert {row["id"] for row in rows} == {str(task.pk), str(mine[Workflow].pk)}
    assert (folder / "files" / str(artifact.pk)).read_text() == "a draft"
    assert manifest["files"] == 1 and manifest["missing_files"] == [str(mine[Artifact].pk)]
    everything = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file()).decode()
    foreign = {str(row.pk) for row in others.values() if len(str(row.pk)) == 36}
    assert foreign and not any(key in everything for key in foreign)
    hashes = [key.secret_sha256 for key in ApiKey.objects.all() if len(key.secret_sha256) == 64]
    assert hashes and not any(secret in everything for secret in hashes)
    assert "1 artifacts have no file" in out.getvalue()
    with pytest.raises(CommandError, match="not empty"):
        call_command("export_tenant", "sample", "--to", str(folder))


def test_no_field_that_sounds_like_a_secret_is_exported() -> None:
    """A new one is a secret until it is named here."""
    harmless = {
        "content_sha256",
        "approved_sha256",
        "asked_sha256",
        "request_sha256",
        "text_sha256",
        "upload_sha256",
        "sha256",
        "tokens",
    }
    sounds = re.compile(r"secret|salt|token|password|sha256|hash")
    found = {
        field.name for model in exporting.tables() for field in exporting.fields(model) if sounds.search(field.name)
    }

    assert {name for name in found - harmless if "tokens" not in name} == set()
