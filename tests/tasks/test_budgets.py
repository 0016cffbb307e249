"""A run whose budget is used up asks a person, goes on where it was, or ends with what it has. [C5] [H4]"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.errors import InvalidInput
from agentapp.models import Approval, Job, ModelChoice, Workflow
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.runtime import runner
from agentapp.services import approvals, messages, model_choices, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, pending, result, results, run, script, turns

pytestmark = pytest.mark.django_db

SUM = [call("calculate", expression="2 + 3")]
RUNAWAY = script(*[SUM] * 8, "Done.")


def asked(model: OfflineModel) -> list[dict[str, Any]]:
    """What the model was asked, without the embeddings of the help pages."""
    return [request["body"] for request in model.requests() if "messages" in request["body"]]


def edit(principal: Principal, task: Workflow, raise_to: str) -> Workflow:
    shown = pending(task)
    approvals.decide(
        principal, shown.pk, decision="edit", raise_to=raise_to, content_sha256=shown.content_sha256
    )  # fmt: skip
    drain(task)
    return Workflow.objects.get(pk=task.pk)


def test_a_runaway_stops_at_its_budget_of_turns_and_goes_on_where_it_was(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, RUNAWAY, budget={"turns": 3})
    assert (task.state, len(results(task)), len(asked(agent_model))) == ("awaiting_approval", 3, 3)
    shown = pending(task).content
    assert (shown["budget"], shown["used"], shown["limit"], shown["raise_to"]) == ("turns", "3", "3", "6")

    task = decide(principal, task, "approve")
    assert (task.state, len(results(task)), len(asked(agent_model))) == ("awaiting_approval", 6, 6)

    task = edit(principal, task, "100")
    said = Approval.objects.filter(workflow=task).latest("pk").content
    assert (said["raise_to"], said["subject"]) == ("100", "Raise the budget of turns from 6 to 100?")
    assert "goes on with a budget of 100 turns" in said["body"]
    assert (task.state, result(task)["answer"], result(task)["turns"]) == ("completed", "Done.", 9)
    assert len(asked(agent_model)) == 9, "what was asked before is not asked again"
    assert histories_are_legal()


def test_a_rejection_ends_the_run_with_what_it_has(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, script(SUM, "So far: five.", ask="Go."), budget={"turns": 1})

    task = decide(principal, task, "reject", reason="too dear")

    assert (task.state, result(task)["outcome"]) == ("completed", "stopped: budget (turns)")
    assert results(task) == [("calculate", "ok", "2 + 3 = 5")]
    assert result(task)["turns"] == 1 and len(asked(agent_model)) == 1


def test_a_budget_of_tokens_makes_answers_shorter_and_is_never_overspent(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, RUNAWAY, budget={"tokens": 12_000})

    longest = [request["max_tokens"] for request in asked(agent_model)]
    assert task.state == "awaiting_approval" and pending(task).content["budget"] == "tokens"
    assert longest == sorted(longest, reverse=True) and longest[-1] < 8_000
    assert 0 < Workflow.objects.get(pk=task.pk).tokens <= 12_000
    assert 0 < len(longest) < 9

    task = edit(principal, task, "1000000")

    assert (task.state, result(task)["answer"], len(results(task))) == ("completed", "Done.", 8)
    assert len(asked(agent_model)) == 9, "what was asked before is not asked again"


def test_the_time_in_which_a_person_decides_does_not_count(
    principal: Principal, agent_model: OfflineModel, clock: Clock
) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": RUNAWAY, "budget": {"wall_clock_s": 60}})
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))
    clock.advance(61)
    drain(task)
    task = Workflow.objects.get(pk=task.pk)
    assert pending(task).content["used"] == "61"

    clock.advance(24 * 3600)
    task = decide(principal, task, "approve")

    assert (task.state, result(task)["answer"]) == ("completed", "Done.")


def test_a_limit_of_money_with_a_model_that_has_no_price_is_asked_about_first(
    principal: Principal, agent_model: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_MODEL = "nobody-knows-me"
    task = run(principal, script("Done."), budget={"cost_usd": 5})

    assert (task.state, len(asked(agent_model))) == ("awaiting_approval", 0)
    assert pending(task).content["budget"] == "unpriced"
    with pytest.raises(InvalidInput):
        edit(principal, task, "7")
    assert result(decide(principal, task, "approve"))["answer"] == "Done."


def test_a_model_with_a_price_stays_within_its_budget_of_money(
    principal: Principal, agent_model: OfflineModel, settings: Settings
) -> None:
    settings.AGENTAPP_MODEL = "gpt-4o"
    task = run(principal, RUNAWAY, budget={"cost_usd": 0.005})

    found = pending(task).content
    assert (found["budget"], found["limit"]) == ("cost_usd", "0.005")
    assert "0.005 US dollars are used. The next turn may need 0." in found["body"]
    assert task.cost_usd <= Decimal("0.005")

    task = edit(principal, task, "100")

    assert (task.state, result(task)["answer"], len(results(task))) == ("completed", "Done.", 8)


def test_a_budget_holds_for_the_model_that_a_row_chooses(principal: Principal, agent_model: OfflineModel) -> None:
    operator = Principal(frozenset(OPERATOR_SCOPES), None)
    values = {"job_type": "agent_turn", "model": "offline", "max_output_tokens": 100_000}
    row = model_choices.save(operator, ModelChoice(), values)
    run(principal, script("Done."), budget={"tokens": 12_000})
    assert [request["max_tokens"] < 12_000 for request in asked(agent_model)] == [True]

    # That one might answer, too, and nobody knows what it would cost.
    model_choices.save(operator, row, values | {"fallback_model": "nobody-knows-me"})
    task = run(principal, script("Done."), budget={"cost_usd": 5})
    assert pending(task).content["budget"] == "unpriced" and len(asked(agent_model)) == 1


def test_a_message_that_waits_while_a_person_is_asked_is_read_after_it(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, RUNAWAY, budget={"turns": 1})
    messages.say(principal, task.pk, text=script("I have read it.", ask="Stop."))

    task = decide(principal, task, "approve")

    assert result(task)["answer"] == "I have read it."


def test_a_write_is_still_approved_beside_a_budget(
    principal: Principal, agent_model: OfflineModel, outbox: Path
) -> None:
    mail = call("send_message", to="a@b.example", subject="s", body="b")
    task = run(principal, script([mail], "Sent."), tools=["send_message"], budget={"turns": 1})
    assert "calls" in pending(task).content

    task = decide(principal, task, "approve")
    assert pending(task).content["budget"] == "turns"
    task = decide(principal, task, "approve")

    assert result(task)["answer"] == "Sent." and len(results(task)) == 1


def test_an_edit_must_be_above_what_is_used(principal: Principal, agent_model: OfflineModel) -> None:
    task = run(principal, RUNAWAY, budget={"turns": 2})

    for amount in ("2", "0", "many"):
        with pytest.raises(InvalidInput, match="Write a number above 2"):
            edit(principal, task, amount)
    assert edit(principal, task, "3").state == "awaiting_approval" and len(turns(task)) == 5
