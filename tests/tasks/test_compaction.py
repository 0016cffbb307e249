"""The model of a long conversation is told a summary of its beginning; what was said and done stays stored. [C5]"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import registry
from agentapp.clock import Clock
from agentapp.models import Effect, Job, ModelCall, Workflow
from agentapp.runtime.earlier import EarlierStage
from agentapp.services import forks, messages
from agentapp.services.principals import Principal
from agentapp.tools import summaries
from tests.harness import drain, histories_are_legal, make_due
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script, turns
from tests.tasks.writing_tools import append_line, note_down, recite

pytestmark = pytest.mark.django_db

Json = dict[str, Any]
LIMIT = 8_000
TOOLS = [recite.__name__, note_down.__name__, "calculate", "search_documents"]
# What only the prompt of a summary says.
SUMMARY_PROMPT = {"contains": "You shorten the conversation"}


@pytest.fixture(autouse=True)
def limit(settings: Settings) -> None:
    settings.AGENTAPP_COMPACT_AT_TOKENS = LIMIT


def reciting(letters: str, *, ask: str = "Do it.", answer: str = "Done.") -> str:
    """An instruction to recite letters, each so often that four of them are too long to be told."""
    return script(*[[call("recite", letter=letter, characters=4_000)] for letter in letters], answer, ask=ask)


def asked(model: OfflineModel) -> list[list[Json]]:
    """What the model was told in each turn, without the prompts of summaries."""
    sent = [request["body"] for request in model.requests() if "messages" in request["body"]]
    return [body["messages"] for body in sent if body.get("tools")]


def summed_up(task: Workflow) -> list[Json]:
    done = Job.objects.filter(workflow=task, type="compact_conversation", state="completed").order_by("stage__position")
    return [job.output or {} for job in done]


def is_of_summary(request: Json) -> bool:
    return SUMMARY_PROMPT["contains"] in json.dumps(request["body"])


def summary_in(told: list[Json]) -> str:
    return next((m["content"] for m in told if m["role"] == "user" and m["content"].startswith("<summary")), "")


def ended(task: Workflow) -> Workflow:
    drain(task)
    return Workflow.objects.get(pk=task.pk)


def test_a_long_conversation_is_told_with_a_summary_and_stays_as_it_was(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, reciting("abcdefgh"), tools=TOOLS)

    assert (task.state, result(task)["answer"], result(task)["turns"]) == ("completed", "Done.", 9)
    assert [text[:1] for _, _, text in results(task)] == list("abcdefgh"), "each call was made once, and is stored"
    told = asked(agent_model)
    assert len(told) == 9
    for one in told:
        made = [made["id"] for message in one for made in message.get("tool_calls") or []]
        assert [message["tool_call_id"] for message in one if message["role"] == "tool"] == made
        assert len(json.dumps(one)) < 2 * LIMIT
    covers = [made["covers"] for made in summed_up(task)]
    assert covers == sorted(set(covers)) and len(covers) >= 2
    assert f'<summary turns="{covers[-1]}">' in summary_in(told[-1])
    assert f"Other calls: recite ({covers[-1]})" in summary_in(told[-1])
    calls = ModelCall.objects.filter(workflow_id=task.pk, is_embedding=False).count()
    assert calls == 9 + sum(map(is_of_summary, agent_model.requests())), "a summary is a call of the run"
    assert histories_are_legal()


def test_a_turn_whose_calls_run_one_after_the_other_is_summarized_as_a_whole(
    principal: Principal, agent_model: OfflineModel
) -> None:
    """What the first of them return is too long already, but the model is asked only after the last one."""
    turn = [call("recite", letter="a", characters=12_000), call("append_line", text="x"),
            call("recite", letter="b", characters=12_000), call("append_line", text="x")]  # fmt: skip
    task = run(principal, script(*[turn] * 3, "Done."), tools=[*TOOLS, append_line.__name__])

    assert (task.state, result(task)["answer"], result(task)["turns"]) == ("completed", "Done.", 4)
    assert [tool for tool, _, _ in results(task)] == ["recite", "append_line"] * 6
    assert Effect.objects.filter(state="confirmed").count() == 6
    done = Job.objects.filter(workflow=task, state="completed").order_by("stage__position", "part")
    types = list(done.values_list("type", flat=True))
    before = [types[:at].count("run_tool") for at, type in enumerate(types) if type == "compact_conversation"]
    assert before and all(count % 4 == 0 for count in before), "never between two groups of a turn"
    for told in asked(agent_model):
        made = [made["id"] for message in told for made in message.get("tool_calls") or []]
        assert [message["tool_call_id"] for message in told if message["role"] == "tool"] == made
    covers = summed_up(task)[-1]["covers"]
    summary = summary_in(asked(agent_model)[-1])
    assert summary.count("- append_line") == 2 * covers and f"Other calls: recite ({2 * covers})" in summary
    assert histories_are_legal()


def test_a_fork_is_told_what_its_origin_was(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, reciting("abcdef"), tools=TOOLS)
    last = asked(agent_model)[-1]

    fork = ended(forks.fork(principal, task.pk, from_stage="agent_turn"))

    assert turns(fork) == turns(task) and asked(agent_model)[-1] == last
    assert summary_in(last)


def test_a_run_whose_summary_fails_goes_on_without_it(principal: Principal, agent_model: OfflineModel) -> None:
    agent_model.fail("status", status=400, match=SUMMARY_PROMPT)
    task = run(principal, reciting("abcdefg"), tools=TOOLS)

    assert (task.state, result(task)["answer"]) == ("completed", "Done.")
    assert [bool(made.get("failed")) for made in summed_up(task)] == [True], "the next five turns do not try again"
    assert not any(summary_in(told) for told in asked(agent_model))


def test_what_is_too_long_for_one_call_is_summarized_in_pieces_each_of_them_once(
    principal: Principal, agent_model: OfflineModel, settings: Settings, clock: Clock
) -> None:
    settings.AGENTAPP_COMPACT_AT_TOKENS = 0
    first = run(principal, reciting("abcdef"), tools=TOOLS)
    settings.AGENTAPP_COMPACT_AT_TOKENS = LIMIT
    # The second piece, which is told with the summary of the first one.
    agent_model.fail("status", status=500, match={"contains": "<summary>"})
    said = messages.say(principal, first.pk, text=script("Bye.", ask="Enough.")).message
    drain(said.workflow)
    assert Job.objects.get(workflow=said.workflow, state="retryable").type == "compact_conversation"
    make_due(clock, 3_600)
    second = ended(said.workflow)

    assert result(second)["answer"] == "Bye." and summed_up(second)[0]["covers"] == 6
    pieces = [str(one["body"]["messages"][1]["content"]) for one in agent_model.requests() if is_of_summary(one)]
    assert ["<summary>" in piece for piece in pieces] == [False, True, True, True, True]
    assert pieces[1] == pieces[2] and len(set(pieces)) == 4, "what was stored is not asked again"


def test_a_summary_of_what_others_wrote_is_no_instruction_and_the_run_stays_tainted(
    principal: Principal, support_model: OfflineModel, outbox: Path
) -> None:
    calls = [[call("search_documents", query="deleted projects")], *([call("recite", letter=x, characters=4_000)] for x
             in "abcde"), [call("note_down", text="milk")]]  # fmt: skip
    task = run(principal, script(*calls, "Done."), tools=TOOLS)

    assert task.state == "awaiting_approval" and pending(task).content["calls"][0]["tool"] == "note_down"
    assert [made["tainted"] for made in summed_up(task)] == [True] * len(summed_up(task)) != []
    task = decide(principal, task, "approve")
    assert result(task)["tainted"] is True
    inner = summary_in(asked(support_model)[-1]).removeprefix("<summary").removesuffix("</summary>")
    assert inner and "<" not in inner


def test_a_follow_up_reads_the_summary_and_what_clients_have_said(
    principal: Principal, agent_model: OfflineModel
) -> None:
    first = run(principal, script("Yes.", ask="Hello."), tools=TOOLS)
    second = ended(messages.say(principal, first.pk, text=reciting("abcdef", ask="Never in red.")).message.workflow)
    third = ended(messages.say(principal, second.pk, text=script("Bye.", ask="Enough.")).message.workflow)

    told = asked(agent_model)[-1]
    assert summed_up(second) and summary_in(told)
    users = [message["content"].splitlines()[0] for message in told if message["role"] == "user"]
    assert users[:2] == ["Hello.", "Never in red."] and users[-1] == "Enough."
    assert result(third)["answer"] == "Bye."


def test_calls_that_write_are_listed_by_what_is_stored(principal: Principal, agent_model: OfflineModel) -> None:
    calls = [[call("note_down", text="milk")], *([call("recite", letter=x, characters=4_000)] for x in "abcde")]
    run(principal, script(*calls, "Done."), tools=TOOLS)

    listed = summary_in(asked(agent_model)[-1])
    assert '- note_down {"text": "milk"}: {"note": ' in listed


def test_a_plan_that_began_before_is_told_everything(
    principal: Principal, agent_model: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry.flows, ("agent", 2), replace(registry.flows["agent", 1], version=2))
    task = run(principal, reciting("abcdef"), tools=TOOLS)

    assert result(task)["answer"] == "Done." and not any(summary_in(told) for told in asked(agent_model))


def test_a_summary_that_a_person_has_entered_counts_where_it_can_be_understood() -> None:
    turn = {"turn": 1, "message": {"text": "Hm."}}
    stages = [EarlierStage("agent_turn", n, Workflow().pk, None, {0: turn}) for n in range(3)]

    def entered(output: Json) -> summaries.Summary:
        summary = EarlierStage("compact_conversation", 9, Workflow().pk, None, {0: output})
        return summaries.read([*stages, summary]).latest

    assert entered({"covers": 2, "text": "Two."}) == summaries.Summary(2, {"text": "Two."}, is_tainted=True)
    useless: list[Json] = [{}, {"covers": 2}, {"covers": 2, "text": ["x"]}]
    useless += [{"covers": covers, "text": "x"} for covers in (4, -1, 0, True, "2", float("nan"), None)]
    for output in useless:
        assert entered(output) == summaries.Summary()
