"""Payloads are prompts, responses, inputs and outputs: who has no right to see them reads that they are masked. [G6]"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import QuerySet

from agentapp import ids
from agentapp.policies.permissions import PAYLOADS
from agentapp.services.principals import Principal

MASKED = "[masked: you may not see payloads]"
OBJECT = {"masked": "You may not see payloads."}


def hides(principal: Principal, tenant_id: int | None) -> bool:
    """Whether the payloads of a tenant are masked for a principal; of what belongs to none, for all but superusers."""
    return PAYLOADS not in (principal.scopes if tenant_id is None else principal.scopes_in(tenant_id))


def mask(principal: Principal, rows: Iterable[Any], fields: Mapping[str, Any]) -> None:
    """Put what says so in the place of the fields of rows that the principal may not see; what is empty stays."""
    for row in rows:
        if fields and hides(principal, row.tenant_id):
            for name, masked in fields.items():
                if getattr(row, name) is not None:
                    setattr(row, name, masked)


def searchable(principal: Principal, rows: QuerySet[Any], asked: str) -> QuerySet[Any]:
    """The rows that may be searched by words: a search would tell what masked payloads say. Ids tell nothing."""
    if not asked or ids.parsed(asked.strip()) or principal.tenant_ids is None:
        return rows
    return rows.filter(tenant_id__in=[each for each in principal.tenant_ids if not hides(principal, each)])
