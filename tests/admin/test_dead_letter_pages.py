"""The dead-letter member: going back, finishing by hand, what nobody knows about, and all of one kind. [F3]"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from agentapp.dispatch import bulk
from agentapp.models import Approval, Attempt, BulkReplay, Effect, Job, Tenant
from agentapp.policies import hints, traceparent
from agentapp.services import letter_groups
from tests import harness
from tests.admin.conftest import Start
from tests.lifecycle import dead_letter_kinds

pytestmark = pytest.mark.django_db
LIST = "/admin/agentapp/deadletter/"
ADD = "/admin/agentapp/bulkreplay/add/"


@pytest.fixture(autouse=True)
def world() -> Iterator[None]:
    dead_letter_kinds.reset()
    yield
    dead_letter_kinds.reset()


def _address(record: Job | BulkReplay) -> str:
    name = "deadletter" if isinstance(record, Job) else "bulkreplay"
    return reverse(f"admin:agentapp_{name}_change", args=(record.pk,))


def _post(client: Client, record: Job | BulkReplay, **form: str) -> Any:
    return client.post(_address(record), form, follow=True)


def _refusals(answer: Any) -> str:
    return " ".join(re.findall(r'<li class="(?:error|warning)">(.*?)</li>', answer.content.decode()))


def test_a_letter_goes_back_to_a_stage_of_the_list(member: Client, dead: Job, settings: Settings) -> None:
    settings.AGENTAPP_TRACE_URL = "https://traces.sample.test/{trace_id}"
    trace = traceparent.trace_id(traceparent.of_task(dead.workflow_id, ""))
    Attempt.objects.filter(job=dead).update(error_class="ServerOverloaded")
    text = member.get(_address(dead)).content.decode()
    # What usually causes the error of an attempt, beside that of the letter.
    assert f'<p class="hint">{hints.of("ServerOverloaded", "").cause}' in html.unescape(text)
    task = member.get(reverse("admin:agentapp_workflow_change", args=(dead.workflow_id,))).content.decode()
    assert all(f'href="https://traces.sample.test/{trace}"' in page for page in (text, task))
    assert re.findall(r'<option value="(\w+)">([^<]+)', text) == [
        ("sample_lookup", "sample_lookup (the whole task)"), ("sample_draft", "sample_draft (only this stage)")
    ]  # fmt: skip

    answer = _post(member, dead, action="back", from_stage="sample_lookup")

    assert "the task went back" in answer.content.decode()
    assert harness.path(dead).endswith("dead_lettered > cancelled")
    assert Job.objects.filter(workflow=dead.workflow, type="sample_lookup", state="available").count() == 3


def test_an_output_by_hand_goes_on_and_a_wrong_one_stays_in_the_form(member: Client, dead: Job) -> None:
    output = '{"content": {"to": "a@sample.test", "subject": "a", "body": "by hand"}, "content_sha256": "%s"}' % (
        "0" * 64
    )
    for form, says in (
        ({"output": "{", "reason": "typed"}, "not valid JSON"),
        ({"output": "[]", "reason": "typed"}, "must be a JSON object"),
        ({"output": output, "reason": " "}, "Say how"),
    ):
        refused = _post(member, dead, action="resolve", **form)
        assert refused.status_code == 422 and says in _refusals(refused)
        assert form["output"].replace('"', "&quot;") in refused.content.decode()

    answer = _post(member, dead, action="resolve", output=output, reason="typed it in")

    assert "Finished by hand" in answer.content.decode()
    assert Approval.objects.get(workflow=dead.workflow).content["body"] == "by hand"
    assert dead.workflow.history.filter(reason="typed it in", actor="user:member", to_state="completed").exists()


def test_what_nobody_knows_about_is_said_with_its_two_ways_out(member: Client, in_doubt: Job) -> None:
    text = member.get(_address(in_doubt)).content.decode()
    assert "Nobody knows whether this has arrived" in text and str(Effect.objects.get().pk) in text
    notice = text[text.index('aria-labelledby="doubt"') : text.index("<h2>Attempts")]
    assert "reader@sample.test" in notice and "may differ" not in notice
    assert "It arrived" in notice and "It did not arrive: send again" in notice
    page = text[text.index('class="sheet"') :]
    assert set(re.findall(r'data-key="(.)"', page)) == {"?"} and 'class="go"' not in page
    assert '<details class="more other-ways"><summary>' in page and "bulkreplay/add" not in text

    unsaid = _post(member, in_doubt, action="edit", payload=json.dumps(in_doubt.payload))
    assert unsaid.status_code == 409 and "nobody knows whether that has arrived" in _refusals(unsaid)
    assert '<details class="more other-ways" open>' in unsaid.content.decode()
    assert "Replayed" in _post(member, in_doubt, action="replay", effect_happened="no", reason="read").content.decode()
    harness.drain()

    in_doubt.workflow.refresh_from_db()
    assert (in_doubt.workflow.state, Effect.objects.get().sends) == ("completed", 2)


def test_what_arrived_is_finished_by_the_fields_that_are_read_of_it(member: Client, in_doubt: Job) -> None:
    page = member.get(_address(in_doubt)).content.decode()
    assert re.findall(r'name="input.(\w+)"', page[page.index('value="enter"') :])[:1] == ["receipt"]

    form = {"action": "enter", "input.receipt": "m-1", "reason": "In the log of the mail server."}
    assert "Finished by hand" in _post(member, in_doubt, **form).content.decode()

    in_doubt.refresh_from_db()
    in_doubt.workflow.refresh_from_db()
    assert (in_doubt.output, in_doubt.workflow.state) == ({"receipt": "m-1"}, "completed")
    assert (Effect.objects.get().state, Effect.objects.get().sends) == ("confirmed", 1)


def test_the_client_is_notified_in_words_that_a_person_confirms(member: Client, dead: Job) -> None:
    page = member.get(_address(dead)).content.decode()
    assert "A part of your request failed." in page and "Told to the client" not in page
    refused = _post(member, dead, action="notify", text=" ")
    assert refused.status_code == 422 and "Say what the client is told." in _refusals(refused)

    for _ in range(2):
        answer = _post(member, dead, action="notify", text="We <b>fix</b> it.")

    assert "The client is notified" in answer.content.decode()
    task = reverse("admin:agentapp_workflow_change", args=(dead.workflow_id,))
    for path in (_address(dead), task, reverse("console_task", args=(dead.workflow_id,))):
        text = member.get(path).content.decode()
        assert text.count("We &lt;b&gt;fix&lt;/b&gt; it.") >= 1 and text.count("Told to the client") == 1, path


def test_a_form_that_asks_for_nothing_known_is_refused(member: Client, dead: Job) -> None:
    assert "Choose one of the buttons" in _refusals(_post(member, dead, action="explode"))


def test_all_of_one_kind_are_replayed_from_the_group(member: Client, start: Start) -> None:
    for number in range(3):
        start(body=f"impossible {number}")
    listed = member.get(LIST).content.decode()
    (link,) = re.findall(rf'href="({ADD}\?fingerprint=[0-9a-f]+)">Replay all', listed)
    page = member.get(link).content.decode()
    assert "<dd>3</dd>" in page and "The provider refused the request: 400" in page
    fingerprint = link.partition("=")[2]

    answer = member.post(ADD, {"fingerprint": fingerprint, "canary": "1", "batch": "2"}, follow=True)

    row = BulkReplay.objects.get()
    assert answer.redirect_chain[-1][0] == _address(row)
    assert "a canary goes first" in answer.content.decode()
    bulk.go_on()
    harness.drain()
    bulk.go_on()
    assert "a canary failed again (1 of 1)" in member.get(_address(row)).content.decode()


@pytest.mark.parametrize(
    ("form", "status"), [({"canary": "0"}, 422), ({"batch": "many"}, 422), ({"fingerprint": "0" * 12}, 404),
                         ({"tenant": "other"}, 422)],
)  # fmt: skip
def test_a_bulk_replay_that_makes_no_sense_is_refused(
    member: Client, dead: Job, other_tenant: Tenant, form: dict[str, str], status: int
) -> None:
    whole = {"fingerprint": letter_groups.fingerprint_of(dead), "canary": "1", "batch": "2"}
    answer = member.post(ADD, whole | form)
    assert answer.status_code == status and _refusals(answer)
    assert not BulkReplay.objects.exists()


def test_a_double_click_is_one_bulk_replay(member: Client, dead: Job) -> None:
    form = {"fingerprint": letter_groups.fingerprint_of(dead), "canary": "1", "batch": "2"}
    first, second = (member.post(ADD, form) for _ in range(2))
    assert bulk.go_on() == 1
    third = member.post(ADD, form, follow=True)

    row = BulkReplay.objects.get()
    assert first["Location"] == second["Location"] == third.redirect_chain[-1][0] == _address(row)
    assert "begun already" in third.content.decode()
    assert dead.workflow.history.filter(job_id=dead.pk, from_state="dead_lettered").count() == 1


def test_the_action_takes_selected_letters_of_one_kind_to_the_same_page(
    member: Client, start: Start, in_doubt: Job
) -> None:
    start(body="impossible")
    start(body="impossible too")
    jobs = Job.objects.filter(state="dead_lettered", type="sample_draft")
    form = {"action": "replay_kind", "_selected_action": [str(job.pk) for job in jobs]}

    assert member.post(LIST, form)["Location"].startswith(f"{ADD}?fingerprint=")
    mixed = member.post(LIST, form | {"_selected_action": [str(jobs[0].pk), str(in_doubt.pk)]}, follow=True)
    assert "failed in different ways" in _refusals(mixed)


def test_it_is_stopped_with_a_reason_once(member: Client, dead: Job) -> None:
    member.post(ADD, {"fingerprint": letter_groups.fingerprint_of(dead), "canary": "1", "batch": "2"})
    row = BulkReplay.objects.get()

    assert "Stopped: what is under way goes on" in _post(member, row, reason="wrong cause").content.decode()
    assert "by member: wrong cause" in member.get(_address(row)).content.decode()
    assert _post(member, row, reason="again").status_code == 409


def test_strangers_and_readers_start_stop_and_see_nothing(
    member: Client, stranger: Client, reader: Client, operator: Client, dead: Job
) -> None:
    form = {"fingerprint": letter_groups.fingerprint_of(dead), "canary": "1", "batch": "2"}
    assert (stranger.post(ADD, form).status_code, reader.post(ADD, form).status_code) == (404, 403)
    assert "PermanentError" not in stranger.get(f"{ADD}?fingerprint={form['fingerprint']}").content.decode()
    member.post(ADD, form)
    row = BulkReplay.objects.get()

    assert stranger.get(_address(row)).status_code == 302
    assert reader.post(_address(row), {"reason": "no"}).status_code == 403
    assert b'class="danger"' not in reader.get(_address(row)).content
    for client, expected in ((member, True), (reader, True), (operator, True), (stranger, False)):
        listed = client.get("/admin/agentapp/bulkreplay/").content.decode()
        assert (_address(row) in listed) == expected
    row.refresh_from_db()
    assert row.state == "canary"


def test_an_operator_chooses_a_tenant_or_means_all(operator: Client, dead: Job, other_tenant: Tenant) -> None:
    fingerprint = letter_groups.fingerprint_of(dead)
    page = operator.get(f"{ADD}?fingerprint={fingerprint}").content.decode()
    assert "all tenants" in page and "Other Company" in page
    form = {"fingerprint": fingerprint, "canary": "1", "batch": "2"}
    assert operator.post(ADD, form | {"tenant": "other"}).status_code == 404
    assert operator.post(ADD, form | {"tenant": ""}).status_code == 302
    assert BulkReplay.objects.get().tenant is None
