"""The drill passes on a stack that is well, and says what is wrong with one that is not. [H6]"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pytest_django import DjangoDbBlocker

from agentapp.models import DrillReport, Job, Tenant, Worker, Workflow
from agentapp.states import WORKFLOW_FINAL
from tests.acceptance.deployment import ALIAS, Deployment, commands, open_deployment, until

pytestmark = [pytest.mark.acceptance]

GREEN = [
    "worker crash",
    "duplicates",
    "retry cap",
    "dead letter visible",
    "trace from job to outcome",
    "broker flush",
    "rate limit",
    "priority",
    "permission at execution",
]
LAME = "failing_deployment"
# Shorter than the ten seconds after which the parent of a pool believes that a child is lost.
SHORT_S = "5"


def drill(deployment: Deployment, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does: it finds the stack by its home."""
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return subprocess.run(
        [sys.executable, "manage.py", "drill", *arguments],
        env=env | {"AGENTAPP_HOME": str(deployment.home)}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


def verdicts(ended: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """Return {question: (verdict, evidence)} of a drill that printed JSON."""
    answers = json.loads(ended.stdout)["answers"]
    return {item["question"]: (item["verdict"], item["evidence"]) for item in answers}


@pytest.fixture(scope="module")
def failing_deployment(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Deployment]:
    """A stack that rescues nobody, and has no worker but the one that the drill kills a child of."""
    lines = {name: line for name, line in commands().items() if name in {"dispatcher", "worker_documents"}}
    env = {"AGENTAPP_DUTIES_OFF": "rescue,publish", "AGENTAPP_LEASE_S": "600"}
    with django_db_blocker.unblock(), open_deployment(lines, env=env, alias=LAME) as deployment:
        serving = Worker.objects.using(LAME).filter(queues__contains=["documents"])
        until(serving.exists, "the worker is there")
        yield deployment


def test_every_question_that_can_be_asked_is_green_and_the_report_is_kept(deployment: Deployment) -> None:
    ended = drill(deployment, "--json")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = verdicts(ended)
    assert {name: found[name][0] for name in GREEN} == dict.fromkeys(GREEN, "green")
    report = DrillReport.objects.using(ALIAS).get(pk=json.loads(ended.stdout)["id"])
    assert report.passed
    assert {item["question"]: item["evidence"] for item in report.answers} == {
        name: evidence for name, (_, evidence) in found.items()
    }


def test_a_drill_leaves_no_open_task_and_no_dead_letter(deployment: Deployment) -> None:
    ended = drill(deployment, "--skip", "broker flush", "--skip", "worker crash")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "skipped" in ended.stdout and "7 green" in ended.stdout
    tenant = Tenant.objects.using(ALIAS).get(slug="drill")
    assert not Workflow.objects.using(ALIAS).filter(tenant=tenant).exclude(state__in=WORKFLOW_FINAL).exists()
    assert not Job.objects.using(ALIAS).filter(tenant=tenant, state="dead_lettered").exists()


def test_clients_cannot_submit_its_kinds(deployment: Deployment) -> None:
    answer = deployment.ask("POST", "/tasks", {"kind": "drill_crash", "input": {}})

    assert answer.status_code == 422
    assert "There is no task kind 'drill_crash'" in answer.text


def test_a_stack_that_lacks_a_rescuer_and_workers_is_red_and_says_so(failing_deployment: Deployment) -> None:
    ended = drill(failing_deployment, "--json", "--timeout-s", SHORT_S)

    assert ended.returncode == 1
    found = verdicts(ended)
    assert {found[name][0] for name in GREEN} == {"red"}, found
    assert f"within {SHORT_S} s of the last change: drill_crash runs on documents" in found["worker crash"][1]
    for name, queue in (("duplicates", "send"), ("retry cap", "model"), ("broker flush", "retrieval")):
        assert f"no worker serves the queue {queue}: start one" in found[name][1]
    for name in GREEN:
        assert name in ended.stderr
    assert not DrillReport.objects.using(LAME).get().passed


def test_a_drill_without_a_stack_says_what_to_start(deployment: Deployment) -> None:
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    ended = subprocess.run(
        [sys.executable, "manage.py", "drill"], env=env | {"AGENTAPP_HOME": str(deployment.home / "nowhere")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 1
    assert "make up" in ended.stderr
