"""A rule for a kind and a state holds in the place of the setting for the state."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from agentapp.clock import Clock
from agentapp.models import GateChange, PrunedTasks, Workflow
from agentapp.services.principals import Principal
from tests.dispatch.test_pruner import DAY_S, look
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


def said(*arguments: str) -> list[str]:
    out = StringIO()
    call_command("retention", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_a_kind_is_kept_by_its_own_rule_and_others_by_the_setting(principal: Principal, clock: Clock) -> None:
    short, long = run_workflow(principal, "probe_loop"), run_workflow(principal, "probe_fan")
    forever = run_workflow(principal, "probe_rented")
    said("probe_loop", "completed", "--days", "7", "--reason", "short-lived")
    said("probe_rented", "completed", "--days", "0")
    said("probe_loop", "failed", "--days", "1")

    clock.advance(8 * DAY_S)
    assert look() == 1 and set(Workflow.objects.all()) == {long, forever} and not Workflow.objects.filter(pk=short.pk)
    clock.advance(90 * DAY_S)
    assert look() == 1 and set(Workflow.objects.all()) == {forever}
    said("probe_rented", "completed", "--remove", "--reason", "no longer needed")
    assert look() == 1


def test_the_most_specific_rule_wins(principal: Principal, other_principal: Principal, clock: Clock) -> None:
    """A tenant's before one for all tenants, then one for a kind before one for all kinds."""
    loop, fan = run_workflow(principal, "probe_loop"), run_workflow(principal, "probe_fan")
    others, long = run_workflow(other_principal, "probe_loop"), run_workflow(other_principal, "probe_fan")
    said("probe_loop", "completed", "--days", "20")
    said("all", "completed", "--days", "10", "--tenant", "sample")
    said("probe_loop", "completed", "--days", "30", "--tenant", "sample")
    assert said()[:3] == [
        "all kinds completed in sample: 10 days", "probe_loop completed in sample: 30 days",
        "probe_loop completed: 20 days",
    ]  # fmt: skip
    left = [loop, fan, others, long]
    for days, gone in ((11, fan), (10, others), (10, loop), (60, long)):
        clock.advance(days * DAY_S)
        assert look() == 1
        left.remove(gone)
        assert set(Workflow.objects.all()) == {*left}
    assert sum(PrunedTasks.objects.values_list("tasks", flat=True)) == 4
    with pytest.raises(CommandError, match="For all kinds the settings hold"):
        said("all", "completed", "--days", "10")


def test_rules_are_listed_changed_and_audited(principal: Principal) -> None:
    assert said()[0] == "all other kinds completed: 90 days"
    said("probe_loop", "completed", "--days", "7", "--reason", "short-lived")
    assert said("probe_loop", "completed", "--days", "0")[0] == "probe_loop completed: forever"
    said("probe_loop", "completed", "--remove")

    changes = GateChange.objects.order_by("pk").values_list("action", "target", "before", "after")
    target = "retention of probe_loop completed"
    assert list(changes) == [
        ("created", target, None, {"days": 7}), ("changed", target, {"days": 7}, {"days": 0}),
        ("deleted", target, {"days": 0}, None),
    ]  # fmt: skip
    for arguments, sentence in (
        (("nothing", "completed", "--days", "1"), "no workflow kind"),
        (("7/probe_loop", "completed", "--days", "1"), "no workflow kind"),
        (("7/probe_loop", "completed", "--days", "1", "--tenant", "sample"), "no workflow kind"),
        (("probe_loop", "running", "--days", "1"), "Choose of completed, cancelled, failed"),
        (("probe_loop", "completed", "--days", "-1"), "0, which is forever"),
        (("probe_loop", "completed", "--remove"), "no rule for probe_loop completed"),
    ):
        with pytest.raises(CommandError, match=sentence):
            said(*arguments)
