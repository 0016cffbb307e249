"""Search over everything: one text, and what of each kind it finds. Every look is bounded. [G5]"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Model, Q, QuerySet

from agentapp.models import (
    Approval,
    Artifact,
    BulkCancellation,
    BulkReplay,
    Document,
    Effect,
    Job,
    Memory,
    ModelCall,
    Schedule,
    WebhookDelivery,
    WebhookEndpoint,
    Workflow,
)
from agentapp.policies import fingerprint, search
from agentapp.policies.permissions import PAYLOADS
from agentapp.services import task_filters
from agentapp.services.principals import Principal

# So many of each kind are shown, and so many of the newest are read where no index knows what is looked for.
MOST = 10
READ = 5_000
_FINGERPRINT = re.compile(rf"[0-9a-f]{{{fingerprint.DIGITS}}}", re.IGNORECASE)
# What is found by its id, with the scope that its page needs.
_BY_ID: tuple[tuple[type[Model], str], ...] = (
    (Workflow, "tasks:read"), (Job, "tasks:read"), (Approval, "approvals:read"), (Effect, "tasks:read"),
    (ModelCall, "tasks:read"), (Artifact, "tasks:read"), (Document, "documents:read"), (Memory, "memories:read"),
    (Schedule, "schedules:read"), (WebhookEndpoint, "webhooks:read"), (WebhookDelivery, "webhooks:read"),
    (BulkReplay, "tasks:read"), (BulkCancellation, "tasks:read"),
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """Rows of one kind, the newest first; `more`: there are others that are not shown."""

    model: type[Model]
    rows: list[Any]
    more: bool = False
    # Of dead letters that failed alike.
    fingerprint: str = ""


def everything(principal: Principal, text: str) -> list[Found]:
    """What a person may see and the text finds: by an id or its beginning, by a fingerprint, by words of tasks and
    their labels, and by the address of a customer. What is kind by kind empty is left out.

    Words and addresses stand in payloads: of tenants whose payloads the person may not see they find nothing.
    """
    text = text.strip()[: search.LONGEST]
    found: list[Found] = []
    if (ids := search.id_range(text)) is not None:
        first, last = (UUID(digits) for digits in ids)
        found += (
            _found(model, _visible(principal, model, scope).filter(pk__range=(first, last)).order_by("-pk"))
            for model, scope in _BY_ID
        )
    if _FINGERPRINT.fullmatch(text):
        letters = _letters(principal).filter(error__fingerprint=text.lower())
        found.append(_found(Job, letters, fingerprint=text.lower()))
    if text and not any(each.rows for each in found):
        found += _by_words(principal, text)
    return [each for each in found if each.rows]


def _by_words(principal: Principal, text: str) -> Iterator[Found]:
    readable = _readable(principal)
    tasks = _visible(principal, Workflow, "tasks:read")
    said = task_filters.saying(principal, readable(tasks), text).order_by("-id")
    of_tasks = _found(Workflow, said)
    yield of_tasks
    ids = [task.pk for task in of_tasks.rows]
    letters = readable(_letters(principal))
    typed = _first(letters.filter(pk__in=letters[:READ].values("pk"), type=text))
    # By ids alone, here and below: with a condition that no index knows, all that there ever were would be read.
    yield _found(Job, letters.filter(Q(workflow_id__in=ids) | Q(pk__in=typed)))
    approvals = readable(_visible(principal, Approval, "approvals:read"))
    named: list[UUID] = []
    if "@" in text:
        # Of what waits, the recipient may be another than the customer of the task.
        waiting = approvals.filter(state="pending").order_by("-pk")[:READ].values("pk")
        named = _first(approvals.filter(pk__in=waiting, content__to__iexact=text).order_by("-pk"))
    yield _found(Approval, approvals.filter(Q(workflow_id__in=ids) | Q(pk__in=named)).order_by("-pk"))
    if "@" in text:
        facts = readable(_visible(principal, Memory, "memories:read"))
        yield _found(Memory, facts.filter(about=text.lower(), valid_until=None).order_by("-pk"))
    yield _documents(principal, text)


def _first(rows: QuerySet[Any]) -> list[UUID]:
    return list(rows.values_list("pk", flat=True)[: MOST + 1])


def _documents(principal: Principal, text: str) -> Found:
    """By source or title: of the newest, because no index knows parts of titles."""
    newest = _visible(principal, Document, "documents:read").order_by("-pk")[:READ].values("pk")
    named = Q(title__icontains=text) | Q(source__icontains=text)
    return _found(Document, Document.objects.filter(named, pk__in=newest).order_by("-pk"))


def _letters(principal: Principal) -> QuerySet[Job]:
    return _visible(principal, Job, "tasks:read").filter(state="dead_lettered").order_by("-finished_at")


def _found(model: type[Model], rows: QuerySet[Any], *, fingerprint: str = "") -> Found:
    rows = rows.select_related("tenant", "workflow") if model is Job else rows.select_related("tenant")
    shown = list(rows[: MOST + 1])
    return Found(model, shown[:MOST], len(shown) > MOST, fingerprint)


def _visible(principal: Principal, model: type[Model], scope: str) -> QuerySet[Any]:
    return principal.visible(model._default_manager.all(), scope=scope)


def _readable(principal: Principal) -> Callable[[QuerySet[Any]], QuerySet[Any]]:
    """What leaves the rows of tenants whose payloads the person sees."""
    return lambda rows: principal.visible(rows, scope=PAYLOADS)
