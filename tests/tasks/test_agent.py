"""An agent calls tools until it is done: turns, calls in parallel, malformed calls, caps. [C5]"""

from __future__ import annotations

from pathlib import Path

import pytest

from agentapp.errors import InvalidInput
from agentapp.models import Artifact, Job, Stage, Workflow
from agentapp.services import forks, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, result, results, run, script, turns

pytestmark = pytest.mark.django_db

SUM = call("calculate", expression="2 + 3")


def test_an_agent_searches_and_answers_from_what_it_found(principal: Principal, support_model: OfflineModel) -> None:
    task = run(principal, "How long are deleted projects kept?")

    assert (task.state, result(task)["outcome"], result(task)["turns"]) == ("completed", "answered", 2)
    assert "search_documents says" in result(task)["answer"]
    assert result(task)["tainted"] is True
    assert [tool for tool, status, _ in results(task) if status == "ok"] == ["search_documents"]
    assert histories_are_legal()


def test_calls_of_one_turn_are_jobs_of_one_stage_with_results_in_the_order_of_the_calls(
    principal: Principal, agent_model: OfflineModel
) -> None:
    calls = [call("calculate", expression=f"{number} * {number}") for number in range(1, 6)]
    task = run(principal, script(calls, "Done."))

    stage = Stage.objects.get(workflow=task, name="run_tool", position=4)
    assert Job.objects.filter(stage=stage).count() == 5
    told = [message for message in agent_model.requests()[-1]["body"]["messages"] if message["role"] == "tool"]
    assert [message["content"] for message in told] == [f"{n} * {n} = {n * n}" for n in range(1, 6)]
    assert [message["tool_call_id"] for message in told] == [f"t001c000{number}" for number in range(5)]
    assert result(task)["answer"] == "Done."


def test_the_conversation_is_told_from_what_is_stored(principal: Principal, agent_model: OfflineModel) -> None:
    run(principal, script([SUM], [call("current_time")], "Five."))

    said = [
        (message["role"], bool(message.get("tool_calls"))) for message in agent_model.requests()[-1]["body"]["messages"]
    ]

    assert said == [("system", False), ("user", False), ("assistant", True), ("tool", False), ("assistant", True),
                    ("tool", False)]  # fmt: skip


def test_what_is_malformed_goes_back_to_the_model_as_an_error(principal: Principal, agent_model: OfflineModel) -> None:
    wrong = [
        call("calculate", '{"expression": '), call("calculate", {"number": 3}), call("rm", {}),
        call("send_message", to="a@b.example", subject="s", body="b"), SUM,
    ]  # fmt: skip
    task = run(principal, script(wrong, "Five."))

    told = {
        message["tool_call_id"]: message["content"]
        for message in agent_model.requests()[-1]["body"]["messages"]
        if message["role"] == "tool"
    }
    assert "not a JSON object" in told["t001c0000"]
    assert "number" in told["t001c0001"] and "expression" in told["t001c0001"]
    assert "no tool 'rm'" in told["t001c0002"]
    assert "no tool 'send_message'" in told["t001c0003"], "a tool that writes is not granted unless it is named"
    assert told["t001c0004"] == "2 + 3 = 5"
    assert results(task) == [("calculate", "ok", "2 + 3 = 5")]


def test_malformed_calls_end_the_run_after_three_turns_in_a_row(
    principal: Principal, agent_model: OfflineModel
) -> None:
    bad = [call("calculate", "no JSON")]
    task = run(principal, script(bad, bad, [SUM], bad, bad, bad, "never said"))

    assert (task.state, result(task)["outcome"]) == ("completed", "stopped: malformed calls")
    assert result(task)["turns"] == 6, "a good call between them begins the count anew"


def test_the_cap_of_turns_ends_the_run_with_what_there_is(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, script(*[[SUM]] * 10), max_turns=4)

    assert (task.state, result(task)["outcome"], result(task)["turns"]) == ("completed", "stopped: turns", 4)
    assert len(results(task)) == 3, "the calls of the last turn are not made"


def test_a_tool_that_fails_is_told_to_the_model(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, script([call("calculate", expression="1 / 0"), call("calculate", expression="ten")], "Oh."))

    assert [(status, text[:30]) for _, status, text in results(task)] == [
        ("error", "Error: This cannot be calculat")] * 2  # fmt: skip
    assert result(task)["outcome"] == "answered"


def test_long_texts_are_artifacts(principal: Principal, agent_model: OfflineModel) -> None:
    long = "many words " * 1_000
    task = run(principal, script([call("calculate", expression="1+1")], long))

    assert "answer" not in result(task)
    assert Artifact.objects.get(pk=result(task)["answer_id"]).size == len(long.strip())


def test_a_fork_goes_on_from_the_turns_before_it(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, script([SUM], [call("current_time")], "Five."))
    asked = len(agent_model.requests())

    fork = forks.fork(principal, task.pk, from_stage="agent_turn")
    drain(fork)
    fork = Workflow.objects.get(pk=fork.pk)

    assert (fork.state, result(fork)["answer"]) == ("completed", "Five.")
    assert turns(fork) == turns(task)
    assert len(agent_model.requests()) == asked + 1


def test_a_tool_that_does_not_exist_is_refused_when_the_task_is_submitted(principal: Principal) -> None:
    with pytest.raises(InvalidInput, match=r"There is no tool 'rm'\. Choose of: .*calculate, "):
        workflows.submit(principal, kind="agent", input={"instruction": "x", "tools": ["rm"]})


def test_another_tenant_finds_nothing(
    principal: Principal, other_principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    task = run(other_principal, "How long are deleted projects kept?")

    assert results(task) == [("search_documents", "ok", "Nothing was found.")]
