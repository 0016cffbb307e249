"""A row in every table of a tenant, made from the models alone, so that a new table is filled too."""

from __future__ import annotations

import datetime as dt
from itertools import count
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib.auth.models import User
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from pgvector.django import VectorField

from agentapp.models import Tenant, Workflow

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
_numbers = count(1)


def of_tenants() -> list[type[models.Model]]:
    """All tables that lead to a tenant, directly or by others, those first that others lead to."""
    tables = [model for model in apps.get_models() if not model._meta.proxy]
    ours = [model for model in tables if model.__module__.startswith("agentapp.") and model is not Tenant]
    found: list[type[models.Model]] = []
    while fresh := [model for model in ours if model not in found and _leads_to(model, [Tenant, *found])]:
        found += fresh
    return found


def _leads_to(model: type[models.Model], known: list[type[models.Model]]) -> bool:
    return any(field.related_model in known for field in model._meta.concrete_fields if field.is_relation)


def fill(tenant: Tenant, user: User) -> dict[type[models.Model], models.Model]:
    """One row of each, all of the same tenant; those that lead to a task lead to the same one."""
    rows: dict[Any, models.Model] = {Tenant: tenant, User: user}
    left = of_tenants()
    while left:
        ready = [model for model in left if _needs(model) <= rows.keys() | {model}]
        assert ready, f"these wait for each other: {left}"
        for model in ready:
            rows[model] = _row(model, rows)
            left.remove(model)
    del rows[Tenant], rows[User]
    return rows


def _needs(model: type[models.Model]) -> set[Any]:
    related = {field.related_model for field in model._meta.concrete_fields if field.is_relation}
    if any(field.name == "workflow_id" for field in model._meta.concrete_fields):
        related.add(Workflow)
    return related & {Tenant, *of_tenants()}


def _row(model: type[models.Model], rows: dict[Any, models.Model]) -> models.Model:
    row = model()
    for field in model._meta.concrete_fields:
        if field.is_relation:
            other = rows.get(field.related_model)
            if other is not None:
                setattr(row, field.attname, other.pk)
        elif field.name == "workflow_id":
            row.workflow_id = rows[Workflow].pk  # type: ignore[attr-defined]
        elif isinstance(field, VectorField):
            setattr(row, field.attname, [1.0, 0.0, 0.0])
        elif not (field.null or field.has_default() or field.has_db_default()):
            _set(row, field)
    row.save(force_insert=True)
    return row


def _set(row: models.Model, field: Any) -> None:
    number = next(_numbers)
    if isinstance(field, models.GeneratedField | models.CompositePrimaryKey | models.AutoField):
        return
    values: tuple[tuple[Any, Any], ...] = (
        (models.DateTimeField, NOW), (models.DateField, NOW.date()), (models.UUIDField, uuid4()),
        (models.BooleanField, True), (models.JSONField, {}), (models.BinaryField, b"salt"),
        (models.IntegerField, number % 30_000), (models.DecimalField, 1), (models.FloatField, 1.0),
        (SearchVectorField, "word"), (models.FileField, f"none/{number}"), (models.Field, f"v{number}"),
    )  # fmt: skip
    value = next(value for kind, value in values if isinstance(field, kind))
    setattr(row, field.attname, field.choices[0][0] if field.choices else value)
