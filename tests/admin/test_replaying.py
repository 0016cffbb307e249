"""Dead letters, cancelling, tenants and keys: every other thing that can be done in the admin."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.admin import letter_forms
from agentapp.errors import PermissionDenied
from agentapp.models import ApiKey, Approval, Job, Tenant
from agentapp.services import api_keys
from tests import harness
from tests.admin.conftest import MakeStaff, Start

pytestmark = pytest.mark.django_db
LIST = "/admin/agentapp/deadletter/"


def _post(client: Client, job: Job, **form: str) -> Any:
    return client.post(reverse("admin:agentapp_deadletter_change", args=(job.pk,)), form, follow=True)


def test_the_list_groups_equal_failures_and_filters_by_them(member: Client, start: Start) -> None:
    start(body="impossible one")
    start(body="impossible two")

    text = member.get(LIST).content.decode()
    assert '<td class="number">2</td>' in text
    assert "The provider refused the request: 400" in text
    both = member.get(LIST, {"type": "sample_draft", "error": "PermanentError"})
    assert both.content.count(b'class="action-select"') == 2
    assert member.get(LIST, {"error": "Other"}).content.count(b'class="action-select"') == 0


def test_the_page_has_every_attempt_with_error_and_trace(member: Client, dead: Job) -> None:
    text = member.get(reverse("admin:agentapp_deadletter_change", args=(dead.pk,))).content.decode()

    assert "PermanentError" in text and "Traceback" in text and "attempt 1" in text
    assert "&quot;body&quot;: &quot;This is impossible.&quot;" in text


def test_an_edited_payload_is_replayed_to_the_end(member: Client, dead: Job) -> None:
    answer = _post(member, dead, action="edit", payload=json.dumps((dead.payload or {}) | {"body": "Where are they?"}))
    harness.drain()

    assert "Replayed" in answer.content.decode()
    assert harness.path(dead).endswith("dead_lettered > available > running > completed")
    assert Approval.objects.filter(workflow=dead.workflow, state="pending").exists()


@pytest.mark.parametrize(
    ("payload", "says"),
    [("{", "line 1, column 2"), ("[]", "must be a JSON object"), ('{"body": "alone"}', "score")],
)
def test_a_payload_that_does_not_fit_is_refused_in_words_and_kept(
    member: Client, dead: Job, payload: str, says: str
) -> None:
    answer = _post(member, dead, action="edit", payload=payload)

    text = answer.content.decode()
    assert answer.status_code == 422
    assert says in " ".join(re.findall(r'<li class="error">(.*?)</li>', text))
    assert payload.replace('"', "&quot;") in text
    dead.refresh_from_db()
    assert dead.state == "dead_lettered"


def _form_of(dead: Job, **changes: str) -> dict[str, str]:
    """What the form of its payload sends when nothing else is changed."""
    shown = letter_forms.payload_fields(dead)
    return {"action": "fill"} | {f"input.{field.name}": field.value for field in shown} | changes


def test_a_payload_is_edited_in_a_form_of_its_fields(member: Client, dead: Job) -> None:
    page = member.get(reverse("admin:agentapp_deadletter_change", args=(dead.pk,))).content.decode()
    assert re.findall(r'name="input.(\w+)"', page)[:5] == ["subject", "body", "to", "score", "remark"]

    answer = _post(member, dead, **_form_of(dead, **{"input.body": "Where\r\nare they?"}))

    assert "Replayed" in answer.content.decode()
    was, now = dead.payload or {}, Job.objects.get(pk=dead.pk).payload or {}
    assert now == was | {"body": "Where\nare they?"}
    edited = dead.workflow.history.get(job_id=dead.pk, from_state="dead_lettered")
    assert (edited.actor, (edited.data or {})["edited"]) == ("user:member", True)


def test_what_the_form_cannot_show_stays_as_it_was(member: Client, dead: Job) -> None:
    odd = {"subject": {"a": [1]}, "body": "two\nlines", "to": 5, "score": 1, "remark": "", "unknown": None}
    Job.objects.filter(pk=dead.pk).update(payload=odd)
    dead.refresh_from_db()
    assert letter_forms.read_payload(dead, _form_of(dead)) == odd


def test_a_field_that_does_not_fit_says_so_and_keeps_what_was_typed(member: Client, dead: Job) -> None:
    answer = _post(member, dead, **_form_of(dead, **{"input.score": "much", "input.to": "<b>5</b>"}))

    text = answer.content.decode()
    assert answer.status_code == 422 and "Write a number" in text
    assert 'value="much"' in text and "&lt;b&gt;5" in text and "<b>5</b>" not in text
    dead.refresh_from_db()
    assert dead.state == "dead_lettered"


def test_a_page_that_has_shown_an_earlier_failure_does_nothing(member: Client, dead: Job) -> None:
    for action in ("replay", "cancel", "resolve"):
        form = {"action": action, "seen": "2030-01-01T00:00:00+00:00", "reason": "a", "output": "{}"}
        answer = _post(member, dead, **form)
        assert answer.status_code == 409 and "failed again" in answer.content.decode()
    seen = dead.finished_at.isoformat() if dead.finished_at else ""
    assert "Replayed" in _post(member, dead, action="replay", seen=seen).content.decode()


def test_who_may_only_look_has_no_forms_and_is_refused(reader: Client, dead: Job) -> None:
    text = reader.get(reverse("admin:agentapp_deadletter_change", args=(dead.pk,))).content.decode()
    assert 'name="action"' not in text and "This is impossible." in text
    for action in ("replay", "edit", "fill", "back", "resolve", "enter", "cancel"):
        form = _form_of(dead, **{"payload": "{}", "output": "{}", "from_stage": "sample_draft", "reason": "a"})
        assert _post(reader, dead, **form | {"action": action}).status_code in (403, 422), action
    dead.refresh_from_db()
    assert (dead.state, dead.replay) == ("dead_lettered", 0)


def test_many_are_replayed_from_the_list_and_who_was_faster_is_named(member: Client, start: Start) -> None:
    jobs = [Job.objects.get(workflow=start(body=f"impossible {n}"), state="dead_lettered") for n in range(2)]
    form = {"action": "replay", "_selected_action": [str(job.pk) for job in jobs]}

    text = member.post(LIST, form, follow=True).content.decode()

    assert "2 replayed" in text
    assert {Job.objects.get(pk=job.pk).state for job in jobs} == {"available"}


def test_giving_up_needs_a_reason_and_cancels_the_task(member: Client, dead: Job) -> None:
    assert _post(member, dead, action="cancel", reason="").status_code == 422

    _post(member, dead, action="cancel", reason="The customer left.")

    dead.workflow.refresh_from_db()
    assert dead.workflow.state == "cancelled"
    assert dead.workflow.history.filter(reason="The customer left.", actor="user:member").exists()


def test_who_comes_too_late_is_told_what_became_of_the_letter(member: Client, stranger: Client, dead: Job) -> None:
    _post(member, dead, action="replay")

    answer = _post(member, dead, action="replay")

    task = reverse("admin:agentapp_workflow_change", args=(dead.workflow_id,))
    assert answer.redirect_chain[-1][0] == task
    shown = re.sub(r"\s+", " ", answer.content.decode())
    assert "no dead letter any more: member made it available" in shown and "now the job is available" in shown
    assert dead.workflow.history.filter(job_id=dead.pk, from_state="dead_lettered").count() == 1
    assert _post(stranger, dead, action="replay").redirect_chain[-1][0] == LIST


def test_a_task_is_cancelled_with_its_reason_once(member: Client, waiting: Approval) -> None:
    address = reverse("admin:agentapp_workflow_change", args=(waiting.workflow_id,))

    answer = member.post(address, {"reason": "Asked twice."}, follow=True)
    again = member.post(address, {"reason": "Asked twice."})

    shown = answer.content.decode()
    assert "What was done before can still be read" in shown and "Asked twice." in shown
    assert again.status_code == 409 and "already cancelled" in again.content.decode()


def test_tasks_are_found_by_id_and_by_words_of_their_input(member: Client, start: Start) -> None:
    run, other = start(subject="Lost parcel"), start(subject="Wrong colour")
    harness.index()
    for search in (str(run.pk), "lost PARCEL", "parc", str(run.pk)[:-4], "parcel -colour"):
        text = member.get("/admin/agentapp/workflow/", {"q": search}).content.decode()
        assert str(run.pk) in text, search
    text = member.get("/admin/agentapp/workflow/", {"q": "parcel", "kind": "sample_reply"}).content.decode()
    assert str(other.pk) not in text


def test_the_first_page_counts_what_waits(member: Client, stranger: Client, waiting: Approval, dead: Job) -> None:
    panel = re.sub(r"\s+", " ", member.get("/admin/").content.decode())
    assert "<b>2</b> open tasks" in panel and "<b>1</b> waiting approvals" in panel
    assert "<b>1</b> dead letters" in panel
    assert "<b>0</b> open tasks" in stranger.get("/admin/").content.decode()


def test_a_new_key_is_shown_once_and_works(operator: Client, tenant: Tenant) -> None:
    form = {"tenant": tenant.slug, "name": "shop", "scopes": ["tasks:read", "tasks:write"], "days": "30"}
    answer = operator.post("/admin/agentapp/apikey/add/", form)

    found = re.search(r"aa_[0-9a-f]{12}_[\w-]{43}", answer.content.decode())
    assert found is not None and "no-store" in answer["Cache-Control"]
    key = api_keys.authenticate(found[0])
    assert (key.tenant, key.scopes) == (tenant, ["tasks:read", "tasks:write"])
    assert key.expires_at is not None
    page = operator.get(reverse("admin:agentapp_apikey_change", args=(key.pk,)))
    assert found[0].split("_", 2)[2] not in page.content.decode() and key.secret_sha256 not in page.content.decode()

    operator.post(reverse("admin:agentapp_apikey_change", args=(key.pk,)))
    with pytest.raises(PermissionDenied):
        api_keys.authenticate(found[0])


@pytest.mark.parametrize(
    "form", [{"tenant": "none"}, {"name": ""}, {"scopes": []}, {"scopes": ["root"]}, {"days": "soon"}, {"days": "0"}]
)
def test_a_key_that_makes_no_sense_is_refused_in_words(operator: Client, tenant: Tenant, form: dict[str, Any]) -> None:
    answer = operator.post(
        "/admin/agentapp/apikey/add/", {"tenant": tenant.slug, "name": "x", "scopes": ["tasks:read"]} | form
    )

    assert answer.status_code in (403, 422) and b"errorlist" not in answer.content
    assert b'class="error"' in answer.content
    assert not ApiKey.objects.exists()


def test_nobody_gives_a_key_more_than_they_hold(make_staff: MakeStaff, tenant: Tenant, other_tenant: Tenant) -> None:
    client = Client()
    client.force_login(make_staff("keys", tenant, "add_apikey", "view_apikey"))
    form = {"tenant": tenant.slug, "name": "x", "scopes": ["approvals:decide"]}

    assert client.post("/admin/agentapp/apikey/add/", form).status_code == 403
    foreign = form | {"tenant": other_tenant.slug, "scopes": ["tasks:read"]}
    assert client.post("/admin/agentapp/apikey/add/", foreign).status_code == 422
    assert not ApiKey.objects.exists()


def test_a_tenant_is_made_once(operator: Client) -> None:
    address = "/admin/agentapp/tenant/add/"

    assert operator.post(address, {"slug": "third", "name": "Third"}).status_code == 302
    again = operator.post(address, {"slug": "third", "name": "Third"})

    assert again.status_code == 422 and b"exists already" in again.content
    assert Tenant.objects.filter(slug="third").count() == 1
