"""A draft of the real job type, as somebody sees it who follows its task."""

from __future__ import annotations

import threading

import pytest
import redis

from agentapp.models import Artifact, Job
from agentapp.runtime import preview
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.acceptance.deployment import until
from tests.api.live import Web
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel
from tests.streams.following import Told, following
from tests.tasks.agent_runs import call, script
from tests.tasks.conftest import agent_model as agent_model
from tests.tasks.conftest import outbox as outbox
from tests.tasks.conftest import provider as provider
from tests.tasks.conftest import support_model as support_model
from tests.tasks.test_support_reply import ONE_PART

pytestmark = pytest.mark.django_db(transaction=True)


def texts(told: list[Told]) -> dict[str, str]:
    """The texts that a client has put together, by job."""
    found: dict[str, str] = {}
    for event in list(told):
        if event.type == "delta":
            job = event.data["job"]
            found[job] = found.get(job, "")[: event.data["offset"]] + event.data["text"]
    return found


@pytest.fixture
def seen_by(monkeypatch: pytest.MonkeyPatch) -> list[Told]:
    """What a client is told. No body ends before its text is in it, because the text of a job that is over is told to
    nobody."""
    told: list[Told] = []
    end = preview.Preview.end

    def end_when_seen(shown: preview.Preview, *, is_whole: bool) -> None:
        end(shown, is_whole=is_whole)
        if shown._text:
            until(lambda: shown._text.decode() in texts(told).values(), "the client has seen the text")

    monkeypatch.setattr(preview.Preview, "end", end_when_seen)
    return told


def test_a_draft_is_seen_while_it_is_written(
    web: Web, token: str, principal: Principal, support_model: OfflineModel, broker: redis.Redis, seen_by: list[Told]
) -> None:
    task = workflows.submit(principal, kind="support_reply", input=ONE_PART)

    def follow() -> None:
        with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
            for event in stream:
                seen_by.append(event)
                if event.type == "approval":
                    return

    client = threading.Thread(target=follow)
    client.start()
    harness.drain(task)
    client.join()

    draft = Job.objects.filter(workflow=task, type="generate_draft", state="completed").order_by("id").last()
    assert draft is not None and draft.output is not None
    text = texts(seen_by)[str(draft.pk)]
    assert text.strip() == Artifact.objects.get(pk=draft.output["draft_id"]).file.read().decode()


def test_the_turns_of_an_agent_are_seen_while_they_are_written(
    web: Web, token: str, principal: Principal, agent_model: OfflineModel, broker: redis.Redis, seen_by: list[Told]
) -> None:
    instruction = script([call("calculate", expression="2 + 3")], "Two and three are five.")
    task = workflows.submit(principal, kind="agent", input={"instruction": instruction})

    def follow() -> None:
        with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
            for event in stream:
                seen_by.append(event)

    client = threading.Thread(target=follow)
    client.start()
    harness.drain(task)
    client.join()

    last = Job.objects.filter(workflow=task, type="agent_turn", state="completed").order_by("stage__position").last()
    assert last is not None and texts(seen_by)[str(last.pk)].strip() == "Two and three are five."
