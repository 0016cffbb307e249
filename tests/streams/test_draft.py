"""A draft of the real job type, as somebody sees it who follows its task."""

from __future__ import annotations

import threading

import pytest
import redis

from agentapp.models import Artifact, Job
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.api.live import Web
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel
from tests.streams.following import Told, following
from tests.tasks.conftest import outbox as outbox
from tests.tasks.conftest import provider as provider
from tests.tasks.conftest import support_model as support_model
from tests.tasks.test_support_reply import ONE_PART

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_draft_is_seen_while_it_is_written(
    web: Web, token: str, principal: Principal, support_model: OfflineModel, broker: redis.Redis
) -> None:
    task = workflows.submit(principal, kind="support_reply", input=ONE_PART)
    told: list[Told] = []

    def follow() -> None:
        with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
            for event in stream:
                told.append(event)
                if event.type == "approval":
                    return

    client = threading.Thread(target=follow)
    client.start()
    harness.drain(task)
    client.join()

    draft = Job.objects.filter(workflow=task, type="generate_draft", state="completed").order_by("id").last()
    assert draft is not None and draft.output is not None
    text = ""
    for event in told:
        if event.type == "delta" and event.data["job"] == str(draft.pk):
            text = text[: event.data["offset"]] + event.data["text"]
    assert text and text.strip() == Artifact.objects.get(pk=draft.output["draft_id"]).file.read().decode()
