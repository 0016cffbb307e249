"""A process is killed at each named place, for each job type on the road: INV1-INV4, INV11 and INV12 hold."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from agentapp.failpoints import POINTS
from agentapp.models import Approval, Effect
from tests.acceptance.deployment import FAILPOINTS, Deployment, until
from tests.acceptance.invariants import violations
from tests.acceptance.load import Json, Load
from tests.acceptance.scale import LONG, dice, sized
from tests.acceptance.test_flower import QUESTION
from tests.acceptance.test_kills import effect_id

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(sized(400, 3600))]

# Armed together. One by one would be clearer and, because each death costs the start of a process, too slow for CI.
AT_ONCE = sized(4, 1)
# A model that takes longer than the budget of a message: every step goes through the broker.
THINKS_S = 1.2


@dataclass(frozen=True)
class Road:
    """A kind, and the job types that its runs pass; the short form takes a `sample` of its places.

    `links` of a chain are published by Celery itself when all went well, and by us when their worker was killed.
    What is quick to come up runs `in_place` then: it has a message only when its worker was killed.
    """

    kind: str
    types: tuple[str, ...]
    with_an_effect: tuple[str, ...]
    links: tuple[str, ...]
    in_place: tuple[str, ...]
    sample: int
    input: Json | None = None

    def places(self) -> list[tuple[str, str]]:
        """Every failpoint with everything that it can be reached for."""
        # What becomes of webhooks and schedules has tests of its own.
        reached = [point for point in POINTS if not point.startswith(("webhook.", "schedule."))]
        return [(point, on) for point in reached for on in self._reached_for(point)]

    def _reached_for(self, point: str) -> tuple[str, ...]:
        if point.startswith("submit."):
            return (self.kind,)
        return self.with_an_effect if point.startswith("effect.") else self.types

    def files(self, point: str, on: str) -> Iterator[str]:
        """What arms a place: each file disappears with the process that it kills."""
        yield f"{point}@{on}"
        is_published = point.startswith("publish.")
        has_a_message = is_published or point in {"ack.after", "claim.before"}
        if (is_published and on in self.links) or (has_a_message and on in self.in_place):
            yield f"claim.after@{on}"


CHAOS = Road(
    kind="chaos",
    types=("chaos_read", "chaos_parse", "chaos_merge", "chaos_book", "chaos_check", "chaos_post"),
    with_an_effect=("chaos_book", "chaos_post"),
    links=("chaos_book", "chaos_check", "chaos_post"),
    in_place=(),
    sample=8,
)
SUPPORT_REPLY = Road(
    kind="support_reply",
    types=(
        "classify_ticket", "retrieve_context", "generate_draft", "evaluate_answer", "request_approval",
        "send_approved_message",
    ),
    with_an_effect=("send_approved_message",),
    links=("evaluate_answer", "request_approval"),
    in_place=("generate_draft",),
    sample=4,
    input=QUESTION,
)  # fmt: skip


@pytest.mark.parametrize("road", [CHAOS, SUPPORT_REPLY], ids=lambda road: road.kind)
def test_a_kill_at_any_failpoint_breaks_nothing(deployment: Deployment, road: Road) -> None:
    thrown = dice(f"failpoints of {road.kind}")
    deployment.think_for(THINKS_S)
    places = road.places() if LONG else thrown.sample(road.places(), road.sample)
    for batch in [places[first : first + AT_ONCE] for first in range(0, len(places), AT_ONCE)]:
        files = [deployment.home / FAILPOINTS / name for place in batch for name in road.files(*place)]
        print(*[file.name for file in files])
        for file in files:
            file.touch()
        until(lambda files=files: is_reached(deployment, road, thrown, files), f"{batch} were reached", deadline_s=120)  # type: ignore[misc]


def is_reached(deployment: Deployment, road: Road, thrown: random.Random, files: list[Path]) -> bool:
    """Let two runs go their way, see that they end as they must, and tell whether they have reached all places.

    Most do at the first time; but a step that was quick is followed in place, without a message.
    """
    with Load(deployment, thrown, runs=2, kind=road.kind, input=road.input, widths=(2, 3)) as load:
        load.submitted()
        until(lambda: not approve_all(deployment, load) and not load.under_way(), f"the runs end over {files}")
    assert not violations(deployment, load.tasks(), since=load.began_at), files
    mails = [effect_id(mail) for mail in deployment.outbox.glob("*.eml")]
    effects = Effect.objects.using(deployment.alias).filter(workflow_id__in=load.tasks(), type="mail")
    assert [mails.count(str(effect.pk)) for effect in effects] == [1] * len(effects)
    return not any(file.exists() for file in files)


def approve_all(deployment: Deployment, load: Load) -> bool:
    """Approve what waits for a person and tell whether there was any; a web that dies of it is asked again."""
    waiting = Approval.objects.using(deployment.alias).filter(workflow__in=load.tasks(), state="pending")
    for approval in waiting:
        decision = {"decision": "approve", "content_sha256": approval.content_sha256}
        with suppress(httpx2.TransportError):
            answer = deployment.ask("POST", f"/approvals/{approval.pk}/decision", decision, key="approver_api_key")
            assert answer.status_code in {200, 409}, answer.text
    return bool(waiting)
