"""People and keys are shown by name, and every moment with its zone."""

from __future__ import annotations

import re

from django.test import Client
from django.urls import reverse

from agentapp.admin import actors
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

    assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d UTC<", page)


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
