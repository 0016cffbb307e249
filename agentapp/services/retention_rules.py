"""Rules of retention: listed, made, changed, removed. Of a tenant by its administrators, of all by operators. [I3]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from agentapp import registry
from agentapp.errors import InvalidInput, NotFound, PermissionDenied
from agentapp.lifecycle import retention as moves
from agentapp.models import RetentionRule, Tenant
from agentapp.models.retention import RETAINED, rule_kind
from agentapp.policies import bounds
from agentapp.policies.permissions import RETENTION, SEES_RETENTION
from agentapp.services import unchanged, validation
from agentapp.services.principals import Principal

READ, WRITE = SEES_RETENTION, RETENTION
MOST_DAYS = 36_500


def terms() -> list[moves.Term]:
    """How long each kind and state is kept now."""
    return moves.current_terms()


def listing(principal: Principal) -> QuerySet[RetentionRule]:
    """The rules of the tenants in which somebody may see them, and those for all tenants."""
    principal.require(READ)
    rules = RetentionRule.objects.select_related("tenant").order_by("tenant__slug", "kind", "state")
    tenant_ids = principal.tenants_with(READ)
    return rules if tenant_ids is None else rules.filter(Q(tenant=None) | Q(tenant_id__in=tenant_ids))


def may_write(principal: Principal, tenant_id: int | None) -> bool:
    """Whether somebody makes and changes the rules of a tenant; None: those for all tenants."""
    return principal.tenant_ids is None if tenant_id is None else WRITE in principal.scopes_in(tenant_id)


def actor_of(by: Principal | str, tenant_id: int | None) -> str:
    """Who changes rules or holds of a tenant, None of all: a principal, or the name that a command was given.

    Raises:
        PermissionDenied: they may not.
    """
    if isinstance(by, str):
        return by
    if tenant_id is not None:
        by.require(WRITE, tenant_id)
    elif not may_write(by, None):
        raise PermissionDenied("What holds for all tenants is changed by superusers alone. Name a tenant of yours.")
    return by.actor


def draft(*, tenant: Tenant | None, kind: str, state: str) -> RetentionRule:
    """A rule that is not kept yet. For all kinds of a tenant, `kind` is empty."""
    return RetentionRule(tenant=tenant, kind=rule_kind(tenant, kind), state=state)


def find(*, tenant: Tenant | None, kind: str, state: str) -> RetentionRule:
    """Raises NotFound."""
    rule = RetentionRule.objects.filter(kind=rule_kind(tenant, kind), state=state).first()
    if rule is None:
        named = draft(tenant=tenant, kind=kind, state=state)
        raise NotFound(f"There is no rule for {named}. `manage.py retention` lists those that there are.")
    return rule


def check(rule: RetentionRule, days: Any) -> None:
    """Set how many days a rule keeps tasks. Raises InvalidInput where it cannot be: then nothing is set."""
    number = bounds.whole(days, most=MOST_DAYS)
    problems = [] if rule.pk else list(_problems_of_new(rule))
    if number is None:
        words = f"This must be 0, which is forever, or a whole number of days from 1 to {MOST_DAYS:,}."
        problems.append(("days", words))
    validation.raise_problems(problems)
    rule.days = number or 0


def save(
    rule: RetentionRule, *, days: Any, reason: str, by: Principal | str, as_read: datetime | None = None
) -> RetentionRule:
    """Make a rule or change its days; it holds from the dispatcher's next look on. Pressed twice, it is done once.
    `as_read`: only one that was last changed then.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: a value does not fit, or there is a rule for the same; nothing is stored.
        NotFound: somebody has removed it.
        PermissionDenied: they may not change rules of this tenant.
    """
    actor, reason = actor_of(by, rule.tenant_id), validation.checked_reason(reason)
    check(rule, days)
    is_new = not rule.pk
    with transaction.atomic():
        before = _same(rule) if is_new else _locked(rule)
        if before is not None and (before.days, before.note) == (rule.days, reason):
            return before
        if is_new and before is not None:
            raise _is_there(rule)
        if not is_new:
            unchanged.check(before, _name(rule), as_read=as_read)
        rule.note = reason
        try:
            with transaction.atomic():
                return moves.keep(rule, days_before=before.days if before else None, actor=actor, reason=reason)
        except IntegrityError as error:
            # Another press of the same button has made it just now.
            made = _same(rule)
            if made is not None and (made.days, made.note) == (rule.days, reason):
                return made
            raise _is_there(rule) from error


def keep(*, tenant: Tenant | None, kind: str, state: str, days: int, reason: str, by: Principal | str) -> RetentionRule:
    """Make a rule, or change the one that there is. Raises as `save` does."""
    rule = draft(tenant=tenant, kind=kind, state=state)
    return save(_same(rule) or rule, days=days, reason=reason, by=by)


def remove(rule: RetentionRule, *, reason: str, by: Principal | str, as_read: datetime | None = None) -> None:
    """Take a rule away. Raises as `save` does."""
    actor, reason = actor_of(by, rule.tenant_id), validation.checked_reason(reason)
    with transaction.atomic():
        moves.remove(unchanged.check(_locked(rule), _name(rule), as_read=as_read), actor=actor, reason=reason)


def _same(rule: RetentionRule) -> RetentionRule | None:
    return RetentionRule.objects.filter(kind=rule.kind, state=rule.state).first()


def _is_there(rule: RetentionRule) -> InvalidInput:
    return InvalidInput.at("kind", f"There is a rule for {rule} already. Change that one.")


def _name(rule: RetentionRule) -> str:
    return f"rule for {rule}"


def _locked(rule: RetentionRule) -> RetentionRule | None:
    return RetentionRule.objects.select_for_update(of=("self",)).select_related("tenant").filter(pk=rule.pk).first()


def _problems_of_new(rule: RetentionRule) -> Iterator[tuple[str, str]]:
    kinds, states = registry.kinds(), [each.value for each in RETAINED]
    # What is left of the name, not the name of what the rule would be read as: two rules must not hold for one kind.
    kind = rule.kind.removeprefix(rule_kind(rule.tenant, ""))
    if not kind and not rule.tenant_id:
        yield "kind", "A rule for all tenants names a workflow kind. For all kinds the settings hold."
    elif kind and kind not in kinds:
        yield "kind", f"There is no workflow kind {kind!r}. Choose of {', '.join(kinds)}."
    if rule.state not in states:
        yield "state", f"Choose of {', '.join(states)}."
