"""People and keys are shown by name, and every moment with its zone."""

from __future__ import annotations

import re

from django.test import Client
from django.urls import reverse

from agentapp.admin import actors
from agentapp.models import Approval


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
