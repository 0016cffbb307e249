"""Every page of the admin answers, for the right people, under the content policy."""

from __future__ import annotations

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from agentapp import clock
from agentapp.models import Artifact, Effect, Job, Memory
from agentapp.services import approvals
from agentapp.services.principals import Principal
from tests import harness
from tests.admin.conftest import Start
from tests.webhooks.world import spread

pytestmark = pytest.mark.django_db


def _lists() -> list[str]:
    models = [model for model in admin.site._registry if model._meta.app_label == "agentapp"]
    return [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in models]


def test_every_list_and_every_record_answers(operator: Client, start: Start, dead: Job) -> None:
    start()
    for address in _lists():
        page = operator.get(address)
        assert page.status_code == 200, address
        records = set(re.findall(rf'href="({address}[^"?]+/change/)', page.content.decode()))
        for record in records:
            assert operator.get(record).status_code == 200, record


def test_the_page_of_a_task_lists_what_came_of_it(operator: Client, principal: Principal) -> None:
    """Its labels, effects, memories, webhooks and artifacts."""
    task = harness.run_workflow(
        principal, "sample_reply", labels={"ticket": "T-4711"}, callback_url="https://8.8.8.8/told"
    )
    asked = task.approvals.get()
    approvals.decide(principal, asked.pk, decision="approve", content_sha256=asked.content_sha256)
    harness.drain(task)
    spread()
    now = clock.now()
    Memory.objects.create(
        tenant=task.tenant, about="reader@sample.test", fact_id=task.pk, text="Pays by invoice.", is_untrusted=False,
        written_by="a test", task_id=task.pk, valid_from=now,
    )  # fmt: skip
    Artifact.objects.create(
        tenant=task.tenant, workflow=task, name="draft.txt", media_type="text/plain", size=7, sha256="0" * 64,
        created_at=now,
    )  # fmt: skip

    text = operator.get(reverse("admin:agentapp_workflow_change", args=(task.pk,))).content.decode()
    sections = {name: text[text.index(f'id="{name}"') :].partition("</section>")[0] for name in (
        "effects", "memories", "deliveries", "artifacts"
    )}  # fmt: skip
    assert Effect.objects.get(workflow_id=task.pk).key in sections["effects"]
    assert "reader@sample.test: Pays by invoice." in sections["memories"]
    assert "task.completed" in sections["deliveries"] and "https://8.8.8.8/told" in sections["deliveries"]
    assert "draft.txt" in sections["artifacts"] and "ticket: T-4711" in text
