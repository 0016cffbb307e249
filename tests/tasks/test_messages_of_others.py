"""What an agent is told by others than who began it: another key, and a person who enters the output of a turn. [C5]"""

from __future__ import annotations

import pytest

from agentapp.errors import NotFound
from agentapp.ids import uuid7
from agentapp.lifecycle import messages as message_moves
from agentapp.lifecycle.submit import NamedRequest
from agentapp.models import Job, Tenant, Workflow
from agentapp.services import api_keys, dead_letters, forks, messages, principals, workflows
from agentapp.services.principals import Principal
from tests.harness import drain
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import result, run, script
from tests.tasks.test_messages import LAST, ended, say

pytestmark = pytest.mark.django_db


def test_who_may_more_does_not_lend_that_to_the_instructions_of_one_who_may_less(
    principal: Principal, tenant: Tenant, agent_model: OfflineModel
) -> None:
    """The second key may use tools that write, and goes on with what the first has instructed."""
    scopes = ["tasks:read", "tasks:write", "documents:read"]
    lesser = principals.of_key(api_keys.create(tenant=tenant, name="reads", scopes=scopes)[0])
    tools = ["send_message"]

    first = run(lesser, script("Later."), tools=tools)
    assert result(first)["tainted"] is False
    assert result(ended(say(principal, first, script("Now.", ask="Go on."))))["tainted"] is True

    fork = forks.fork(principal, first.pk, from_stage="agent_turn")
    drain(fork)
    assert result(Workflow.objects.get(pk=fork.pk))["tainted"] is True

    own = run(principal, script("Later."), tools=tools)
    assert result(ended(say(principal, own, script("Now.", ask="Go on."))))["tainted"] is False


def test_messages_are_listed_as_they_were_said_in_a_fork_too(principal: Principal, agent_model: OfflineModel) -> None:
    """Their ids are made before the wait for the task, or within one millisecond."""
    task = workflows.submit(principal, kind="agent", input={"instruction": script("Done.")})
    for number, id in enumerate(sorted((uuid7() for _ in range(8)), reverse=True), start=1):
        message_moves.say(task.pk, message_moves.NewMessage(id, f"{number}", False), actor="key:a")
    fork = forks.fork(principal, task.pk, from_stage="agent_turn")

    for told in (task, fork):
        assert [one.number for one in messages.listing(principal, told.pk)] == list(range(1, 9))


def test_a_message_that_was_deleted_is_not_found_by_the_name_of_its_request(
    principal: Principal, agent_model: OfflineModel
) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": script("Done.")})
    say(principal, task, "Once.", request=NamedRequest("once", "a" * 64)).delete()

    with pytest.raises(NotFound):
        say(principal, task, "Once.", request=NamedRequest("once", "a" * 64))


@pytest.mark.parametrize(("heard", "is_read"), [(1e30, False), (-1, False), (1.0, True), (True, False), (0.5, False)])
def test_what_a_person_enters_for_a_turn_reads_no_message_that_it_does_not_count(
    principal: Principal, agent_model: OfflineModel, heard: float, is_read: bool
) -> None:
    task = workflows.submit(principal, kind="agent", input={"instruction": "x"})
    Job.objects.filter(workflow=task, type="agent_turn").update(state="dead_lettered", error={"message": "x"})
    Workflow.objects.filter(pk=task.pk).update(state="needs_attention")
    message = say(principal, task, script("Read.", ask="Once."))

    letter = Job.objects.get(workflow=task, state="dead_lettered")
    dead_letters.resolve(principal, letter.pk, output=LAST | {"heard": heard}, reason="asked by telephone")
    task = ended(message)

    assert (task.state, result(task)["answer"]) == ("completed", "One." if is_read else "Read.")
    assert messages.read_by([message]) == {message.pk: 1 if is_read else 2}
