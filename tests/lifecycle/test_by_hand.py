"""Dead letters that a person finishes by hand, and effects of which nobody knows the end. [F3] [D7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.models import Approval, Effect, History, Job, Stage
from agentapp.services import dead_letters, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, path, run_workflow, workflow_path
from tests.lifecycle import dead_letter_kinds
from tests.lifecycle.letters import approve, drain_until, fail_at, now
from tests.lifecycle.letters import world as world

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_output_entered_by_hand_lets_the_task_go_on(principal: Principal) -> None:
    workflow, job = fail_at(principal, "letter_write")

    dead_letters.resolve(principal, job.pk, output={"draft": "written by hand"}, reason="wrote it myself")

    assert path(job) == "available > running > dead_lettered > completed"
    row = History.objects.get(job_id=job.pk, to_state="completed")
    assert (row.actor, row.reason, row.data) == (
        principal.actor, "wrote it myself", {"by_hand": True, "effects": []}
    )  # fmt: skip
    assert now(workflow).state == "awaiting_approval"
    assert Approval.objects.get(workflow=workflow).content["body"] == "written by hand"
    with pytest.raises(NotFound):
        dead_letters.resolve(principal, job.pk, output={}, reason="again")


@pytest.mark.parametrize(
    ("kind", "fail", "by_hand", "draft"),
    [
        ("letter_line", ("letter_part 1", "letter_part 2"), 2, "hello 106"),
        ("letter_at_least", ("letter_part 1", "letter_part 2"), 1, "hello 56"),
    ],
)
def test_parts_that_are_resolved_close_their_stage_in_the_end(
    principal: Principal, kind: str, fail: tuple[str, ...], by_hand: int, draft: str
) -> None:
    workflow, _ = fail_at(principal, *fail, kind=kind)
    letters = list(Job.objects.filter(workflow=workflow, state="dead_lettered").order_by("part"))

    for count, job in enumerate(letters[:by_hand], start=1):
        assert workflow_path(workflow).endswith("needs_attention")
        dead_letters.resolve(principal, job.pk, output={"double": 50}, reason="counted")
        workflow.refresh_from_db()
        assert (workflow.position > job.stage.position) == (count == by_hand)

    done = now(workflow)
    assert "needs_attention > running" in workflow_path(workflow)
    if kind == "letter_at_least":
        assert (done.state, done.result) == ("completed", {"draft": draft})
    else:
        assert Approval.objects.get(workflow=workflow).content["body"] == draft


def test_a_part_that_had_counted_as_settled_is_not_counted_twice(principal: Principal) -> None:
    dead_letter_kinds.broken.add("letter_part 1")
    workflow = workflows.submit(principal, kind="letter_settled", input={})
    drain_until(workflow, "letter_part", rounds=1)
    (job,) = Job.objects.filter(workflow=workflow, state="dead_lettered")

    dead_letters.resolve(principal, job.pk, output={"double": 5}, reason="counted")

    workflow.refresh_from_db()
    assert (workflow.position, workflow.parts_left) == (job.stage.position, 2)
    assert now(workflow).result == {"draft": "hello 15"}


@pytest.mark.parametrize("output", [[], "text", None, {"draft": "x" * 70_000}, {"draft": "a\x00b"}])
def test_an_output_that_is_none_is_refused(principal: Principal, output: Any) -> None:
    _, job = fail_at(principal, "letter_write")
    with pytest.raises(InvalidInput):
        dead_letters.resolve(principal, job.pk, output=output, reason="guessed")
    with pytest.raises(InvalidInput, match="Say how"):
        dead_letters.resolve(principal, job.pk, output={}, reason=" ")
    assert path(job).endswith("dead_lettered")


def test_an_output_from_which_nothing_can_follow_is_refused_and_changes_nothing(principal: Principal) -> None:
    workflow, job = fail_at(principal, "letter_read")
    with pytest.raises(InvalidInput, match="must be a list but is string"):
        dead_letters.resolve(principal, job.pk, output={"text": "a", "parts": "none"}, reason="guessed")
    assert path(job) == "available > running > dead_lettered"
    assert workflow_path(workflow).endswith("needs_attention")


@pytest.fixture
def in_doubt(principal: Principal) -> Job:
    """A dead letter that may or may not have sent its mail."""
    workflow = run_workflow(principal, "letter_line")
    dead_letter_kinds.broken.add("letter_send")
    approve(principal, workflow)
    drain()
    dead_letter_kinds.broken.clear()
    assert Effect.objects.get().state == "unknown"
    return Job.objects.get(workflow=workflow, state="dead_lettered")


def test_an_effect_in_doubt_stops_a_plain_replay_in_words(principal: Principal, in_doubt: Job) -> None:
    for more in ({}, {"from_stage": "letter_send"}, {"from_stage": "letter_write"}):
        with pytest.raises(IllegalMove, match=f"began the effect letter:{in_doubt.workflow_id}, and nobody knows"):
            dead_letters.replay(principal, in_doubt.pk, **more)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="resolve"):
        dead_letters.replay(principal, in_doubt.pk, effect_happened=True)
    assert [effect.key for effect in dead_letters.doubtful_effects(in_doubt)] == [f"letter:{in_doubt.workflow_id}"]
    assert Stage.objects.filter(workflow=in_doubt.workflow).count() == 7


def test_an_effect_that_did_not_happen_is_replayed_once(principal: Principal, in_doubt: Job) -> None:
    dead_letters.replay(principal, in_doubt.pk, effect_happened=False)

    assert now(in_doubt.workflow).state == "completed"
    assert (len(dead_letter_kinds.sent), Effect.objects.get().state, Effect.objects.get().sends) == (1, "confirmed", 2)
    row = History.objects.get(job_id=in_doubt.pk, from_state="dead_lettered")
    assert (row.data or {})["effect_happened"] is False


def test_an_effect_that_did_happen_is_resolved_and_never_sent_again(principal: Principal, in_doubt: Job) -> None:
    dead_letters.resolve(principal, in_doubt.pk, output={"receipt": "from the log"}, reason="stands in the mail log")

    done = now(in_doubt.workflow)
    assert (done.state, (done.result or {})["receipt"]) == ("completed", "from the log")
    assert (dead_letter_kinds.sent, Effect.objects.get().response) == ([], {"resolved_by": principal.actor})
    assert (History.objects.get(job_id=in_doubt.pk, to_state="completed").data or {})["effects"] == [
        f"letter:{in_doubt.workflow_id}"
    ]


def test_a_letter_of_a_task_that_is_over_can_be_archive(principal: Principal) -> None:
    """A join that took it as settled has let the task be completed without it."""
    workflow = run_workflow(principal, "probe_settled", {"fail": "permanent"})
    assert workflow.state == "completed"
    for letter in dead_letters.listing(principal):
        with pytest.raises(IllegalMove):
            dead_letters.replay(principal, letter.pk)
        assert dead_letters.cancel(principal, letter.pk, reason="seen").state == "cancelled"

    assert not dead_letters.listing(principal).exists()
    assert workflow_path(workflow) == "pending > running > completed"
