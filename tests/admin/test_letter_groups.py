"""Groups of dead letters: what comes first, how many by the hour, whom they hit, and the next one after a decision."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.clock import Clock
from agentapp.errors import IllegalMove
from agentapp.ids import uuid7
from agentapp.models import BulkReplay, Job, Tenant
from agentapp.services import bulk_replays, dead_letters, letter_groups
from agentapp.services.principals import Principal

pytestmark = pytest.mark.django_db
LIST = "/admin/agentapp/deadletter/"


def copies(dead: Job, count: int, **changes: Any) -> list[Job]:
    """More dead letters like this one, each a second older than the one before."""
    fields = {field.attname: getattr(dead, field.attname) for field in Job._meta.concrete_fields} | changes
    made = [
        Job(**{**fields, "id": uuid7(), "finished_at": fields["finished_at"] - timedelta(seconds=number)})
        for number in range(1, count + 1)
    ]
    return Job.objects.bulk_create(made)


def failed(name: str, kind: str = "permanent") -> dict[str, str]:
    return {"class": name, "kind": kind, "message": f"{name} it is"}


def test_what_needs_a_person_most_comes_first(principal: Principal, dead: Job) -> None:
    copies(dead, 9, error=failed("RateLimited", "transient"))
    copies(dead, 2, error=failed("PermissionDenied", "permission"))
    copies(dead, 1, error=failed("EffectUnknown"))
    copies(dead, 1, error={"message": "of an older release"})

    found = dead_letters.groups(principal)

    assert [(group.error_class, group.count) for group in found] == [
        ("EffectUnknown", 1), ("PermissionDenied", 2), ("", 1), ("PermanentError", 1), ("RateLimited", 9),
    ]  # fmt: skip
    assert [group.is_in_doubt for group in found] == [True, False, False, False, False]


def test_a_group_is_counted_by_the_hour_and_names_its_tenants(
    principal: Principal, dead: Job, other_tenant: Tenant, clock: Clock
) -> None:
    clock.set(clock.now().replace(minute=30))
    now = clock.now()
    Job.objects.filter(pk=dead.pk).update(finished_at=now)
    for hours_ago, count in ((1, 2), (23, 3), (24, 4), (900, 1)):
        copies(dead, count, finished_at=now - timedelta(hours=hours_ago))
    copies(dead, 1, finished_at=now + timedelta(hours=2))  # by the clock of another machine
    copies(dead, 5, tenant_id=other_tenant.pk)

    (group,) = letter_groups.of(Job.objects.filter(state="dead_lettered"))
    (own,) = dead_letters.groups(principal)

    assert (group.count, own.count) == (17, 12)
    assert (own.hours[0], own.hours[-2], own.hours[-1], sum(own.hours)) == (3, 2, 2, 7)
    assert (own.tenants, group.tenants) == ((dead.tenant.slug,), tuple(sorted((dead.tenant.slug, other_tenant.slug))))
    assert own.since == now.replace(minute=0) - timedelta(hours=23)


def test_the_list_shows_each_group_with_its_numbers_and_leads_to_it(member: Client, dead: Job) -> None:
    copies(dead, 3)
    copies(dead, 1, error=failed("EffectUnknown"))

    text = re.sub(r"\s+", " ", member.get(LIST).content.decode())

    assert text.index("EffectUnknown</b>") < text.index("PermanentError</b>")
    assert "4 in 24 h" in text and text.count("Replay all<") == 1 and "Decide each" in text
    fingerprint = letter_groups.fingerprint_of(dead)
    alike = member.get(LIST, {"fingerprint": fingerprint}).content
    assert alike.count(b'class="action-select"') == 4
    assert member.get(LIST, {"fingerprint": "0' OR '1"}).content.count(b'class="action-select"') == 0


def test_after_a_decision_the_next_of_the_group_opens_and_then_the_task(member: Client, dead: Job) -> None:
    older, oldest = copies(dead, 2)
    copies(dead, 1, error=failed("EffectUnknown"))

    def address(job: Job) -> str:
        return reverse("admin:agentapp_deadletter_change", args=(job.pk,))

    page = re.sub(r"\s+", " ", member.get(address(older)).content.decode())
    assert "<dd>2 of " in page and f'href="{address(dead)}"' in page
    for job, after in ((older, address(dead)), (dead, address(oldest)), (oldest, None)):
        answer = member.post(address(job), {"action": "replay"})
        task = reverse("admin:agentapp_workflow_change", args=(job.workflow_id,))
        assert answer["Location"] == (after or task)


def test_the_page_says_what_usually_causes_the_error(member: Client, dead: Job) -> None:
    Job.objects.filter(pk=dead.pk).update(error=failed("QuotaExhausted"))

    page = member.get(reverse("admin:agentapp_deadletter_change", args=(dead.pk,))).content.decode()

    assert "no money or quota left" in page and "What helps:" in page


def test_what_is_in_doubt_is_in_no_bulk_replay(principal: Principal, dead: Job) -> None:
    (doubtful,) = copies(dead, 1, error=failed("EffectUnknown"))

    row = bulk_replays.start(principal, type=dead.type)

    assert (row.waiting, row.selection["in_doubt"], row.selection["total"]) == ([str(dead.pk)], 1, 1)
    with pytest.raises(IllegalMove, match="Of 1 dead letter nobody knows"):
        bulk_replays.start(principal, fingerprint=letter_groups.fingerprint_of(doubtful))
    assert BulkReplay.objects.count() == 1


def test_two_thousand_letters_are_grouped_and_shown_by_few_statements(
    member: Client, dead: Job, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        copies(dead, 100, error=failed(f"Failure{chr(97 + number)}"))

    with django_assert_max_num_queries(20):
        text = member.get(LIST).content.decode()

    assert text.count(">100</td>") == 20 and "1 smaller group more" in text
