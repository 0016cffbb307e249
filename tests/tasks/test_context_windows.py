"""A conversation is summarized before its model can no longer read it, and when the model says so. [C5] [C7]"""

from __future__ import annotations

import pytest
from pytest_django import Settings

from agentapp.models import Job, ModelChoice, Workflow
from agentapp.services import model_choices
from agentapp.services.principals import Principal
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, result, results, run, script
from tests.tasks.mcp_servers import OPERATOR
from tests.tasks.writing_tools import recite

pytestmark = pytest.mark.django_db

WINDOW = 20_000
TOO_LONG = {
    "error": {"message": "This model's maximum context length is 9000 tokens.", "code": "context_length_exceeded"}
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_limit(settings: Settings) -> None:
    settings.AGENTAPP_COMPACT_AT_TOKENS = 0


def recited(principal: Principal, letters: str) -> Workflow:
    turns = [[call("recite", letter=letter, characters=4_000)] for letter in letters]
    return run(principal, script(*turns, "Done."), tools=[recite.__name__])


def summed_up(task: Workflow) -> int:
    return Job.objects.filter(workflow=task, type="compact_conversation", state="completed").count()


@pytest.mark.parametrize(
    "chosen",
    [
        {"context_tokens": WINDOW},
        {"context_tokens": 10**6, "fallback_model": "offline-small", "fallback_context_tokens": WINDOW},
        {"fallback_model": "offline-small", "fallback_context_tokens": WINDOW},
    ],
    ids=["its own", "the fallback's, which is smaller", "the fallback's alone"],
)
def test_a_conversation_is_summarized_before_it_fills_the_context_of_a_model_that_may_answer(
    principal: Principal, agent_model: OfflineModel, chosen: dict[str, int | str]
) -> None:
    model_choices.save(OPERATOR, ModelChoice(), {"job_type": "agent_turn", "model": "offline-large", **chosen})

    task = recited(principal, "abcdefghijkl")

    assert (task.state, result(task)["answer"]) == ("completed", "Done.") and summed_up(task) >= 1
    assert [text[:1] for _, _, text in results(task)] == list("abcdefghijkl")
    used = [request["body"] for request in agent_model.requests() if request["body"].get("tools")]
    assert max(len(str(body["messages"])) for body in used) // 4 + 8_000 <= WINDOW


def test_a_larger_context_needs_no_summary(principal: Principal, agent_model: OfflineModel) -> None:
    model_choices.save(OPERATOR, ModelChoice(), {"model": "offline-large", "context_tokens": 10**6})

    assert summed_up(recited(principal, "abcdef")) == 0


def test_a_model_that_finds_a_conversation_too_long_is_told_a_summary_and_asked_again(
    principal: Principal, agent_model: OfflineModel
) -> None:
    agent_model.fail("status", status=400, body=TOO_LONG, match={"contains": "eeeeeeee"})

    task = recited(principal, "abcdef")

    assert (task.state, result(task)["answer"], summed_up(task)) == ("completed", "Done.", 1)
    assert [text[:1] for _, _, text in results(task)] == list("abcdef"), "each call was made once"


def test_a_model_for_which_the_summary_is_too_long_as_well_is_a_dead_letter(
    principal: Principal, agent_model: OfflineModel
) -> None:
    agent_model.fail("status", status=400, body=TOO_LONG, match={"contains": "eeeeeeee"}, times=None)

    task = recited(principal, "abcdef")

    (dead,) = Job.objects.filter(workflow=task, state="dead_lettered")
    assert dead.type == "agent_turn" and dead.error["class"] == "PromptTooLong" and summed_up(task) == 1  # type: ignore[index]
