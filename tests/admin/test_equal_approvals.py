"""Equal mails of low risk are approved together: each is read, each by its hash, each a decision of its own. [G3]"""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.models import Approval, Effect, History
from agentapp.policies.content import canonical_sha256
from agentapp.services import approvals, equal_approvals, principals
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import MakeStaff, Start
from tests.admin.test_approval_list import more
from tests.approvals import asking

pytestmark = pytest.mark.django_db
PAGE = "admin:agentapp_approval_equal"


@pytest.fixture
def three(start: Start) -> list[Approval]:
    return [Approval.objects.get(workflow=start(subject=name)) for name in ("One", "Two", "Three")]


def opened(client: Client, rows: list[Approval]) -> Any:
    """What opens for those that were ticked in the list."""
    form = {"action": "approve_equal", "_selected_action": [str(each.pk) for each in rows]}
    return client.post(reverse("admin:agentapp_approval_changelist"), form, follow=True)


def confirmed(client: Client, rows: list[Approval]) -> Any:
    shown = [f"{each.pk}:{each.content_sha256}" for each in rows]
    return client.post(reverse(PAGE), {"decision": "approve_equal", "approval": shown})


def states(rows: list[Approval]) -> list[str]:
    return [Approval.objects.get(pk=each.pk).state for each in rows]


def test_each_is_shown_whole_and_one_confirmation_approves_each_by_itself(
    member: Client, three: list[Approval], settings: Settings
) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 3_600.0
    page = opened(member, three).content.decode()
    for each in three:
        assert each.content["subject"] in page and page.count(each.content_sha256) == 2
    assert page.count("Your invoices are kept under Billing") == 3 and "Left out" not in page

    done = confirmed(member, three).content.decode()

    assert states(three) == ["approved"] * 3 and "3 mails approved" in done and "Undo all" in done
    decided = History.objects.filter(approval_id__in=[each.pk for each in three], to_state="approved")
    assert decided.values("workflow").distinct().count() == 3 and {row.actor for row in decided} == {"user:member"}
    assert all(Approval.objects.get(pk=each.pk).held_until for each in three)
    # A double click is one.
    assert "3 mails approved" in confirmed(member, three).content.decode()
    assert decided.count() == 3

    form = {"decision": "withdraw_equal", "approval": [str(each.pk) for each in three]}
    assert "3 withdrawn: nothing of them was sent" in member.post(reverse(PAGE), form, follow=True).content.decode()
    assert states(three) == ["reopened"] * 3 and not Effect.objects.exists()


def test_what_changed_since_it_was_shown_is_left_out_and_said(
    member: Client, three: list[Approval], principal: Principal
) -> None:
    one, two, _ = three
    approvals.decide(principal, one.pk, decision="reject", content_sha256=one.content_sha256, reason="no")
    content = two.content | {"body": "Other words."}
    sha256 = canonical_sha256(content)
    Approval.objects.filter(pk=two.pk).update(content=content, draft=content, content_sha256=sha256)

    page = confirmed(member, three).content.decode()

    assert states(three) == ["rejected", "pending", "approved"]
    assert "1 mail approved" in page and "Left out: 2 approvals" in page
    assert "already rejected" in page and equal_approvals.CHANGED in page
    assert confirmed(member, [one]).status_code == 409


def test_what_is_not_equal_or_not_of_low_risk_is_refused_on_the_page_and_behind_it(
    member: Client, waiting: Approval
) -> None:
    refused: list[tuple[dict[str, Any], str]] = [
        ({"risk": "medium"}, "this is of medium risk"),
        ({"risk": "high"}, "this is of high risk"),
        ({"content": {"calls": []}, "draft": {"calls": []}}, equal_approvals.NO_MAIL),
        ({"content": {"budget": "1.00"}, "draft": {"budget": "1.00"}}, equal_approvals.NO_MAIL),
        ({"policy": {"name": "two", "quorum": 2}}, equal_approvals.VOTES),
        ({"policy": {"name": "another"}}, equal_approvals.OTHER),
        ({"policy": {"name": "few", "approvers": ["nobody"]}}, "only people of these groups decide here: nobody"),
        ({"revision": 1}, equal_approvals.EDITED),
        ({"draft": {"to": "a@sample.test", "subject": "a", "body": "b"}}, equal_approvals.EDITED),
        ({"evaluation": {"verdict": "revise"}}, equal_approvals.BELOW),
    ]
    others = [more(waiting, 1, **fields)[0] for fields, _ in refused]

    for page in (opened(member, [waiting, *others]), confirmed(member, [waiting, *others])):
        told = {each["record"].pk: each["reason"] for each in page.context["left_out"]}
        assert all(sentence in told[each.pk] for each, (_, sentence) in zip(others, refused, strict=True)), told
        assert "Mail 1 of 1" in page.content.decode() or "1 mail approved" in page.content.decode()
    assert states([waiting, *others]) == ["approved"] + ["pending"] * len(others)


def test_nobody_approves_their_own_under_four_eyes(member: Client, waiting: Approval, make_staff: MakeStaff) -> None:
    me = principals.of_user(waiting.workflow.tenant.memberships.get(user__username="member").user)
    Approval.objects.filter(pk=waiting.pk).update(policy={"name": "four", "four_eyes": True})
    waiting.workflow.user = me.user
    waiting.workflow.save(update_fields=["user"])

    assert "does not approve it" in opened(member, [waiting]).content.decode()
    assert confirmed(member, [waiting]).status_code == 409 and states([waiting]) == ["pending"]


def test_the_number_is_bounded_and_other_tenants_and_readers_get_nothing(
    member: Client, reader: Client, stranger: Client, waiting: Approval, make_staff: MakeStaff
) -> None:
    many = more(waiting, equal_approvals.MOST)
    too_many = opened(member, [waiting, *many])
    assert too_many.status_code == 422 and equal_approvals.TOO_MANY in too_many.content.decode()
    assert confirmed(member, [waiting, *many]).status_code == 422
    assert confirmed(reader, [waiting]).status_code == 403
    assert waiting.content["subject"] not in stranger.get(reverse(PAGE), {"ids": str(waiting.pk)}).content.decode()
    assert "0 mails approved" in confirmed(stranger, [waiting]).content.decode()
    # Who may not see payloads approves nothing unseen.
    blind = make_staff("blind", waiting.tenant, "change_approval")
    blind.memberships.update(sees_payloads=False)
    client = Client()
    client.force_login(blind)
    withdrawn = {"decision": "withdraw_equal", "approval": str(waiting.pk)}
    for answer in (
        client.get(reverse(PAGE), {"ids": str(waiting.pk)}),
        confirmed(client, [waiting]),
        client.post(reverse(PAGE), withdrawn, follow=True),
    ):
        page = answer.content.decode()
        assert str(waiting.pk) in page
        assert "Your invoices are kept" not in page and waiting.content["subject"] not in page
    assert member.get(reverse(PAGE), {"ids": "x,,"}).status_code == 200
    assert states([waiting]) == ["pending"]


def test_fifty_take_as_many_statements_to_show_as_two(
    member: Client, waiting: Approval, django_assert_max_num_queries: Any
) -> None:
    rows = [waiting, *more(waiting, 49)]
    with django_assert_max_num_queries(25):
        page = member.get(reverse(PAGE), {"ids": ",".join(str(each.pk) for each in rows)}).content.decode()
    assert "Mail 50 of 50" in page


def test_without_a_hold_they_are_sent_once(member: Client, three: list[Approval]) -> None:
    for _ in range(2):
        confirmed(member, three)
    for each in three:
        harness.drain(asking.task_of(each))
    assert Effect.objects.filter(state="confirmed").count() == 3
