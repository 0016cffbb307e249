"""A real dispatcher and a real worker: an event is sent once, though the dispatcher is killed on the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from agentapp.local.stack import CHECKOUT
from agentapp.models import WebhookDelivery, WebhookEvent, Workflow
from agentapp.services.principals import Principal
from tests.acceptance.deployment import until
from tests.delivery.receiver import Receiver
from tests.runtime.worker_process import running_worker
from tests.webhooks.world import cancelled_task, endpoint

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]
DISPATCHER = [sys.executable, "manage.py", "run_dispatcher"]
POINT = "webhook.spread@task.cancelled"


@pytest.fixture
def env(process_env: dict[str, str], tmp_path: Path) -> dict[str, str]:
    (tmp_path / "failpoints").mkdir()
    return process_env | {
        "AGENTAPP_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8", "AGENTAPP_FAILPOINTS": str(tmp_path / "failpoints"),
    }  # fmt: skip


@contextmanager
def dispatcher(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(DISPATCHER, env=env, cwd=CHECKOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_dispatcher_that_dies_between_submit_and_mark_leaves_one_delivery(
    env: dict[str, str], principal: Principal, well: Receiver, tmp_path: Path
) -> None:
    _, secret = endpoint(principal, well)
    (tmp_path / "failpoints" / POINT).touch()
    task = cancelled_task(principal)
    with dispatcher(env) as first:
        until(lambda: first.poll() is not None, "the dispatcher dies")
    assert WebhookEvent.objects.filter(spread_at=None).count() == 1
    assert Workflow.objects.filter(origin="webhook").count() == 1

    log = tmp_path / "worker.log"
    with dispatcher(env), running_worker(env, log=log, more=("-Q", "webhooks")):
        until(lambda: WebhookEvent.objects.filter(spread_at__isnull=False).exists(), "the event is spread")
        until(lambda: Workflow.objects.filter(origin="webhook", state="completed").exists(), "it is delivered")

    assert Workflow.objects.filter(origin="webhook").count() == WebhookDelivery.objects.count() == 1
    assert len(well.requests) == 1
    assert Webhook(secret).verify(well.requests[0].body, well.requests[0].headers)["data"]["id"] == str(task.pk)
