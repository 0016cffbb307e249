"""All that is kept of a tenant, as files: JSON lines for each table, and the artifacts. For operators."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.contrib.postgres.search import SearchVectorField
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import BinaryField, Field, GeneratedField, Model
from pgvector.django import VectorField

from agentapp.errors import InvalidInput
from agentapp.lifecycle import database, erase
from agentapp.models import Artifact, Tenant, Workflow
from agentapp.models.artifact import artifact_storage

MANIFEST = "manifest.json"
FILES = "files"
AT_ONCE = 500
PIECE_BYTES = 64 * 1024
# What proves something, or gives a secret; and what is made of texts that are exported.
SECRET_NAMES = frozenset({"secret_sha256", "salt", "lease_token", "sender", "unfinished"})
DERIVED = (BinaryField, GeneratedField, SearchVectorField, VectorField)

Json = dict[str, Any]


def tables() -> dict[type[Model], str]:
    """The tables of which rows are exported, with the path to their tenant: those that an erase empties."""
    return {Workflow: "tenant", Artifact: "tenant", **erase.WITH_TASK, **erase.ROWS}


def fields(model: type[Model]) -> list[Field[Any, Any]]:
    """The fields that are exported."""
    kept = (field for field in model._meta.concrete_fields if not isinstance(field, DERIVED))
    return [field for field in kept if field.name not in SECRET_NAMES and field.column]


def tenant(tenant: Tenant, folder: Path) -> Json:
    """Write everything of a tenant into a new folder, and return its manifest, which is written last: a folder without
    one is not whole.

    Raises:
        InvalidInput: the folder has something in it.
        OSError: a file cannot be written, or the store of artifacts does not answer.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InvalidInput.at("to", f"{folder} is not empty. Name a new folder.")
    manifest: Json = {"tenant": tenant.slug, "name": tenant.name, "made_at": database.now().isoformat(), "tables": {}}
    for model, path in tables().items():
        rows = model._default_manager.filter(**{path: tenant}).order_by("pk")
        names = [field.attname for field in fields(model)]
        manifest["tables"][erase.name(model)] = _table(
            folder / f"{erase.name(model)}.jsonl", rows.values(*names).iterator(chunk_size=AT_ONCE)
        )
    manifest |= _files(tenant, folder / FILES)
    with _new(folder / MANIFEST) as file:
        file.write(json.dumps(manifest, indent=2).encode())
    return manifest


def _table(path: Path, rows: Iterator[Json]) -> Json:
    digest, count = hashlib.sha256(), 0
    with _new(path) as file:
        for row in rows:
            line = json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            digest.update(line)
            count += 1
    return {"rows": count, "sha256": digest.hexdigest()}


def _files(tenant: Tenant, folder: Path) -> Json:
    """Copy artifacts piece by piece, each under its id; the row of an artifact has its name and SHA-256."""
    folder.mkdir(mode=0o700)
    count, size, missing = 0, 0, []
    for artifact in Artifact.objects.filter(tenant=tenant).only("file").order_by("pk").iterator(chunk_size=AT_ONCE):
        try:
            with artifact_storage().open(str(artifact.file.name)) as source, _new(folder / str(artifact.pk)) as target:
                while piece := source.read(PIECE_BYTES):
                    size += target.write(piece)
        except FileNotFoundError:
            missing.append(str(artifact.pk))
            continue
        count += 1
    return {"files": count, "bytes": size, "missing_files": missing}


def _new(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
