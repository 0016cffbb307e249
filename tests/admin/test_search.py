"""The search box that stands on every page: what it finds, for whom, and by how many statements. [G5]"""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from agentapp.models import Approval, Job, Membership, Tenant, Workflow
from agentapp.policies import fingerprint
from agentapp.services import letter_groups, search
from agentapp.services.principals import Principal
from bench import seed
from tests import harness
from tests.admin.conftest import MakeStaff, Start

pytestmark = pytest.mark.django_db


def hits(client: Client, text: str) -> list[str]:
    """The addresses of all results; an id that finds one record leads to its page at once."""
    answer = client.get("/admin/search/", {"q": text})
    if answer.status_code == 302:
        return [answer["Location"]]
    assert answer.status_code == 200
    return re.findall(r'<th scope="row"><a href="([^"]+)"', answer.content.decode())


def page_of(model: str, pk: object) -> str:
    return f"/admin/agentapp/{model}/{pk}/change/"


def test_an_id_of_any_kind_opens_its_page(member: Client, waiting: Approval, dead: Job) -> None:
    done = Job.objects.filter(workflow=waiting.workflow_id, state="completed").first()
    assert done is not None

    assert hits(member, str(waiting.workflow_id)) == [page_of("workflow", waiting.workflow_id)]
    assert hits(member, str(waiting.pk)) == [page_of("approval", waiting.pk)]
    assert hits(member, str(dead.pk)) == [page_of("deadletter", dead.pk)]
    assert hits(member, str(done.pk)) == [f"{page_of('workflow', waiting.workflow_id)}#job-{done.pk}"]
    assert page_of("workflow", dead.workflow_id) in hits(member, str(dead.workflow_id)[:13])


def test_words_labels_addresses_and_fingerprints(
    member: Client, principal: Principal, waiting: Approval, dead: Job
) -> None:
    task = harness.run_workflow(principal, "sample_reply", {"subject": "Umbrella"}, labels={"ticket": "T-4711"})
    Approval.objects.filter(pk=waiting.pk).update(content=waiting.content | {"to": "Other@Sample.test"})
    harness.index()

    assert page_of("workflow", task.pk) in hits(member, "umbr")
    assert page_of("workflow", task.pk) in hits(member, "ticket:T-4711")
    assert hits(member, "other@sample.test") == [page_of("approval", waiting.pk)]
    assert hits(member, letter_groups.fingerprint_of(dead)) == [page_of("deadletter", dead.pk)]
    assert hits(member, "f" * fingerprint.DIGITS) == hits(member, "no such word") == hits(member, "") == []


def test_another_tenant_finds_nothing(stranger: Client, waiting: Approval, dead: Job) -> None:
    harness.index()

    asked = (waiting.pk, waiting.workflow_id, dead.pk, letter_groups.fingerprint_of(dead), "sample", "impossible")
    assert [hits(stranger, str(text)) for text in asked] == [[]] * len(asked)


def test_who_may_not_see_payloads_finds_ids_and_no_words(make_staff: MakeStaff, tenant: Tenant, start: Start) -> None:
    task = start(subject="Umbrella")
    harness.index()
    client = Client()
    client.force_login(make_staff("blind", tenant))
    assert hits(client, "umbrella")
    Membership.objects.update(sees_payloads=False)

    found = client.get("/admin/search/", {"q": str(task.pk)[:13]}).content.decode()
    assert page_of("workflow", task.pk) in found and "Umbrella" not in found
    assert hits(client, "umbrella") == []


def test_what_many_rows_match_is_cut_and_takes_as_many_statements(operator: Client) -> None:
    seed.fill(seed.Sizes(workflows=200, approvals=40, dead_letters=60, tenants=2))
    harness.index()

    with CaptureQueriesContext(connection) as taken:
        answer = operator.get("/admin/search/", {"q": "sample"}).content.decode()
    assert len(taken) <= 12
    assert answer.count('<th scope="row">') <= 30
    assert "All tasks that fit" in answer and "<script>document.title" not in answer
    assert Workflow.objects.count() == 200


def test_what_no_index_knows_is_looked_for_by_itself_among_the_newest(
    operator: Client, dead: Job, waiting: Approval, monkeypatch: pytest.MonkeyPatch
) -> None:
    with CaptureQueriesContext(connection) as taken:
        hits(operator, "nobody@sample.test")
    big = ('FROM "agentapp_approval"', 'FROM "agentapp_job"')
    lists = [sql for each in taken if " OR " in (sql := each["sql"]) and any(table in sql for table in big)]
    # Beside an id that an index knows it would make Postgres read all rows.
    assert not [sql for sql in lists if "UPPER" in sql or '"type" =' in sql]
    assert hits(operator, dead.type) == [page_of("deadletter", dead.pk)]
    monkeypatch.setattr(search, "READ", 0)
    assert hits(operator, dead.type) == []


def test_the_box_stands_on_every_page(operator: Client, dead: Job) -> None:
    for path in (
        "/admin/",
        "/console/",
        "/admin/agentapp/workflow/",
        "/admin/auth/user/",
        page_of("deadletter", dead.pk),
    ):
        assert 'role="search"' in operator.get(path).content.decode(), path
    assert Client().get("/admin/search/?q=x").status_code == 302
