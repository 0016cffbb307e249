"""A new task from the middle of an earlier one. [A7] [D7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.errors import IllegalMove, InvalidInput, NotFound, PermissionDenied
from agentapp.models import Approval, Attempt, Effect, History, Job, Stage, Workflow
from agentapp.services import dead_letters, forks, principals, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, path, run_workflow, workflow_path
from tests.lifecycle import dead_letter_kinds
from tests.lifecycle.letters import approve, drain_until, now, stages
from tests.lifecycle.letters import world as world

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def origin(principal: Principal) -> Workflow:
    """A task that waits for its decision."""
    return run_workflow(principal, "letter_line", labels={"from": "website"}, priority="high")


def test_a_fork_shares_what_lies_before_and_does_the_rest_again(principal: Principal, origin: Workflow) -> None:
    before = dict(Job.objects.filter(workflow=origin).values_list("pk", "state"))

    fork = forks.fork(principal, origin.pk, from_stage="letter_write", input={"text": "edited"})

    assert (fork.kind, fork.version, fork.tenant_id, fork.labels, fork.priority) == (
        "letter_line", 1, origin.tenant_id, {"from": "website"}, 1
    )  # fmt: skip
    assert (fork.forked_from, fork.root, fork.state, fork.position) == (origin.pk, origin.pk, "pending", 3)
    assert (fork.jobs_done, fork.jobs_total, fork.stages_total) == (4, 8, 7)
    assert stages(fork) == stages(origin)
    done = now(fork)
    assert (done.state, done.jobs_done) == ("awaiting_approval", 7)
    # The input is edited, what was read from it before is not.
    assert (done.input["text"], Approval.objects.get(workflow=fork).content["body"]) == ("edited", "hello 12")
    assert not Attempt.objects.filter(job__workflow=fork, job__type__in=("letter_read", "letter_part")).exists()
    assert dict(Job.objects.filter(workflow=origin).values_list("pk", "state")) == before


def test_the_history_of_a_fork_tells_where_it_comes_from(principal: Principal, origin: Workflow) -> None:
    fork = now(forks.fork(principal, origin.pk, from_stage="letter_part"))

    first = History.objects.get(workflow=fork, seq=1)
    assert (first.reason, first.data) == ("forked from letter_part", {"forked_from": str(origin.pk), "edited": False})
    assert workflow_path(fork) == "pending > running > awaiting_approval"
    (copied,) = Job.objects.filter(workflow=fork, type="letter_read")
    assert (path(copied), copied.output) == ("completed", {"text": "hello", "parts": [1, 2, 3]})
    seqs = list(History.objects.filter(workflow=fork).order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, fork.seq + 1))


def test_a_fork_of_the_first_stage_is_a_new_run(principal: Principal, origin: Workflow) -> None:
    fork = forks.fork(principal, origin.pk, from_stage="letter_read", input={"text": "other"})
    assert (fork.state, fork.jobs_done) == ("pending", 0)
    now(fork)
    assert Approval.objects.get(workflow=fork).content["body"] == "other 12"


def test_a_fork_may_start_at_the_decision_and_asks_again(principal: Principal, origin: Workflow) -> None:
    fork = now(forks.fork(principal, origin.pk, from_stage="approval"))
    assert fork.state == "awaiting_approval"
    assert Approval.objects.filter(state="pending").count() == 2


def test_a_line_of_forks_sends_once(principal: Principal, origin: Workflow) -> None:
    approve(principal, origin)
    drain()
    fork = now(forks.fork(principal, origin.pk, from_stage="letter_ask"))
    approve(principal, fork)
    second = now(forks.fork(principal, now(fork).pk, from_stage="approval"))
    approve(principal, second)

    assert (second.forked_from, second.root) == (fork.pk, origin.pk)
    assert {now(task).state for task in (origin, fork, second)} == {"completed"}
    assert {(now(task).result or {})["receipt"] for task in (origin, fork, second)} == {str(Effect.objects.get().pk)}
    assert dead_letter_kinds.sent == ["hello 12"]


def test_a_fork_that_would_send_something_else_is_stopped(principal: Principal, origin: Workflow) -> None:
    approve(principal, origin)
    drain()
    fork = now(forks.fork(principal, origin.pk, from_stage="letter_read", input={"text": "other"}))
    approve(principal, fork)

    assert now(fork).state == "needs_attention"
    assert dead_letter_kinds.sent == ["hello 12"]


def test_a_fork_of_a_repeated_stage_starts_in_its_latest_round(principal: Principal) -> None:
    origin = run_workflow(principal, "letter_line", {"text": "worse"})
    assert stages(origin).count("letter_write") == 2

    fork = forks.fork(principal, origin.pk, from_stage="letter_write")

    assert stages(fork) == stages(origin)
    assert fork.position == 5
    now(fork)
    # The second draft was written with the critique of the first.
    assert Approval.objects.get(workflow=fork).content["body"] == "worse 12, better"


def test_a_round_that_has_not_come_yet_is_not_meant(principal: Principal) -> None:
    origin = workflows.submit(principal, kind="letter_line", input={"text": "worse"})
    drain_until(origin, "letter_judge", rounds=1)
    assert stages(origin).count("letter_judge") == 2

    fork = forks.fork(principal, origin.pk, from_stage="letter_judge")

    assert fork.position == 4


def test_changes_that_a_person_requested_are_known_to_the_fork(principal: Principal, origin: Workflow) -> None:
    from agentapp.services import approvals

    approval = Approval.objects.get(workflow=origin)
    approvals.decide(
        principal, approval.pk, decision="request_changes", content_sha256=approval.content_sha256, reason="shorter"
    )
    drain()
    fork = forks.fork(principal, origin.pk, from_stage="letter_write")
    kept = Stage.objects.get(workflow=fork, kind="decision", output__isnull=False)
    assert (kept.output or {})["remark"] == "shorter"
    assert now(fork).state == "awaiting_approval"


def test_what_was_superseded_is_not_shared(principal: Principal) -> None:
    dead_letter_kinds.broken.add("letter_judge")
    origin = run_workflow(principal, "letter_line")
    dead_letter_kinds.broken.clear()
    dead_letters.replay(principal, Job.objects.get(state="dead_lettered").pk, from_stage="letter_part")
    now(origin)

    fork = forks.fork(principal, origin.pk, from_stage="letter_ask")

    assert stages(fork) == [
        "letter_read", "letter_part", "letter_write", "letter_judge", "letter_ask", "approval", "letter_send"
    ]  # fmt: skip
    assert now(fork).state == "awaiting_approval"


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ("letter_send", "cannot start behind a decision, .* Start at approval or earlier: letter_read, letter_part"),
        ("nothing", "There is no stage 'nothing' in letter_line. Say from which stage: letter_read, letter_part"),
        (None, "^Say from which stage: letter_read, letter_part, letter_write, letter_judge, letter_ask, approval"),
    ],
)
def test_a_stage_that_is_not_possible_is_refused_with_those_that_are(
    principal: Principal, origin: Workflow, stage: str | None, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        forks.fork(principal, origin.pk, from_stage=stage)
    assert Workflow.objects.count() == 1


def test_a_stage_that_was_not_reached_is_refused_with_those_that_were(principal: Principal) -> None:
    origin = workflows.submit(principal, kind="letter_line", input={})
    drain_until(origin, "letter_read", rounds=1)
    workflows.cancel(principal, origin.pk, reason="enough")

    with pytest.raises(IllegalMove, match="It has reached: letter_part, letter_read"):
        forks.fork(principal, origin.pk, from_stage="letter_write")
    assert now(forks.fork(principal, origin.pk, from_stage="letter_part")).state == "awaiting_approval"


@pytest.mark.parametrize("input", [{"colour": "red"}, {"parts": "none"}, [], "text"])
def test_an_input_that_does_not_fit_is_refused(principal: Principal, origin: Workflow, input: Any) -> None:
    with pytest.raises(InvalidInput):
        forks.fork(principal, origin.pk, from_stage="letter_read", input=input)


def test_a_fork_belongs_to_who_made_it(principal: Principal, other_principal: Principal, origin: Workflow) -> None:
    with pytest.raises(NotFound):
        forks.fork(other_principal, origin.pk, from_stage="letter_read")
    reader = principals.Principal(frozenset({"tasks:read"}), principal.tenant_ids, api_key=principal.api_key)
    with pytest.raises(PermissionDenied):
        forks.fork(reader, origin.pk, from_stage="letter_read")
    fork = forks.fork(principal, origin.pk, from_stage="letter_read")
    assert fork.api_key_id == (principal.api_key.pk if principal.api_key else None)


def test_a_task_whose_stages_were_pruned_cannot_be_forked(principal: Principal, origin: Workflow) -> None:
    Approval.objects.filter(workflow=origin).delete()
    Job.objects.filter(workflow=origin).delete()
    Stage.objects.filter(workflow=origin).delete()
    with pytest.raises(IllegalMove, match="deleted by now"):
        forks.fork(principal, origin.pk, from_stage="letter_read")
