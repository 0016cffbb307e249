"""What a job asks, on the pages of people."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from agentapp.admin import spans
from agentapp.services.principals import Principal
from tests.approvals.questions import asked, go_on, refunds, the_job

pytestmark = pytest.mark.django_db


def test_a_person_sees_which_job_asks_and_lets_it_go_on(member: Client, principal: Principal) -> None:
    task = refunds(principal, 20, 1)
    question, job = asked(task), the_job(task)
    page = reverse("admin:agentapp_approval_change", args=(question.pk,))
    of_task = reverse("admin:agentapp_workflow_change", args=(task.pk,))

    assert "Refund 20" in member.get(reverse("admin:agentapp_approval_changelist")).content.decode()
    shown = member.get(page).content.decode()
    assert f'<a href="{of_task}#job-{job.pk}">probe_refund, part 1</a>, which waits for this' in shown
    assert "If you approve: probe_refund goes on with exactly this content." in shown
    assert (
        "The job that asks is told so." in shown and "Request changes" not in shown and "Approve and send" not in shown
    )
    text = member.get(of_task).content.decode()
    assert "A person must decide what probe_refund has asked." in text
    assert f'<a href="{page}">A person must decide</a>' in text and f'by the job <a href="#job-{job.pk}">' in text
    assert [span.kind for span in spans.tracks_of(task)[0].spans] == ["queued", "running", "person"]

    form = {"decision": "approve", "content_sha256": question.content_sha256}
    assert "Approved: the job goes on." in member.post(page, form, follow=True).content.decode()
    assert go_on(task).state == "completed"
    # What it has seen is shown after it is decided, too.
    assert "Approved by" in member.get(page).content.decode()
