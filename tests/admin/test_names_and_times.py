"""People and keys are shown by name, and every moment with its zone."""

from __future__ import annotations

import re
from datetime import timedelta

from django.template.loader import render_to_string
from django.test import Client
from django.urls import reverse

from agentapp import clock
from agentapp.admin import actors, charts
from agentapp.lifecycle import gates as moves
from agentapp.models import Approval, BulkReplay, Gate, Job
from agentapp.services import letter_groups
from agentapp.states import KeyMode


def test_the_history_of_a_task_names_the_key_that_submitted_it(member: Client, waiting: Approval) -> None:
    page = member.get(reverse("admin:agentapp_workflow_change", args=(waiting.workflow_id,))).content.decode()

    key = waiting.workflow.api_key
    assert key is not None
    assert f"<td>{key}</td>" in page
    assert f"key:{key.prefix}" not in page


def test_an_actor_that_nobody_knows_is_shown_as_it_is(waiting: Approval) -> None:
    shown = actors.names(["user:kim", "key:000000000000", "dispatcher"])

    assert shown == {"user:kim": "kim", "key:000000000000": "key:000000000000", "dispatcher": "dispatcher"}


def test_lists_show_moments_with_their_zone(operator: Client, waiting: Approval) -> None:
    page = operator.get("/admin/agentapp/tenant/").content.decode()

    assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC<", page)


def test_what_is_told_as_an_age_has_the_exact_moment_behind_it(
    member: Client, operator: Client, waiting: Approval, dead: Job
) -> None:
    moment = r'<time datetime="[^"]+" title="\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})? UTC">'
    task = reverse("admin:agentapp_workflow_change", args=(waiting.workflow_id,))
    approval = reverse("admin:agentapp_approval_change", args=(waiting.pk,))
    Approval.objects.update(expires_at=clock.now() + timedelta(hours=1))
    member.post(approval, {"decision": "claim"})
    for path, shown in (
        (reverse("admin:agentapp_approval_changelist"), '<td class="field-expires[^>]*>{}in'),
        (reverse("admin:agentapp_deadletter_changelist"), '<td class="field-dead_for[^>]*>{}'),
        (approval, r"<dt>Expires</dt><dd>{}in"),
        (approval, "the claim lapses {}in"),
        (task, r"<td>\d+</td><td>{}\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC</time></td>"),
        (task, r'title="[0-9-]+ [0-9:]+ UTC">A person must decide'),
    ):
        page = member.get(path).content.decode()
        assert re.search(shown.format(moment) if "{}" in shown else shown, page), (path, shown)
    chart = charts.Chart("c", "Jobs", (charts.Line("done", [1.0]),), [clock.now()], str)
    assert re.search(f'<th scope="row">{moment}', render_to_string("agentapp/chart.html", {"chart": chart}))


def test_no_list_shows_how_a_person_is_written_down(operator: Client, dead: Job) -> None:
    fingerprint = letter_groups.fingerprint_of(dead)
    operator.post(reverse("admin:agentapp_bulkreplay_add"), {"fingerprint": fingerprint, "canary": "1", "batch": "2"})
    row = BulkReplay.objects.get()
    moves.know({"model:large"})
    moves.keep(Gate(scope="model", pattern="large", concurrency=1), actor=row.actor)
    moves.set_mode("model:large", KeyMode.PAUSED, actor=row.actor, reason="too dear")

    assert row.actor == "user:operator"
    for path in ("", "bulkreplay/", f"bulkreplay/{row.pk}/change/", "gatechange/", "limit/model_3Alarge/change/"):
        page = operator.get(f"/admin/agentapp/{path}" if path else "/admin/")
        assert page.status_code == 200, path
        text = page.content.decode()
        assert "operator" in text and "user:operator" not in text, path
