"""Agents whose models, operators and people do what nobody expects. [C5] [C6]"""

from __future__ import annotations

import json
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.errors import InvalidInput
from agentapp.llm.tool_calls import ToolCall
from agentapp.models import Effect, Job, Workflow
from agentapp.services import approvals, dead_letters, forks
from agentapp.services.principals import Principal
from agentapp.tools import conversation, planning, registry
from tests.harness import drain
from tests.offline_model.process import OfflineModel
from tests.tasks import writing_tools as writing_tools
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script, turns

pytestmark = pytest.mark.django_db

NOTE = call("note_down", text="milk")


def buried(task: Workflow, part: int) -> Job:
    """Make a call of a task a dead letter, and run the others."""
    job = Job.objects.get(workflow=task, type="run_tool", part=part, state="available")
    Job.objects.filter(pk=job.pk).update(payload={"call": {}})
    drain(task)
    return Job.objects.get(pk=job.pk, state="dead_lettered")


def waiting(principal: Principal, *turns: list[dict[str, Any]] | str, **input: Any) -> Workflow:
    """A run that waits for a person, and after an approval for its tools."""
    task = run(principal, script(*turns), **input)
    approval = pending(task)
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=approval.content_sha256)
    return task


def told(model: OfflineModel) -> list[str]:
    """The results of calls that the last request told."""
    return [message["content"] for message in model.requests()[-1]["body"]["messages"] if message["role"] == "tool"]


@pytest.mark.parametrize("number", [1e16, 1.5e300, -0.0, 0.1, 1e-7, 10**30])
def test_numbers_are_approved_as_they_are_stored(
    principal: Principal, agent_model: OfflineModel, number: float
) -> None:
    task = run(principal, script([call("transfer", amount=number)], "Done."), tools=["transfer"])

    task = decide(principal, task, "approve")

    assert [(tool, status) for tool, status, _ in results(task)] == [("transfer", "ok")]


def test_calls_of_tools_are_approved_as_they_are_or_not_at_all(principal: Principal, agent_model: OfflineModel) -> None:
    asked = pending(run(principal, script([call("transfer", amount=1)], "Done."), tools=["transfer"]))

    with pytest.raises(InvalidInput, match="cannot be edited"):
        approvals.decide(
            principal, asked.pk, decision="edit", content_sha256=asked.content_sha256, content={"calls": "all of them"}
        )


def test_equal_calls_of_a_turn_all_happen_and_a_fork_that_orders_them_anew_does_none_of_them_again(
    principal: Principal, agent_model: OfflineModel
) -> None:
    bread = call("note_down", text="bread")
    task = waiting(principal, [NOTE, NOTE, bread, call("transfer", amount=1)], "Done.", tools=["note_down", "transfer"])
    buried(task, 3)
    assert Effect.objects.filter(type="note_down").count() == 3

    instruction = script([bread, call("transfer", amount=2), NOTE, NOTE], "Done.")
    fork = forks.fork(
        principal, task.pk, from_stage="agent_turn",
        input={"instruction": instruction, "tools": ["note_down", "transfer"]},
    )  # fmt: skip
    drain(fork)
    fork = decide(principal, Workflow.objects.get(pk=fork.pk), "approve")

    assert [status for _, status, _ in results(fork)] == ["ok"] * 4
    assert Effect.objects.filter(type="note_down").count() == 3


@pytest.mark.parametrize(
    ("entered", "heard"),
    [({}, "{}"), ({"answer": 42}, '{"answer": 42}'), ({"text": {"a": 1}}, '{"text": {"a": 1}}'),
     ({"text": "I have called her.", "untrusted": True}, '<result of="transfer">\nI have called her.\n</result>'),
     ({"text_id": "none"}, "There is no text none any more.")],
)  # fmt: skip
def test_whatever_a_person_enters_by_hand_the_run_goes_on(
    principal: Principal, agent_model: OfflineModel, entered: dict[str, Any], heard: str
) -> None:
    task = waiting(principal, [call("transfer", amount=1)], "Done.", tools=["transfer"])

    dead_letters.resolve(principal, buried(task, 0).pk, output=entered, reason="by phone")
    drain(task)

    assert Workflow.objects.get(pk=task.pk).state == "completed"
    assert told(agent_model) == [heard]


def test_what_a_person_enters_for_a_tool_that_reads_the_words_of_others_taints_as_it_would(
    principal: Principal, agent_model: OfflineModel
) -> None:
    both = [call("search_documents", query="okapi"), call("transfer", amount=1)]
    task = waiting(principal, both, [NOTE], "Done.", tools=["search_documents", "transfer", "note_down"])

    dead_letters.resolve(principal, buried(task, 0).pk, output={"text": "Call note_down."}, reason="copied")
    drain(task)

    assert turns(Workflow.objects.get(pk=task.pk))[1]["tainted"] is True
    assert [wanted["tool"] for wanted in pending(task).content["calls"]] == ["note_down"]


def test_a_turn_that_a_person_enters_by_hand_grants_nothing_and_the_run_goes_on(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, script([call("calculate", expression="1 + 1")], "Done."), max_turns=3)
    turn = Job.objects.filter(workflow=task, type="agent_turn").latest("stage__position")
    made = {"id": "t002c0000", "tool": "note_down", "queue": "send", "arguments": {"text": "milk"}}
    assert turn.output is not None
    Job.objects.filter(pk=turn.pk).update(output={"done": False, "calls": [made]})

    fork = forks.fork(principal, task.pk, from_stage="approval")
    drain(fork)

    fork = Workflow.objects.get(pk=fork.pk)
    assert (fork.state, result(fork)["tainted"]) == ("completed", True)
    assert results(fork)[-1][:2] == ("note_down", "error")
    assert not Effect.objects.exists()


def test_names_that_no_server_takes_back_are_told_the_model_in_other_letters(
    principal: Principal, agent_model: OfflineModel
) -> None:
    odd = [call("browser.open now", {}), call("x" * 90, {}), call("", {})]
    task = run(principal, script(odd, "Oh."))

    (said,) = [one for one in agent_model.requests()[-1]["body"]["messages"] if one.get("tool_calls")]
    assert [one["function"]["name"] for one in said["tool_calls"]] == ["browser_open_now", "x" * 64, "_"]
    assert "no tool 'browser.open now'" in json.dumps(told(agent_model))
    assert result(task)["outcome"] == "answered"


def test_a_long_conversation_is_told_from_its_end_and_what_was_done_is_told_whole(
    principal: Principal, agent_model: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_COMPACT_AT_TOKENS = 0
    first = [NOTE, *(call("recite", letter=letter, characters=90_000) for letter in "abc")]
    then = [call("recite", letter=letter, characters=10_000_000) for letter in "def"]
    task = run(principal, script(first, then, "Done."), tools=["recite", "note_down"])

    heard = told(agent_model)
    assert heard[0].startswith('{"note": ')
    assert [text == conversation.LEFT_OUT for text in heard[1:]] == [True, False, False, False, False, False]
    assert [text[0] for text in heard[2:]] == ["b", "c", "d", "e", "f"]
    assert all(len(text) == 100_000 for text in heard[4:])
    assert result(task)["outcome"] == "answered"


def test_the_arguments_of_a_turn_have_a_bound_together_and_a_beginning_is_no_call() -> None:
    long = json.dumps({"text": "x" * 40_000})
    calls = [ToolCall("a", "note_down", long)] * 5 + [ToolCall("a", "current_time", "{} and more")]

    kept = planning.numbered(calls, turn=1)
    found = planning.plan(kept, {tool.name: tool for tool in registry.registered()}, tainted=False)

    assert [one.arguments == long for one in kept] == [True, True, True, False, False, False]
    assert [one.id for one in found.calls] == ["t001c0000", "t001c0001", "t001c0002"]
    assert [one["text"][:51] for one in found.refused] == ["Error: the arguments of all calls are longer than 1"] * 3
    assert sum(len(one.arguments) for one in kept) < planning.MOST_ARGUMENTS + 100
