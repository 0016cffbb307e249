"""The list of approvals: its order, its filters, and the way from one to the next."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agentapp import ids
from agentapp.models import Approval
from agentapp.services import approvals, assignments, principals
from agentapp.services.principals import Principal
from tests.admin.test_decisions import _address

pytestmark = pytest.mark.django_db
LIST = "admin:agentapp_approval_changelist"


def more(like: Approval, n: int, **fields: Any) -> list[Approval]:
    """Copies of an approval that wait too. Their stages are not there, which only a decision would look for."""
    original, there, copies = Approval.objects.get(pk=like.pk), Approval.objects.count(), []
    for number in range(n):
        row = copy(original)
        row.pk, row.stage_id = ids.uuid7(), -like.stage_id * 100_000 - number - 1_000 * there
        row.created_at += timedelta(seconds=there + number)
        for name, value in fields.items():
            setattr(row, name, value)
        copies.append(row)
    return Approval.objects.bulk_create(copies)


def shown(client: Client, **query: str) -> list[Any]:
    return [row.pk for row in client.get(reverse(LIST), query).context["cl"].result_list]


def test_the_list_is_ordered_by_risk_priority_and_age(member: Client, waiting: Approval) -> None:
    (low,) = more(waiting, 1, risk="low", priority=3)
    (urgent,) = more(waiting, 1, risk="low", priority=0)
    (risky,) = more(waiting, 1, risk="high", priority=3)
    (medium,) = more(waiting, 1, risk="medium")
    Approval.objects.filter(pk=waiting.pk).update(risk="low")

    expected = [risky.pk, medium.pk, urgent.pk, waiting.pk, low.pk]
    assert shown(member) == shown(member, state__exact="pending") == expected
    page = member.get(_address(waiting)).context
    assert page["waiting"] == 4
    assert str(urgent.pk) in page["earlier"] and str(low.pk) in page["later"]


def test_filters_are_kept_from_one_to_the_next_and_behind_a_decision(member: Client, waiting: Approval) -> None:
    more(waiting, 1, risk="high")
    (other,) = more(waiting, 1, risk=waiting.risk)
    filters = {"_changelist_filters": f"risk__exact={waiting.risk}"}

    page = member.get(_address(waiting), filters).context
    assert (page["waiting"], page["earlier"]) == (1, "")
    assert str(other.pk) in page["later"] and "_changelist_filters=risk__exact" in page["later"]

    form = {"decision": "approve", "content_sha256": waiting.content_sha256}
    answer = member.post(f"{_address(waiting)}?_changelist_filters=risk__exact%3D{waiting.risk}", form)
    assert answer["Location"] == page["later"]
    # Filters that nobody has made are no error.
    assert member.get(_address(waiting), {"_changelist_filters": "no=such&o=x&risk__exact=%00"}).status_code in (
        200,
        400,
    )


def test_lists_by_claim_and_snooze(member: Client, principal: Principal, waiting: Approval) -> None:
    (mine,) = more(waiting, 1)
    me = principals.of_user(User.objects.get(username="member"))
    assignments.claim(me, mine.pk)
    (snoozed,) = more(waiting, 1)
    assignments.snooze(me, snoozed.pk, until=snoozed.created_at + timedelta(hours=4))

    assert set(shown(member)) == {waiting.pk, mine.pk} and shown(member, snoozed="only") == [snoozed.pk]
    assert shown(member, claim="me") == [mine.pk] and shown(member, claim="nobody") == [waiting.pk]
    assert member.get(reverse(LIST)).context["waiting"] == 2
    assert shown(member, kind="sample_reply", time="overdue") == []
    assert assignments.not_snoozed(approvals.listing(principal)).count() == 2


def test_a_thousand_that_wait_take_as_many_statements_as_ten(member: Client, waiting: Approval) -> None:
    def statements(path: str) -> int:
        with CaptureQueriesContext(
            connection,
        ) as counted:
            assert member.get(path).status_code == 200
        return len(counted)

    more(waiting, 9)
    paths = [reverse(LIST), f"{reverse(LIST)}?state__exact=pending", _address(waiting)]
    few = [statements(path) for path in paths]
    more(waiting, 990)

    assert [statements(path) for path in paths] == few and max(few) < 40
