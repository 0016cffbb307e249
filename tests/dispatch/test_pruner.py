"""What is over for long enough goes, and nothing else. [H7] [C10]"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models import Model
from pytest_django import DjangoAssertNumQueries, Settings

from agentapp.clock import Clock
from agentapp.dispatch import pruner, sweep
from agentapp.dispatch.pruner import Rest
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel, prune
from agentapp.models import (
    Approval,
    Artifact,
    Attempt,
    BulkReplay,
    DrillReport,
    Effect,
    History,
    IdempotencyKey,
    Job,
    Message,
    ModelCall,
    Reply,
    SearchEntry,
    Stage,
    WebhookDelivery,
    WebhookEvent,
    Worker,
    Workflow,
)  # fmt: skip
from agentapp.models.artifact import artifact_storage
from agentapp.services import approvals, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, index, run_workflow

pytestmark = pytest.mark.django_db(transaction=True)

DAY_S = 86_400
OF_A_TASK = (Workflow, Stage, Job, Attempt, Approval, History, Artifact, Message, ModelCall, Reply, SearchEntry)


def counts(models: Iterable[type[Model]] = OF_A_TASK) -> dict[str, int]:
    return {model.__name__: model._default_manager.count() for model in models}


def look() -> int:
    """One look of the duty, with no rest before it."""
    return pruner.prune(rest=Rest())


def write_artifact(task: Workflow, text: str = "a draft") -> Artifact:
    kept = {"workflow": task, "tenant_id": task.tenant_id, "created_at": task.created_at}
    artifact = Artifact(id=uuid7(), name="draft.txt", size=len(text), sha256="", **kept)
    artifact.file.save(f"{task.pk}/{artifact.pk}", ContentFile(text.encode()), save=False)
    artifact.save(force_insert=True)
    return artifact


def full_task(principal: Principal) -> Workflow:
    """A task that was completed and has a row in every table, and a file."""
    task = run_workflow(principal, "probe_decision")
    Reply.objects.create(workflow=task, tenant_id=task.tenant_id, message_id="1", text="a", created_at=task.created_at)
    Message.objects.create(workflow=task, tenant_id=task.tenant_id, number=1, text="a", created_at=task.created_at)
    approval = Approval.objects.get(workflow=task)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    drain(task)
    write_artifact(task)
    ModelCall.objects.create(tenant_id=task.tenant_id, workflow_id=task.pk, latency_s=1, started_at=task.created_at)
    index()
    return Workflow.objects.get(pk=task.pk)


def ended_task(principal: Principal, state: str) -> Workflow:
    if state == "completed":
        return run_workflow(principal, "probe_loop")
    task = workflows.submit(principal, kind="probe_fan", input={})
    if state == "cancelled":
        cancel.cancel(task.pk, actor="test", reason="no longer needed")
    else:
        # A rule that fails tasks needs more of a story than this test is about.
        Workflow.objects.filter(pk=task.pk).update(state=state, finished_at=task.created_at)
    return task


def has_files(task: Workflow) -> bool:
    return artifact_storage().exists(str(task.pk))


@pytest.mark.parametrize(("state", "days"), [("completed", 90), ("cancelled", 90), ("failed", 365)])
def test_a_task_of_any_tenant_goes_when_its_time_is_over(
    principal: Principal, other_principal: Principal, clock: Clock, state: str, days: int
) -> None:
    ended_task(principal, state)
    ended_task(other_principal, state)
    clock.advance(days * DAY_S - 60)
    young = ended_task(principal, state)

    assert look() == 0
    clock.advance(120)
    assert look() == 2

    assert list(Workflow.objects.all()) == [young]


def test_everything_that_belongs_to_it_goes_and_the_ledger_of_effects_stays(principal: Principal, clock: Clock) -> None:
    task = full_task(principal)
    assert 0 not in counts().values()
    before = list(Effect.objects.values())
    assert len(before) == 1 and has_files(task)

    clock.advance(91 * DAY_S)
    assert look() == 1

    assert set(counts().values()) == {0}
    assert list(Effect.objects.values()) == before
    assert not has_files(task)


def test_zero_days_keep_forever(principal: Principal, clock: Clock, settings: Settings) -> None:
    settings.AGENTAPP_KEEP_COMPLETED_DAYS = 0
    ended_task(principal, "completed")
    clock.advance(10_000 * DAY_S)

    assert look() == 0


def test_open_work_is_never_touched_however_old_it_is(principal: Principal, clock: Clock) -> None:
    workflows.submit(principal, kind="probe_fan", input={})
    assert run_workflow(principal, "probe_decision").state == "awaiting_approval"
    assert run_workflow(principal, "probe_fan", {"fail": "permanent"}).state == "needs_attention"
    assert run_workflow(principal, "probe_fan", {"fail": "transient"}).state == "running"
    before = {model: list(model._default_manager.order_by("pk").values()) for model in OF_A_TASK}

    clock.advance(10_000 * DAY_S)

    assert look() == 0
    assert {model: list(model._default_manager.order_by("pk").values()) for model in OF_A_TASK} == before


def test_a_task_stays_as_long_as_what_was_forked_from_it(principal: Principal, clock: Clock) -> None:
    origin = full_task(principal)
    clock.advance(60 * DAY_S)
    fork = full_task(principal)
    Workflow.objects.filter(pk=fork.pk).update(forked_from=origin.pk)

    clock.advance(60 * DAY_S)
    assert look() == 0
    assert has_files(origin) and has_files(fork)

    clock.advance(60 * DAY_S)
    assert [look(), look(), look()] == [1, 1, 0]
    assert set(counts().values()) == {0}


def test_a_cancelled_task_waits_for_its_clean_up(principal: Principal, clock: Clock) -> None:
    task = ended_task(principal, "cancelled")
    Job.objects.filter(workflow=task, type="probe_first").update(clean_up_at=clock.now())
    clock.advance(91 * DAY_S)
    assert look() == 0

    Job.objects.filter(workflow=task).update(clean_up_at=None)
    assert look() == 1


def test_many_go_in_small_batches_each_a_transaction(principal: Principal, clock: Clock) -> None:
    for _ in range(250):
        ended_task(principal, "cancelled")
    clock.advance(91 * DAY_S)

    assert [look() for _ in range(4)] == [100, 100, 50, 0]
    assert set(counts().values()) == {0}


def test_a_task_that_fanned_out_widely_goes_alone(
    principal: Principal, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prune, "MOST_JOBS", 8)
    for parts in (3, 3, 30, 3):
        clock.advance(1)
        run_workflow(principal, "probe_all", {"parts": list(range(parts))})
    clock.advance(91 * DAY_S)

    assert [look() for _ in range(4)] == [2, 1, 1, 0]


def test_a_task_that_somebody_holds_is_passed_over(principal: Principal, clock: Clock) -> None:
    held = ended_task(principal, "completed")
    ended_task(principal, "completed")
    clock.advance(91 * DAY_S)

    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR SHARE", (held.pk,))
        assert look() == 1
    assert look() == 1


def test_a_pruner_that_is_killed_again_and_again_leaves_nothing_behind(
    principal: Principal, clock: Clock, process_env: dict[str, str]
) -> None:
    task = full_task(principal)
    write_artifact(task, "a second file")
    # A worker that died between the file and its row left this.
    artifact_storage().save(f"{task.pk}/orphan", ContentFile(b"nobody knows me"))
    Workflow.objects.update(finished_at=clock.now() - timedelta(days=36_500))

    for place in ("second file", "folder"):
        assert look_in_a_process(process_env, die_at=place) == -signal.SIGKILL
        # No row of an artifact leads nowhere for longer than until the next look; the task itself is still found.
        assert Workflow.objects.filter(pk=task.pk).exists()
    assert not Stage.objects.exists()
    assert has_files(task)

    assert look() == 1
    assert set(counts().values()) == {0}
    assert not has_files(task)


def look_in_a_process(env: dict[str, str], *, die_at: str) -> int:
    code = "import django; django.setup(); from agentapp.dispatch.pruner import prune; prune()"
    deadly = {"AGENTAPP_ARTIFACT_STORAGE": "tests.dispatch.deadly_storage.DeadlyStorage", "DIE_AT": die_at}
    options: dict[str, Any] = {"env": {**env, **deadly, "DJANGO_SETTINGS_MODULE": "config.settings"}, "timeout": 200}
    return subprocess.run([sys.executable, "-c", code], check=False, **options).returncode


def test_a_store_that_is_away_costs_nothing_but_time(principal: Principal, clock: Clock, settings: Settings) -> None:
    task = full_task(principal)
    clock.advance(91 * DAY_S)
    stores = settings.STORAGES
    away = {**stores["artifacts"], "BACKEND": "tests.dispatch.deadly_storage.StorageAway"}
    settings.STORAGES = {**stores, "artifacts": away}
    rest = Rest()

    assert pruner.prune(rest=rest) == 0
    assert "does not answer" in sweep.bad_items()["tasks to be forgotten"]["error"]
    # The dispatcher's other duties are not held up by a failure at every tick.
    assert pruner.prune(rest=rest) == 0
    assert Artifact.objects.count() == 1

    settings.STORAGES = stores
    pruner.STATES.aside.clear()
    assert look() == 1
    assert not has_files(task)


def test_it_looks_once_a_minute_while_there_is_nothing_to_do(
    principal: Principal, clock: Clock, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    rest = Rest()
    ended_task(principal, "completed")
    clock.advance(91 * DAY_S)

    assert [pruner.prune(rest=rest) for _ in range(2)] == [1, 0]
    with django_assert_num_queries(0):
        assert pruner.prune(rest=rest) == 0


def test_old_records_of_the_machinery_go(db: None, clock: Clock) -> None:
    moment = clock.now()
    for days in (0, 2):
        Worker.objects.create(id=days, name="w", pool="threads", started_at=moment, seen_at=moment - timedelta(days))
    for finished_at in (None, moment - timedelta(364), moment - timedelta(366)):
        BulkReplay.objects.create(
            selection={}, canary=1, batch=1, actor="test", created_at=moment, finished_at=finished_at
        )
    for days in (364, 366):
        then = moment - timedelta(days)
        DrillReport.objects.create(started_at=then, finished_at=then, passed=True, answers=[])

    assert look() == 3

    assert [worker.pk for worker in Worker.objects.all()] == [0]
    assert BulkReplay.objects.filter(finished_at=None).count() == 1
    assert counts([BulkReplay, DrillReport]) == {"BulkReplay": 2, "DrillReport": 1}


def test_every_table_with_a_task_in_it_is_thought_of() -> None:
    """A new one must go with its task, or say why it stays."""
    stays = {Effect, IdempotencyKey, apps.get_model("agentapp", "LegalHold"), WebhookEvent, WebhookDelivery}
    names = {"workflow_id", "job_id"}
    belonging = {
        model for model in apps.get_app_config("agentapp").get_models()
        if not model._meta.proxy and names & {field.attname for field in model._meta.concrete_fields}
    }  # fmt: skip

    assert {Workflow, *belonging} - stays == set(OF_A_TASK)
