"""The console's pages as people ask for them. [G4]"""

from __future__ import annotations

import html

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from agentapp import registry
from agentapp.management.commands.write_docs import drawing
from agentapp.models import Approval, Job, Tenant, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.admin.conftest import Start

pytestmark = pytest.mark.django_db(transaction=True)

INPUT = {"input.subject": "Invoices", "input.body": "Where?", "input.customer_email": "reader@example.org"}
NEW = "/console/new/support_reply/"


def test_who_is_not_logged_in_is_sent_to_the_form(client: Client) -> None:
    answer = client.get("/console/")

    assert (answer.status_code, answer["Location"]) == (302, "/admin/login/?next=/console/")


def test_a_task_is_started_by_the_form(member: Client) -> None:
    assert b"Customer email" in member.get(NEW).content

    answer = member.post(NEW, INPUT | {"priority": "high"})

    task = Workflow.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/console/tasks/{task.pk}/")
    assert (task.input["subject"], task.get_priority_display(), task.user and task.user.username) == (
        "Invoices", "high", "member",
    )  # fmt: skip


def test_the_plan_of_a_kind_is_drawn_as_in_the_documentation_and_shown_in_words(member: Client) -> None:
    shown = html.unescape(member.get(NEW).content.decode())

    assert 'back to generate_draft while evaluate_answer.verdict is "revise", at most 2 times' in shown
    assert "a person decides, changes go back to generate_draft" in shown
    assert drawing(registry.flows["support_reply", 1]) in member.get(NEW).content.decode()


def test_what_was_entered_stays_when_it_is_refused(member: Client) -> None:
    answer = member.post(NEW, INPUT | {"input.customer_email": "nobody", "input.body": "Where <b>?"})

    page = answer.content.decode()
    assert answer.status_code == 422 and not Workflow.objects.exists()
    assert 'id="new-customer_email-error"' in page and "Where &lt;b&gt;?" in page


def test_who_works_for_several_tenants_chooses_one(operator: Client, tenant: Tenant, other_tenant: Tenant) -> None:
    assert b"Tenant" in operator.get(NEW).content

    operator.post(NEW, INPUT | {"tenant": str(other_tenant.pk)})

    assert Workflow.objects.get().tenant == other_tenant


def test_a_reader_starts_cancels_and_decides_nothing(reader: Client, waiting: Approval) -> None:
    task = waiting.workflow_id
    page = reader.get(f"/console/tasks/{task}/").content.decode()
    assert "Decide on its page" not in page and "Open its page" in page and "Cancel the task" not in page

    assert reader.post(NEW, INPUT).status_code == 403
    assert reader.post(f"/console/tasks/{task}/cancel/").status_code == 403
    decision = {"decision": "approve", "content_sha256": waiting.content_sha256}
    assert reader.post(f"/console/tasks/{task}/approvals/{waiting.pk}/", decision).status_code == 403
    waiting.refresh_from_db()
    assert waiting.state == "pending" and Workflow.objects.count() == 1


def test_another_tenants_task_is_as_unknown_as_none(stranger: Client, waiting: Approval, dead: Job) -> None:
    task = waiting.workflow_id
    for address in (f"/console/tasks/{task}/", f"/console/tasks/{task}/parts/"):
        assert stranger.get(address).status_code == 404
    for address in ("cancel/", "fork/", f"approvals/{waiting.pk}/", f"dead-letters/{dead.pk}/"):
        assert stranger.post(f"/console/tasks/{task}/{address}", {"decision": "edit"}).status_code == 404
    assert str(task) not in stranger.get("/console/").content.decode()


def test_an_approval_is_shown_and_decided_on_its_own_page(member: Client, waiting: Approval) -> None:
    """Whatever its content: what a form of its own would not know, it would drop."""
    address = f"/console/tasks/{waiting.workflow_id}/"
    page = member.get(address).content.decode()
    its_own = f"/admin/agentapp/approval/{waiting.pk}/change/"
    assert "Your invoices are kept under Billing" in page and f'href="{its_own}"' in page and "Decide on its" in page
    assert member.get(its_own).status_code == 200 and 'value="approve"' not in page and 'value="edit"' not in page

    for decision in ("approve", "edit", "reject", ""):
        form = {"decision": decision, "content_sha256": waiting.content_sha256, "body": "Mine.", "reason": "x"}
        answer = member.post(f"{address}approvals/{waiting.pk}/", form)
        assert (answer.status_code, b"An approval is decided on its own page" in answer.content) == (422, True)
    waiting.refresh_from_db()
    assert waiting.state == "pending"


def test_what_is_held_is_said_so_and_taken_back_on_the_page(
    member: Client, waiting: Approval, settings: Settings
) -> None:
    settings.AGENTAPP_SEND_HOLD_S = 3_600.0
    address = f"/console/tasks/{waiting.workflow_id}/"
    form = {"decision": "approve", "content_sha256": waiting.content_sha256}

    member.post(f"/admin/agentapp/approval/{waiting.pk}/change/", form)
    assert "unless you take it back" in member.get(address).content.decode()
    for _ in range(2):
        undone = member.post(
            f"{address}approvals/{waiting.pk}/", {"decision": "withdraw"}, follow=True
        ).content.decode()
        assert "Withdrawn: nothing was sent." in undone and "unless you take it back" not in undone
    assert Approval.objects.get(state="pending").content == waiting.content


def test_who_may_not_decide_is_told_why_and_offered_nothing(member: Client, waiting: Approval) -> None:
    Approval.objects.filter(pk=waiting.pk).update(policy={"name": "Refunds", "approvers": ["Finance"]})

    page = member.get(f"/console/tasks/{waiting.workflow_id}/").content.decode()
    assert "only people of these groups decide here: Finance." in page
    assert "Decide on its page" not in page and "Open its page" in page


def test_a_dead_letter_is_replayed_on_the_page(member: Client, dead: Job) -> None:
    assert b"failed for good" in member.get(f"/console/tasks/{dead.workflow_id}/").content

    member.post(f"/console/tasks/{dead.workflow_id}/dead-letters/{dead.pk}/")

    dead.refresh_from_db()
    assert dead.state == "available"


def test_a_task_is_cancelled_on_the_page(member: Client, waiting: Approval) -> None:
    member.post(f"/console/tasks/{waiting.workflow_id}/cancel/", {"reason": "not needed"})

    waiting.workflow.refresh_from_db()
    assert (waiting.workflow.state, (waiting.workflow.error or {})["message"]) == ("cancelled", "not needed")


@pytest.mark.parametrize("edit", [False, True])
def test_a_fork_reads_another_input_only_where_it_was_edited(member: Client, start: Start, edit: bool) -> None:
    origin = start(body="Where?")
    sent = {f"input.{name}": str(value) for name, value in origin.input.items()}

    answer = member.post(
        f"/console/tasks/{origin.pk}/fork/",
        sent | {"from_stage": "sample_draft"} | ({"input.body": "Another question"} if edit else {}),
    )

    fork = Workflow.objects.get(forked_from=origin.pk)
    assert answer["Location"] == f"/console/tasks/{fork.pk}/"
    assert fork.input["body"] == ("Another question" if edit else "Where?")


def test_the_list_has_pages_and_filters(member: Client, principal: Principal) -> None:
    for number in range(52):
        workflows.submit(principal, kind="sample_reply", input={"subject": f"Question {number}"})
    first = member.get("/console/", {"state": "pending"}).content.decode()
    assert "Question 51" in first and "Question 1<" not in first

    older = first.split('href="?')[-1].split('"')[0].replace("&amp;", "&")
    second = member.get(f"/console/rows/?{older}").content.decode()

    assert "Question 1<" in second and "Question 0<" in second and "Question 51" not in second
    assert "Question" not in member.get("/console/rows/", {"state": "failed"}).content.decode()
    assert member.get("/console/rows/", {"state": "x", "kind": "\x00", "before": "x"}).status_code == 400


def test_pages_ask_the_database_a_bounded_number_of_times(
    member: Client, waiting: Approval, principal: Principal, start: Start,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    for number in range(30):
        workflows.submit(principal, kind="sample_reply", input={"subject": f"Question {number}"})
    wide = start(parts=list(range(40)))

    with django_assert_max_num_queries(10):
        member.get("/console/rows/")
    for task in (waiting.workflow_id, wide.pk):
        # Two of them ask what stops the jobs that wait: the keys that were stopped, and gates.
        with django_assert_max_num_queries(24):
            member.get(f"/console/tasks/{task}/parts/")


EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'


def test_what_a_client_or_a_model_wrote_is_text(member: Client, start: Start) -> None:
    task = start(subject=EVIL, body=EVIL)

    for address in ("/console/", f"/console/tasks/{task.pk}/", f"/console/tasks/{task.pk}/parts/"):
        page = member.get(address).content.decode()
        assert "<script>alert" not in page and "<img src=x" not in page


def test_a_conversation_goes_on_from_the_page_of_its_task(member: Client, principal: Principal) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": "x"})
    page = f"/console/tasks/{task.pk}/"
    assert "Say something" in member.get(page).content.decode()

    answer = member.post(f"{page}messages/", {"text": "And <this>?"})

    assert (answer.status_code, answer["Location"]) == (302, page)
    shown = member.get(page).content.decode()
    assert "And &lt;this&gt;?" in shown and "not read yet" in shown
    workflows.cancel(principal, task.pk, reason="enough")
    assert "Say something" not in member.get(page).content.decode()
    refused = member.post(f"{page}messages/", {"text": "Again?"})
    assert refused.status_code == 409 and b"its conversation does not go on" in refused.content


def test_the_list_says_why_each_task_waits(member: Client, start: Start) -> None:
    start(), start(body="This is impossible.")

    page = member.get("/console/").content.decode()

    assert "A person must decide" in page and "A job is a dead letter: replay it or cancel the task." in page


def test_an_approval_is_claimed_snoozed_and_shown_again(member: Client, reader: Client, waiting: Approval) -> None:
    page = f"/console/tasks/{waiting.workflow_id}/"

    def send(client: Client, decision: str) -> tuple[int, str]:
        answer = client.post(f"{page}approvals/{waiting.pk}/", {"decision": decision, "hours": "4"})
        waiting.refresh_from_db()
        return answer.status_code, client.get(page).content.decode()

    assert send(reader, "claim")[0] == 403 and "Nobody looks after this" in member.get(page).content.decode()
    assert "You look after this; the claim lapses" in send(member, "claim")[1]
    assert "Nobody looks after this" in send(member, "release")[1]
    assert "Snoozed: lists show it again" in send(member, "snooze")[1]
    assert "Snoozed" not in send(member, "wake")[1] and waiting.state == "pending"
