"""Messages to an agent: read once by the next turn, and what goes on after the end. [C5]"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentapp import registry
from agentapp.clock import Clock
from agentapp.errors import IllegalMove, InvalidInput, KeyUsedOtherwise, LostLease, NotFound
from agentapp.flows import Conversation
from agentapp.lifecycle import claim as moves
from agentapp.lifecycle import complete, lose, prune
from agentapp.lifecycle import messages as message_moves
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Attempt, Job, Message, Workflow
from agentapp.runtime import runner
from agentapp.services import forks, messages, workflows
from agentapp.services.principals import Principal
from agentapp.states import WorkflowState
from tasks.flows.agent import agent
from tests.harness import be_a_worker, drain, histories_are_legal, path
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, decide, result, results, run, script, turns

pytestmark = pytest.mark.django_db

PROCESS = 4711
SUM = call("calculate", expression="2 + 3")


def told(model: OfflineModel) -> list[tuple[str, str]]:
    """What the last request told the model, without the system prompt and the first instruction."""
    sent = model.requests()[-1]["body"]["messages"][2:]
    return [(message["role"], message["content"]) for message in sent]


def say(principal: Principal, task: Workflow, text: str, **more: Any) -> Message:
    return messages.say(principal, task.pk, text=text, **more).message


def ended(message: Message) -> Workflow:
    """Run the task that reads a message to its end."""
    drain(message.workflow)
    return Workflow.objects.get(pk=message.workflow_id)


def drain_one(task: Workflow) -> None:
    be_a_worker()
    runner.run(str(Job.objects.get(workflow=task, state="available").pk))


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> str:
    """A kind whose turns are begun again with each message."""
    kind = "interrupted_agent"
    flow = replace(agent, kind=kind, conversation=Conversation("agent_turn", on_message="interrupt"))
    monkeypatch.setitem(registry.flows, (kind, flow.version), flow)
    return kind


def claimed(task: Workflow) -> Claimed:
    job = Job.objects.get(workflow=task, state="available")
    taken = moves.claim(str(job.pk), worker="w", queues=["model"], lease_s=15, process=PROCESS)
    assert isinstance(taken, Claimed)
    return taken


def test_a_message_to_a_completed_task_goes_on_with_its_conversation(
    principal: Principal, agent_model: OfflineModel
) -> None:
    first = run(principal, script([SUM], "Five."))
    before = Workflow.objects.filter(pk=first.pk).values().get()

    second = ended(say(principal, first, script("You are welcome.", ask="Thanks.")))
    third = ended(say(principal, second, script("Bye.", ask="That was all.")))

    assert [second.continues, third.continues] == [first.pk, second.pk]
    assert result(second)["answer"] == "You are welcome." and result(second)["turns"] == 3
    assert [role for role, _ in told(agent_model)] == ["assistant", "tool", "assistant", "user", "assistant", "user"]
    assert told(agent_model)[1] == ("tool", "2 + 3 = 5") and "That was all." in told(agent_model)[-1][1]
    assert Workflow.objects.filter(pk=first.pk).values().get() == before, "what is completed stays as it is"
    assert histories_are_legal()


def test_what_is_said_to_an_old_task_of_a_conversation_goes_to_the_newest(
    principal: Principal, agent_model: OfflineModel
) -> None:
    first = run(principal, "What is 1 + 1?")
    second = ended(say(principal, first, "And 2 + 2?"))

    third = say(principal, first, "And 3 + 3?")

    assert Workflow.objects.get(pk=third.workflow_id).continues == second.pk
    assert [one.text for one in messages.listing(principal, third.workflow_id)] == ["And 2 + 2?", "And 3 + 3?"]


def test_a_message_to_a_task_that_runs_is_read_by_its_next_turn_alone(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": script([SUM], "never said")})
    early = say(principal, task, script([SUM], "I have read it.", ask="Hurry."))

    assert early.workflow_id == task.pk
    task = ended(early)

    assert result(task)["answer"] == "I have read it."
    assert [role for role, _ in told(agent_model)] == ["user", "assistant", "tool"]
    assert messages.read_by([early]) == {early.pk: 1}


def test_a_message_that_comes_too_late_for_the_last_turn_is_read_by_one_more(
    principal: Principal, agent_model: OfflineModel
) -> None:
    """The turn has asked its model already, and stores an answer that ends the run."""
    task = workflows.submit(principal, kind="agent", input={"instruction": "x", "max_turns": 1})
    turn = claimed(task)
    late = say(principal, task, script("Both.", ask="And this?"))

    complete.complete(turn, LAST, worker="w")
    task = ended(late)

    assert (task.state, result(task)["answer"], result(task)["turns"]) == ("completed", "Both.", 2)
    assert [role for role, _ in told(agent_model)] == ["assistant", "user"]
    assert messages.read_by([late]) == {late.pk: 2}
    assert histories_are_legal()


def test_a_turn_that_is_killed_has_read_nothing(principal: Principal, agent_model: OfflineModel) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": "x"})
    early = say(principal, task, script("Read.", ask="Once."))
    killed = claimed(task)
    running = lose.held_by(PROCESS)
    assert [lose.lose(job, actor="dispatcher", is_certain=True) is not None for job in running] == [True]

    with pytest.raises(LostLease):
        complete.complete(killed, LAST | {"heard": 1}, worker="w")
    assert messages.read_by([early]) == {}

    assert result(ended(early))["answer"] == "Read."
    assert messages.read_by([early]) == {early.pk: 1}
    assert [role for role, _ in told(agent_model)] == ["user"]


def test_where_the_kind_says_so_the_turn_that_runs_is_begun_again_with_the_message(
    principal: Principal, agent_model: OfflineModel, interrupted: str
) -> None:
    task = workflows.submit(principal, kind=interrupted, input={"instruction": "x"})
    overtaken = claimed(task)
    message = say(principal, task, script("Yours.", ask="Mine first."))

    with pytest.raises(LostLease):
        complete.complete(overtaken, LAST, worker="w")
    task = ended(message)

    assert (result(task)["answer"], result(task)["turns"]) == ("Yours.", 1)
    turn = Job.objects.get(workflow=task, type="agent_turn")
    assert path(turn) == "available > running > available > running > completed"
    outcomes = Attempt.objects.filter(job=turn).order_by("started_at").values_list("outcome", "number")
    assert list(outcomes) == [("handed_back", 1), ("completed", 1)], "the attempt does not count"
    assert histories_are_legal()


def test_a_message_while_a_tool_runs_interrupts_nothing(
    principal: Principal, agent_model: OfflineModel, interrupted: str
) -> None:
    task = workflows.submit(principal, kind=interrupted, input={"instruction": script([SUM], "never said")})
    drain_one(task)
    say(principal, task, script("Both.", ask="And?"))
    drain(task)

    assert results(task) == [("calculate", "ok", "2 + 3 = 5")]
    assert result(Workflow.objects.get(pk=task.pk))["answer"] == "Both."


def test_the_same_request_once_more_says_nothing_new(principal: Principal, agent_model: OfflineModel) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": script("Done.")})
    early, later = NamedRequest("early", "a" * 64), NamedRequest("later", "b" * 64)
    queued = say(principal, task, script("Done.", ask="Now."), request=early)
    drain(task)
    followed = say(principal, task, "Then.", request=later)

    for name, message in ((early, queued), (later, followed)):
        again = messages.say(principal, task.pk, text="whatever", request=name)
        assert (again.message, again.is_repeated) == (message, True)
    with pytest.raises(KeyUsedOtherwise):
        say(principal, task, "Another.", request=NamedRequest("early", "c" * 64))
    assert Message.objects.count() == 2 and Workflow.objects.count() == 2


def test_a_message_of_others_or_of_a_key_that_may_less_taints_the_run(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = run(principal, script("Done."))
    assert result(task)["tainted"] is False

    said = ended(say(principal, task, script("Hm.", ask="The customer writes: <b>"), is_untrusted=True))
    assert result(said)["tainted"] is True
    assert "<material>" in told(agent_model)[-1][1] and "&lt;b>" in told(agent_model)[-1][1]

    other = workflows.submit(principal, kind="agent", input={"instruction": script("Done.")})
    lesser = replace(principal, scopes=principal.scopes - {"tools:write"}, api_key=None)
    assert say(lesser, other, "Send it.").is_untrusted is True
    assert say(principal, other, "Send it.").is_untrusted is False


def test_a_message_waits_while_a_person_decides(principal: Principal, agent_model: OfflineModel, outbox: Path) -> None:
    mail = call("send_message", to="a@b.example", subject="s", body="b")
    task = run(principal, script([mail], "never said"), tools=["send_message"])
    say(principal, task, script("Noted.", ask="One more thing."))

    task = decide(principal, task, "reject", reason="no")

    assert result(task)["answer"] == "Noted."
    assert [role for role, _ in told(agent_model)] == ["assistant", "tool", "user"]


def test_a_fork_is_told_what_its_origin_was(principal: Principal, agent_model: OfflineModel) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": "x"})
    say(principal, task, script([SUM], "Five.", ask="Once."))
    drain(task)
    second = ended(say(principal, task, script("Bye.", ask="Enough.")))

    fork = forks.fork(principal, second.pk, from_stage="agent_turn")
    drain(fork)

    assert turns(fork) == turns(second)
    assert [role for role, _ in told(agent_model)] == ["user", "assistant", "tool", "assistant", "user"]


def test_a_conversation_stays_while_a_task_goes_on_with_it(
    principal: Principal, agent_model: OfflineModel, clock: Clock
) -> None:
    first = run(principal, script("Done."))
    clock.advance(3 * 24 * 3600)
    message = say(principal, first, script("Again.", ask="More."))
    ended(message)

    assert prune.tasks(prune.due(WorkflowState.COMPLETED, older_than_days=2), limit=10) == 0
    clock.advance(3 * 24 * 3600)
    assert [prune.tasks(prune.due(WorkflowState.COMPLETED, older_than_days=2), limit=10) for _ in range(2)] == [1, 1]
    assert not Message.objects.exists()


def test_what_cannot_be_said_is_refused(
    principal: Principal, other_principal: Principal, agent_model: OfflineModel
) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": "x"})
    with pytest.raises(NotFound):
        say(other_principal, task, "Hello.")
    with pytest.raises(InvalidInput, match="Say something"):
        say(principal, task, "  ")
    for _ in range(message_moves.MOST_UNREAD):
        say(principal, task, "Hello.")
    with pytest.raises(IllegalMove, match="20 messages wait to be read"):
        say(principal, task, "Hello.")
    workflows.cancel(principal, task.pk, reason="enough")
    with pytest.raises(IllegalMove, match="This task is cancelled, and its conversation does not go on"):
        say(principal, task, "Hello.")
    no_conversation = workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": [1]})
    with pytest.raises(IllegalMove, match="takes no messages"):
        say(principal, no_conversation, "Hello.")


LAST = {
    "turn": 1, "heard": 0, "message": {"text": "One.", "calls": []}, "granted": [], "tainted": False, "calls": [],
    "refused": [], "asks": False, "done": True, "outcome": "answered", "answer": {"text": "One."},
}  # fmt: skip
