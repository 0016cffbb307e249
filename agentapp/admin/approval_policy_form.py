"""The form of an approval policy: its fields in groups, what was typed into them, and what is wrong beside each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentapp.admin import form
from agentapp.admin.form import Field
from agentapp.models import ApprovalPolicy
from agentapp.services import approval_policies

NAMES = (*approval_policies.SETTABLE, "reason")
_YES = (("no", "no"), ("yes", "yes"))
_CONTENT = (("", "all"), ("mail", "mails"), ("tool_arguments", "calls of tools"), ("budget", "budgets"))
_EXPIRY = (("expire", "the task fails"), ("reject", "it is rejected"))
_GROUPS: tuple[tuple[str, tuple[Field, ...]], ...] = (
    (
        "Applies to",
        (
            Field("name", "Name", "The approval says which policy asked.", "text"),
            Field("tenant", "Tenant", "The slug of a tenant. Empty: all tenants.", "text"),
            Field("kind", "Workflow kind", "As in support_reply, or a pattern as in support_*. Empty: all.", "text"),
            Field("content_kind", "Content", "What the approval is about.", "choice", _CONTENT),
        ),
    ),
    (
        "Who decides",
        (
            Field("approvers", "Groups", "Names, with commas between. Empty: all who have the right to.", "line"),
            Field("four_eyes", "Four eyes", "Who submitted or edited it does not approve it.", "choice", _YES),
            Field("quorum", "Quorum", "How many people must approve the same content."),
            Field("may_change_recipient", "Recipient may change", "By an edit, to whom a mail goes.", "choice", _YES),
            Field("sample_percent", "Sample", "Of mails of low risk, how many percent a person is asked about."),
        ),
    ),
    (
        "Time",
        (
            Field("deadline_s", "Deadline", "In seconds. Empty: as the workflow kind says."),
            Field("on_expiry", "Then", "What becomes of it. Nothing approves it.", "choice", _EXPIRY),
            Field("mails_approvers", "Mail", "Those who may decide are told by mail.", "choice", _YES),
            Field("remind_after_s", "Remind after", "In seconds, once. Empty: never."),
            Field("escalate_after_s", "Escalate after", "In seconds, once. Empty: never."),
            Field("escalate_to", "Escalate to", "Names of groups, who decide too from then on.", "line"),
        ),
    ),
    (
        "Reason",
        (
            Field("note", "Note", "Why it is so. Kept with the policy.", "long"),
            Field("reason", "Reason for this change", "Optional. Shown under Changes.", "line"),
        ),
    ),
)  # fmt: skip


def values(entered: Mapping[str, str]) -> dict[str, Any]:
    """What the service is given; an empty number is none, or its default."""
    found: dict[str, Any] = {name: entered[name] for name in approval_policies.SETTABLE}
    found |= {name: entered[name] or None for name in approval_policies.OPTIONAL}
    found |= {name: entered[name] == "yes" for name in approval_policies.FLAGS}
    for name in approval_policies.GROUPS:
        found[name] = [each.strip() for each in entered[name].split(",") if each.strip()]
    return found


def shown(policy: ApprovalPolicy) -> dict[str, str]:
    """What the fields of a policy show."""
    shown = {name: getattr(policy, name) for name in approval_policies.SETTABLE}
    shown["tenant"] = policy.tenant.slug if policy.tenant else ""
    shown |= {name: "yes" if shown[name] else "no" for name in approval_policies.FLAGS}
    shown |= {name: ", ".join(shown[name]) for name in approval_policies.GROUPS}
    return {name: "" if value is None else str(value) for name, value in shown.items()}


def groups(entered: Mapping[str, str], errors: Mapping[str, str]) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand."""
    return form.filled(_GROUPS, entered, errors)
