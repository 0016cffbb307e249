"""How long tasks are kept: by a rule for kind and state, else by the setting for the state. Changes are audited."""

from __future__ import annotations

from dataclasses import dataclass

from agentapp import conf
from agentapp.lifecycle import audit, database, prune
from agentapp.models import RetentionRule
from agentapp.states import WorkflowState


@dataclass(frozen=True)
class Term:
    """How many days tasks of a state are kept: of one kind, or of all `but_not` these; 0 days are forever."""

    state: WorkflowState
    days: int
    kind: str = ""
    but_not: tuple[str, ...] = ()


def days() -> list[Term]:
    """All terms that hold now."""
    rules = list(RetentionRule.objects.order_by("kind", "state"))
    settings = {
        WorkflowState.COMPLETED: conf.keep_completed_days(), WorkflowState.CANCELLED: conf.keep_cancelled_days(),
        WorkflowState.FAILED: conf.keep_failed_days(),
    }  # fmt: skip
    named = [Term(WorkflowState(rule.state), rule.days, rule.kind) for rule in rules]
    others = [
        Term(state, kept, but_not=tuple(rule.kind for rule in rules if rule.state == state))
        for state, kept in settings.items()
    ]
    return named + others


def forget(term: Term, *, limit: int) -> int:
    """Forget up to `limit` tasks whose term is over. Raises as `prune.tasks` does."""
    return prune.tasks(term.state, older_than_days=term.days, limit=limit, kind=term.kind, but_not=term.but_not)


def keep(kind: str, state: str, days: int, *, actor: str, reason: str) -> RetentionRule:
    """Make a rule, or change the one that there is."""
    with database.atomic():
        before = RetentionRule.objects.select_for_update().filter(kind=kind, state=state).first()
        rule, _ = RetentionRule.objects.update_or_create(
            kind=kind, state=state, defaults={"days": days, "note": reason}
        )
        action, old = ("changed", {"days": before.days}) if before else ("created", None)
        audit.note(_target(rule), action, actor=actor, reason=reason, before=old, after={"days": days})
    return rule


def remove(rule: RetentionRule, *, actor: str, reason: str) -> None:
    """Take a rule away: the setting for its state holds again."""
    with database.atomic():
        audit.note(_target(rule), "deleted", actor=actor, reason=reason, before={"days": rule.days})
        rule.delete()


def _target(rule: RetentionRule) -> str:
    return f"retention of {rule}"
