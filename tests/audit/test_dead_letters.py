"""Each thing that a person does to a dead letter leaves an entry in the audit chain. [H4] [F3]"""

from __future__ import annotations

import pytest

from agentapp.dispatch import bulk
from agentapp.lifecycle.audit_chain import seal, verify
from agentapp.models import AuditEntry
from agentapp.services import bulk_replays, dead_letters
from agentapp.services.principals import Principal
from tests.lifecycle.letters import fail_at
from tests.lifecycle.letters import world as world

pytestmark = pytest.mark.django_db


def test_each_action_on_a_dead_letter_leaves_an_entry(principal: Principal) -> None:
    failed = [fail_at(principal, "letter_read") for _ in range(6)]
    (replayed, edited, resolved, cancelled, notified, _) = (job.pk for _, job in failed)
    dead_letters.replay(principal, replayed)
    dead_letters.replay(principal, edited, payload={"text": "other"})
    dead_letters.resolve(principal, resolved, output={"text": "", "parts": [1]}, reason="by hand")
    dead_letters.cancel(principal, cancelled, reason="not needed")
    dead_letters.notify(principal, notified, text="We look into it.")
    bulk_replays.start(principal, type="letter_read", canary=2)
    assert bulk.go_on() == 1

    tasks = {f"task {task.pk}": number for number, (task, _) in enumerate(failed)}
    said = AuditEntry.objects.order_by("pk").values_list("target", "action")
    assert sorted((tasks[target], action) for target, action in said) == [
        (0, "job available"), (1, "job available"), (2, "job completed"), (3, "job cancelled"),
        (3, "workflow cancelled"), (4, "client notified"), (4, "job available"), (5, "job available"),
    ]  # fmt: skip
    assert {*AuditEntry.objects.values_list("actor", flat=True)} == {principal.actor}
    seal()
    assert verify(kept_days=0).findings == []
