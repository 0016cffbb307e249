"""How long tasks are kept: by the most specific rule, else by the setting for the state. Changes are audited."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q, QuerySet

from agentapp import conf, ids
from agentapp.lifecycle import audit, database, prune
from agentapp.models import RetentionRule, Workflow
from agentapp.states import WorkflowState

# How far this process has looked through what holds keep, by the name of the term.
_PASSED: defaultdict[str, prune.Passed] = defaultdict(prune.Passed)


@dataclass(frozen=True)
class Term:
    """How many days tasks of a state are kept, 0 forever: by a rule, or by the setting for the state.

    `before` are the rules that come before it for some of its tasks.
    """

    state: WorkflowState
    days: int
    rule: RetentionRule | None = None
    before: tuple[RetentionRule, ...] = ()

    @property
    def name(self) -> str:
        return str(self.rule) if self.rule else f"all other kinds {self.state.value}"

    def tasks(self) -> Q:
        """The tasks for which it decides."""
        only = _covered(self.rule) if self.rule else Q()
        # Of rules for single kinds of single tenants there may be many: a condition for each kind.
        tenants: dict[str, list[int]] = {}
        for rule in self.before:
            if rule.tenant_id and rule.only_kind:
                tenants.setdefault(rule.only_kind, []).append(rule.tenant_id)
        for kind, some in tenants.items():
            only &= ~Q(kind=kind, tenant_id__in=some)
        only &= ~Q(kind__in=[rule.only_kind for rule in self.before if not rule.tenant_id])
        return only & ~Q(tenant_id__in=[rule.tenant_id for rule in self.before if not rule.only_kind])

    @property
    def order(self) -> str:
        """The column by which the tasks whose term is over are sorted."""
        return "pk" if self.rule is not None and self.rule.tenant_id is not None else "finished_at"

    def due(self) -> QuerySet[Workflow]:
        """The tasks whose term is over, but for those that something still needs; those under a hold are among them."""
        found = prune.due(self.state, older_than_days=self.days, only=self.tasks())
        if self.order == "finished_at":
            return found
        # By the index of the tenant's tasks, as what ended by then was made by then: that of all tasks that ended leads
        # through those of other tenants, which are kept for longer.
        return found.filter(pk__lt=ids.lowest(database.now() - timedelta(days=self.days)))


def terms(rules: Iterable[RetentionRule]) -> list[Term]:
    """What these rules come to, and after them the settings."""
    rules = list(rules)
    settings = {
        WorkflowState.COMPLETED: conf.keep_completed_days(), WorkflowState.CANCELLED: conf.keep_cancelled_days(),
        WorkflowState.FAILED: conf.keep_failed_days(),
    }  # fmt: skip
    # Of thousands of tenants' rules each is compared with those of its tenant alone.
    beside: defaultdict[int | None, list[RetentionRule]] = defaultdict(list, {None: rules})
    for rule in rules:
        if rule.tenant_id:
            beside[rule.tenant_id].append(rule)
    named = [Term(WorkflowState(rule.state), rule.days, rule, stronger(rule, beside[rule.tenant_id])) for rule in rules]
    others = [
        Term(state, kept, before=tuple(rule for rule in rules if rule.state == state))
        for state, kept in settings.items()
    ]
    return named + others


def current_terms() -> list[Term]:
    """All terms that hold now."""
    return terms(RetentionRule.objects.select_related("tenant").order_by("kind", "state"))


def stronger(rule: RetentionRule, rules: Iterable[RetentionRule]) -> tuple[RetentionRule, ...]:
    """Those of the rules that come before this one for some tasks: a tenant's before one for all tenants, then one for
    a kind before one for all kinds."""
    return tuple(
        other for other in rules
        if other.state == rule.state and _rank(other) > _rank(rule)
        and (rule.tenant_id is None or other.tenant_id == rule.tenant_id)
        and (rule.only_kind == other.only_kind or "" in (rule.only_kind, other.only_kind))
    )  # fmt: skip


def forget(term: Term, *, limit: int) -> int:
    """Forget up to `limit` tasks whose term is over, the oldest first. Raises as `prune.tasks` does."""
    return prune.tasks(term.due(), limit=limit, by=term.order, passed=_PASSED[term.name])


def keep(rule: RetentionRule, *, days_before: int | None, actor: str, reason: str) -> RetentionRule:
    """Make a rule, or change one that said `days_before`.

    Raises:
        django.db.IntegrityError: there is one for the same tenant, kind and state.
    """
    with database.atomic():
        rule.save()
        action, before = ("created", None) if days_before is None else ("changed", _said(rule, days_before))
        audit.note(target(rule), action, actor=actor, reason=reason, before=before, after=_said(rule, rule.days))
    return rule


def remove(rule: RetentionRule, *, actor: str, reason: str) -> None:
    """Take a rule away: the next one that fits its tasks holds, or the setting for its state."""
    with database.atomic():
        audit.note(target(rule), "deleted", actor=actor, reason=reason, before=_said(rule, rule.days))
        rule.delete()


def target(rule: RetentionRule) -> str:
    """The name of a rule in the audit."""
    return f"retention of {rule}"


def _said(rule: RetentionRule, kept: int) -> dict[str, int | str]:
    return {"days": kept} | ({"tenant": rule.tenant.slug} if rule.tenant else {})


def _rank(rule: RetentionRule) -> tuple[bool, bool]:
    return rule.tenant_id is not None, bool(rule.only_kind)


def _covered(rule: RetentionRule) -> Q:
    of_tenant = Q(tenant_id=rule.tenant_id) if rule.tenant_id else Q()
    return of_tenant & Q(kind=rule.only_kind) if rule.only_kind else of_tenant
