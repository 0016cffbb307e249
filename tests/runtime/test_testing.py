"""The fixture `platform` of agentapp.testing, for packages of others; their template's own tests use the rest of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentapp import clock, registry
from agentapp.testing import call
from agentapp.testing.platform import Platform, opened
from tests.offline_model.conftest import model as model
from tests.offline_model.conftest import model_process as model_process
from tests.offline_model.process import OfflineModel
from tests.retrieval.conftest import provider as provider

pytestmark = pytest.mark.django_db


@pytest.fixture
def platform(provider: OfflineModel) -> Iterator[Platform]:
    with opened(provider) as one:
        yield one
    assert clock.fixed() is None


def test_a_person_is_asked_and_decides(platform: Platform) -> None:
    calls = [call("create_ticket", title="A leak", text="It drips.")]
    asked = platform.run_agent(calls, "Done.", tools=["create_ticket"])
    assert (asked.state, bool(asked.approval)) == ("awaiting_approval", True), asked.why
    assert asked.tool_results == []

    done = platform.decide(asked, "reject", reason="Not now.")
    assert (done.state, done.approval, done.result["answer"]) == ("completed", None, "Done."), done.why
    assert [one.status for one in done.tool_results] == ["refused"]


def test_a_job_whose_payload_does_not_fit_says_why(platform: Platform) -> None:
    before = dict(registry.flows)
    task = platform.run_job("classify_ticket", nothing="here")

    assert task.job.state == "dead_lettered"
    assert "InvalidPayload" in task.why and "nothing" in task.why
    assert registry.flows == before


def test_time_passes_only_where_a_test_says_so(platform: Platform) -> None:
    platform.model.fail("status", status=503, times=1)
    task = platform.run_job("plan_research", question="What is a lease?")
    assert task.job.state == "retryable", task.why
    assert platform.later(task, seconds=1).job.state == "retryable"
    assert platform.later(task, seconds=3_600).job.attempt == 2
