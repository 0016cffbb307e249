"""Calls of one turn that run one after the other, because their tool or the choice of the model says so. [C5]"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import registry
from agentapp.flows import Conversation
from agentapp.lifecycle.opened import Claimed
from agentapp.llm import learned
from agentapp.llm.capabilities import Form
from agentapp.llm.tool_calls import ToolCall
from agentapp.models import Effect, Job, ModelChoice, Stage, Workflow
from agentapp.runtime import runner
from agentapp.services import dead_letters, forks, messages, model_choices, workflows
from agentapp.services.principals import Principal
from agentapp.tools import planning
from agentapp.tools import registry as tools
from agentapp.tools.registry import find
from tasks.flows.agent import agent
from tests.harness import be_a_worker, drain, histories_are_legal
from tests.lifecycle.effect_moves import lost
from tests.lifecycle.test_locks import take
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script, turns
from tests.tasks.mcp_servers import OPERATOR
from tests.tasks.writing_tools import append_line, note_down

pytestmark = pytest.mark.django_db

FIRST, SECOND, SUM = call("append_line", text="one"), call("append_line", text="two"), call("calculate", expression="1")
TOOLS = [append_line.__name__, note_down.__name__, "calculate", "search_documents"]


def groups(task: Workflow) -> list[list[str]]:
    """The tools of each stage of calls, in order."""
    found: dict[int, list[str]] = {}
    done = Job.objects.filter(workflow=task, type="run_tool").order_by("stage__position", "part")
    for position, tool in done.values_list("stage__position", "tool"):
        found.setdefault(position, []).append(tool)
    return list(found.values())


def asked(model: OfflineModel) -> int:
    return sum(bool(request["body"].get("tools")) for request in model.requests())


@pytest.fixture
def one_at_a_time(settings: Settings) -> None:
    """No job is gone on with in place."""
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0


def step(task: Workflow) -> None:
    """Run the one job that is available."""
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))


def told(model: OfflineModel) -> list[tuple[str, str]]:
    """The results that the last request told the model: the id of the call, and the text."""
    sent = model.requests()[-1]["body"]["messages"]
    return [(one["tool_call_id"], one["content"]) for one in sent if one["role"] == "tool"]


@pytest.mark.parametrize(
    ("tools", "one_by_one", "expected"),
    [
        ("a b c", False, [["a", "b", "c"]]),
        ("a b c", True, [["a"], ["b"], ["c"]]),
        ("a S b c", False, [["a"], ["S"], ["b", "c"]]),
        ("S S a", False, [["S"], ["S"], ["a"]]),
        ("", False, [[]]),
    ],
)
def test_calls_are_put_into_groups_in_their_order(tools: str, one_by_one: bool, expected: list[list[str]]) -> None:
    calculate, line = find("calculate"), find("append_line")
    assert calculate and line
    known = {name: replace(line if name == "S" else calculate, name=name) for name in "abcS"}
    arguments = {True: '{"text": "x"}', False: '{"expression": "1"}'}
    calls = [ToolCall(str(number), name, arguments[name == "S"]) for number, name in enumerate(tools.split())]

    plan = planning.plan(calls, known, tainted=False, is_one_by_one=one_by_one)

    assert [[one.tool for one in group] for group in (plan.calls, *plan.rest)] == expected
    assert [one.nth for group in (plan.calls, *plan.rest) for one in group if one.tool == "S"] == (
        list(range(tools.count("S")))
    )


def test_calls_of_a_sequential_tool_run_alone_and_the_model_is_asked_after_the_last(
    principal: Principal, agent_model: OfflineModel
) -> None:
    calls = [SUM, SUM, FIRST, SECOND, FIRST, SUM]
    task = run(principal, script(calls, "Done."), tools=TOOLS, max_turns=2, budget={"turns": 2})

    assert groups(task) == [["calculate"] * 2, *[["append_line"]] * 3, ["calculate"]]
    assert (result(task)["outcome"], result(task)["turns"], asked(agent_model)) == ("answered", 2, 2)
    assert [id for id, _ in told(agent_model)] == [f"t001c000{number}" for number in range(6)]
    lines = [text for id, text in told(agent_model) if id in ("t001c0002", "t001c0003", "t001c0004")]
    assert len(set(lines)) == 3, "two equal calls of one answer are two effects, also in groups of their own"
    assert Effect.objects.filter(state="confirmed").count() == 3
    assert histories_are_legal()


def test_a_choice_without_parallel_calls_tells_the_model_and_runs_what_comes_at_once_one_by_one(
    principal: Principal, agent_model: OfflineModel, settings: Settings
) -> None:
    model_choices.save(OPERATOR, ModelChoice(), {"model": "offline", "parallel_tool_calls": False})
    told_so = run(principal, script([SUM, FIRST], "Done."), tools=TOOLS)
    assert groups(told_so)[0] == ["calculate"]
    bodies = [request["body"] for request in agent_model.requests() if request["body"].get("tools")]
    assert bodies and {body.get("parallel_tool_calls") for body in bodies} == {False}

    # A provider that does not take the parameter answers several calls.
    learned.remember(settings.AGENTAPP_MODEL_BASE_URL, "offline", learned.Learned(form=Form(one_call=False)))
    task = run(principal, script([SUM, SUM, SUM], "Done."), tools=TOOLS)
    learned.forget()

    assert "parallel_tool_calls" not in agent_model.requests()[-1]["body"]
    assert groups(task) == [["calculate"]] * 3 and result(task)["turns"] == 2


def test_a_worker_that_is_killed_between_two_groups_repeats_neither_the_model_nor_a_call(
    principal: Principal, agent_model: OfflineModel, one_at_a_time: None
) -> None:
    """Killed in each job once, before anything of it is stored."""
    task = workflows.submit(
        principal, kind="agent", input={"instruction": script([FIRST, SECOND], "Done."), "tools": TOOLS}
    )
    seen: list[str] = []
    while (job := Job.objects.filter(workflow=task, state="available").first()) is not None:
        seen.append(job.type)
        killed = take(job)
        assert isinstance(killed, Claimed)
        lost(killed)
        step(task)

    task.refresh_from_db()
    assert seen == ["agent_turn", "run_tool", "agent_turn", "run_tool", "agent_turn"]
    assert (task.state, result(task)["turns"], asked(agent_model)) == ("completed", 2, 2)
    assert Effect.objects.count() == 2


def test_a_group_that_reads_what_others_wrote_taints_the_groups_behind_it(
    principal: Principal, support_model: OfflineModel
) -> None:
    search = call("search_documents", query="How long are deleted projects kept?")
    task = run(principal, script([FIRST, search, SECOND], "Done."), tools=TOOLS)

    assert task.state == "awaiting_approval" and groups(task)[:2] == [["append_line"], ["search_documents"]]
    assert [one["arguments"] for one in pending(task).content["calls"]] == [{"text": "two"}]
    assert Effect.objects.filter(state="confirmed").count() == 1
    task = decide(principal, task, "approve")

    assert Effect.objects.filter(state="confirmed").count() == 2
    assert [tool for tool, status, _ in results(task) if status == "ok"] == [
        "append_line", "search_documents", "append_line"
    ]  # fmt: skip


@pytest.mark.parametrize(("decision", "said"), [
    ("reject", "a person has refused a call before it"), ("request_changes", "A person asks for changes: Later.")
])  # fmt: skip
def test_after_a_no_of_a_person_the_model_is_asked_before_the_rest_is_run(
    principal: Principal, agent_model: OfflineModel, decision: str, said: str
) -> None:
    task = run(principal, script([SUM, FIRST, SECOND], "Done."), tools=TOOLS, material="Text of others.")
    assert groups(task)[0] == ["calculate"] and task.state == "awaiting_approval"

    task = decide(principal, task, decision, reason="Later.")

    assert (task.state, result(task)["turns"]) == ("completed", 2) and not Effect.objects.exists()
    assert [id for id, _ in told(agent_model)] == ["t001c0000", "t001c0001", "t001c0002"]
    assert said in told(agent_model)[-1][1]


def test_an_effect_in_doubt_holds_the_groups_behind_it_until_a_person_has_found_out(
    principal: Principal, agent_model: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = find("append_line")
    assert tool is not None

    def fails(ctx: Any, *, text: str) -> dict[str, Any]:
        def broken(_: str) -> dict[str, Any]:
            raise RuntimeError("The connection was lost in between.")

        return dict(ctx.effect(broken, request={"text": text}))

    monkeypatch.setitem(tools._tools, "append_line", replace(tool, body=fails))
    task = run(principal, script([FIRST, SUM], "Done."), tools=TOOLS)
    letter = Job.objects.get(workflow=task, state="dead_lettered")
    assert Effect.objects.get().state == "sent" and groups(task) == [["append_line"]]

    dead_letters.resolve(principal, letter.pk, output={"text": "It is there."}, reason="looked it up")
    drain(task)

    task.refresh_from_db()
    assert (task.state, groups(task)) == ("completed", [["append_line"], ["calculate"]])
    assert [text for _, text in told(agent_model)] == ["It is there.", "1 = 1"]


@pytest.mark.parametrize("on_message", ["queue", "interrupt"])
def test_a_message_between_two_groups_waits_for_the_rest_or_comes_before_it(
    principal: Principal, agent_model: OfflineModel, monkeypatch: pytest.MonkeyPatch, one_at_a_time: None,
    on_message: Any,
) -> None:  # fmt: skip
    kind = f"agent_with_{on_message}"
    flow = replace(agent, kind=kind, conversation=Conversation("agent_turn", on_message=on_message))
    monkeypatch.setitem(registry.flows, (kind, flow.version), flow)
    given = {"instruction": script([FIRST, SECOND], "Done."), "tools": TOOLS}
    task = workflows.submit(principal, kind=kind, input=given)
    step(task)
    step(task)

    messages.say(principal, task.pk, text=script("I have read it.", ask="Stop."))
    drain(task)

    task.refresh_from_db()
    assert result(task)["answer"] == "I have read it."
    assert Effect.objects.count() == (2 if on_message == "queue" else 1)
    assert [turn["heard"] for turn in turns(task)] == ([0, 0, 1] if on_message == "queue" else [0, 1])


def test_a_fork_between_two_groups_hands_out_what_is_left_and_writes_nothing_twice(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, script([FIRST, SECOND], [FIRST], "Done."), tools=TOOLS)
    positions = Stage.objects.filter(workflow=task, name="agent_turn").order_by("position")
    assert positions.count() == 4
    assert Effect.objects.count() == 3, "the same words in another turn are another effect"

    fork = forks.fork(principal, task.pk, from_stage="agent_turn")
    drain(fork)

    fork.refresh_from_db()
    assert result(fork)["answer"] == "Done." and Effect.objects.count() == 3
