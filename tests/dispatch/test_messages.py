"""What lies in the broker: real chords and chains, job ids and nothing else. [B2]"""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from agentapp.models import Job, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.agents import traced as traced  # registers the kind
from tests.dispatch.message_reader import Letter, MessageReader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

TEXT = "words that belong into no message"


@pytest.fixture(autouse=True)
def every_step_through_the_broker(settings: Settings) -> None:
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0


@pytest.fixture
def run(principal: Principal, message_reader: MessageReader) -> Workflow:
    return workflows.submit(principal, kind="traced", input={"text": TEXT}, priority="high")


def ids(run: Workflow, type: str) -> list[str]:
    return [str(job.pk) for job in Job.objects.filter(workflow=run, type=type).order_by("part")]


def test_a_fan_out_is_a_chord_whose_every_header_message_carries_the_body(
    run: Workflow, message_reader: MessageReader
) -> None:
    message_reader.deliver("model")

    header = message_reader.waiting()
    assert [letter.task for letter in header] == ["traced_part"] * 3
    assert sorted(letter.args[0] for letter in header) == sorted(ids(run, "traced_part"))
    assert len({letter.group for letter in header}) == 1 and header[0].group
    for letter in header:
        assert letter.chord is not None
        assert (letter.chord["task"], list(letter.chord["args"])) == ("traced_join", ids(run, "traced_join"))
        # No further than the join: all that a header message carries is there once per part.
        assert not letter.chord.get("chain")
        assert not letter.chain


def test_what_follows_alone_is_a_chain(run: Workflow, message_reader: MessageReader) -> None:
    for queue in ("model", "retrieval", "retrieval", "retrieval", "model"):
        message_reader.deliver(queue)

    (check,) = message_reader.waiting()
    assert (check.task, check.args) == ("traced_check", ids(run, "traced_check"))
    (end,) = check.chain or []
    assert (end["task"], list(end["args"])) == ("traced_end", ids(run, "traced_end"))
    assert check.chord is None


def test_a_message_holds_one_job_id_and_nothing_else(run: Workflow, message_reader: MessageReader) -> None:
    message_reader.deliver_all()
    run.refresh_from_db()
    assert run.state == "completed"

    letters = {letter.raw: letter for letter in message_reader.seen}.values()
    assert sorted(letter.args[0] for letter in letters) == sorted(str(job.pk) for job in Job.objects.all())
    for letter in letters:
        assert holds_one_id(letter.args, letter.kwargs)
        assert all(holds_one_id(link["args"], link["kwargs"]) for link in links(letter))
        for word in (TEXT, TEXT.upper(), "square", "even"):
            assert word not in letter.raw


def holds_one_id(args: list[str], kwargs: dict[str, str]) -> bool:
    return len(args) == 1 and Job.objects.filter(pk=args[0]).exists() and not kwargs


def links(letter: Letter) -> list[dict[str, Any]]:
    return [*(letter.chain or []), *([letter.chord] if letter.chord else [])]


def test_urgent_jobs_lie_in_a_list_that_is_read_first(principal: Principal, message_reader: MessageReader) -> None:
    late = workflows.submit(principal, kind="traced", input={}, priority="low")
    soon = workflows.submit(principal, kind="traced", input={}, priority="urgent")

    assert [letter.args[0] for letter in message_reader.waiting()] == [
        *ids(soon, "traced_begin"),
        *ids(late, "traced_begin"),
    ]
    message_reader.deliver("model")
    assert Job.objects.get(workflow=soon, type="traced_begin").state == "completed"
    assert Job.objects.get(workflow=late, type="traced_begin").state == "available"
