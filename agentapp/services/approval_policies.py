"""Policies of approvals: made, changed and removed. For operators: they bind the people of tenants. [G2]"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from agentapp import registry
from agentapp.errors import InvalidInput, NotFound
from agentapp.lifecycle import approval_policies as moves
from agentapp.models import ApprovalPolicy, Tenant
from agentapp.models.approval_policy import ContentKind, ExpiryAction
from agentapp.policies import bounds, storable
from agentapp.policies.permissions import ROLES
from agentapp.services import unchanged, validation
from agentapp.services.principals import Principal

READ, WRITE = "approval_policies:read", "approval_policies:write"
TEXTS = ("name", "kind", "note")
CHOICES = {"content_kind": ("", *ContentKind.values), "on_expiry": tuple(ExpiryAction.values)}
FLAGS = ("four_eyes", "may_change_recipient", "mails_approvers")
GROUPS = ("approvers", "escalate_to")
MOST_S = 10 * 365 * 86_400
MOST_VOTES, MOST_GROUPS = 20, 50
# Numbers, each with its least and its most; those that may be empty.
NUMBERS = {
    "quorum": (1, MOST_VOTES), "sample_percent": (0, 100), "deadline_s": (1, MOST_S), "remind_after_s": (1, MOST_S),
    "escalate_after_s": (1, MOST_S),
}  # fmt: skip
OPTIONAL = ("deadline_s", "remind_after_s", "escalate_after_s")
SETTABLE = ("tenant", *TEXTS, *CHOICES, *FLAGS, *GROUPS, *NUMBERS)
LONGEST = {name: getattr(ApprovalPolicy._meta.get_field(name), "max_length", 0) for name in TEXTS}
_PATTERN = re.compile(r"[\w*]*", re.ASCII)


def listing(principal: Principal) -> QuerySet[ApprovalPolicy]:
    """All policies, in the order in which they were made."""
    # Who changes something is answered with what it has become.
    if WRITE not in principal.scopes:
        principal.require(READ)
    return ApprovalPolicy.objects.select_related("tenant").order_by("id")


def get(principal: Principal, policy_id: int) -> ApprovalPolicy:
    """Raises NotFound."""
    policy = listing(principal).filter(pk=policy_id).first()
    if policy is None:
        raise NotFound(f"There is no approval policy {policy_id}.")
    return policy


def save(
    principal: Principal, policy: ApprovalPolicy, values: dict[str, Any], *, reason: str = "",
    as_read: datetime | None = None,
) -> ApprovalPolicy:  # fmt: skip
    """Make a policy or change one; it holds for approvals that are asked from now on. What `values` leaves out stays as
    it is. `as_read`: only one that was last changed at that moment.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: a value does not fit, or there is a policy for the same; nothing is stored.
        NotFound: somebody has deleted it.
        PermissionDenied: the scope approval_policies:write is missing.
    """
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        if policy.pk:
            policy = _locked(policy, as_read)
        before = moves.fields_of(policy) if policy.pk else None
        validation.raise_problems([*_set(policy, values), *_set_numbers(policy, values), *_set_groups(policy, values)])
        validation.raise_problems(_of_all(policy))
        if moves.fields_of(policy) == before:
            return policy
        try:
            with transaction.atomic():
                return moves.keep(policy, before=before, actor=principal.actor, reason=reason)
        except IntegrityError as error:
            sentence = "There is a policy for this tenant, workflow kind and kind of content already. Change that one."
            raise InvalidInput.at("kind", sentence) from error


def delete(principal: Principal, policy: ApprovalPolicy, *, reason: str = "", as_read: datetime | None = None) -> None:
    """Take a policy away. Raises NotFound when it is gone already, and like `save`."""
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        moves.remove(_locked(policy, as_read), actor=principal.actor, reason=reason)


def _locked(policy: ApprovalPolicy, as_read: datetime | None) -> ApprovalPolicy:
    rows = ApprovalPolicy.objects.select_for_update(of=("self",)).select_related("tenant")
    return unchanged.check(rows.filter(pk=policy.pk).first(), f"approval policy {policy.pk}", as_read=as_read)


def _set(policy: ApprovalPolicy, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in TEXTS:
        text = str(values.get(name, getattr(policy, name))).strip()
        if len(text) > LONGEST[name] or not storable.is_storable(text):
            yield name, f"This is a text of at most {LONGEST[name]} characters."
        setattr(policy, name, text)
    for name, known in CHOICES.items():
        chosen = values.get(name, getattr(policy, name)) or ""
        if chosen not in known:
            yield name, f"Choose one of {', '.join(filter(None, known))}."
        setattr(policy, name, str(chosen))
    for name in FLAGS:
        setattr(policy, name, bool(values.get(name, getattr(policy, name))))
    if "tenant" in values:
        slug = values["tenant"] or ""
        policy.tenant = Tenant.objects.filter(slug=slug).first() if slug and storable.is_storable(slug) else None
        if slug and policy.tenant is None:
            yield "tenant", f"There is no tenant {slug!r}."


def _set_numbers(policy: ApprovalPolicy, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Texts of a form become numbers by this."""
    for name, (least, most) in NUMBERS.items():
        sent = values.get(name, getattr(policy, name))
        if sent is None and name in OPTIONAL:
            setattr(policy, name, None)
            continue
        number = bounds.whole(sent, least=least, most=most)
        if number is None:
            yield name, f"This must be a whole number between {least:,} and {most:,}."
        setattr(policy, name, number)


def _set_groups(policy: ApprovalPolicy, values: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name in GROUPS:
        names = list(dict.fromkeys(str(each).strip() for each in values.get(name, getattr(policy, name))))
        if len(names) > MOST_GROUPS:
            yield name, f"At most {MOST_GROUPS} groups may be named."
            continue
        storables = [each for each in names if storable.is_storable(each)]
        known = {*Group.objects.filter(name__in=storables).values_list("name", flat=True), *ROLES}
        for each in names:
            if each not in known:
                yield name, f"There is no group {each!r}. Groups are made in the admin."
        setattr(policy, name, names)


def _of_all(policy: ApprovalPolicy) -> Iterator[tuple[str, str]]:
    """What is missing or does not go together."""
    if not policy.name:
        yield "name", "This needs a value."
    kinds = registry.kinds()
    if not _PATTERN.fullmatch(policy.kind) or (policy.kind and not fnmatch.filter(kinds, policy.kind)):
        yield "kind", f"No workflow kind is {policy.kind!r}. Choose of {', '.join(kinds)}, or a pattern such as sup*."
    if policy.sample_percent < 100 and policy.content_kind not in ("", ContentKind.MAIL):
        yield "sample_percent", "Only mails are sampled. People are asked about all calls of tools and all budgets."
    if bool(policy.escalate_to) != (policy.escalate_after_s is not None):
        missing = "escalate_after_s" if policy.escalate_to else "escalate_to"
        yield missing, "Say both: after how many seconds, and to which groups."
    for name in ("remind_after_s", "escalate_after_s"):
        after_s = getattr(policy, name)
        if after_s is not None and policy.deadline_s is not None and after_s >= policy.deadline_s:
            yield name, "This must be before the deadline."
