"""The mail that tells a person of approvals that wait. Its links show pages; nothing acts on a GET. [G2]"""

from __future__ import annotations

from uuid import UUID

from agentapp import conf
from agentapp.models import Approval, Membership
from agentapp.models.approval import RISK_RANK
from agentapp.policies import counting, mail_header
from agentapp.states import ApprovalState

MOST_LINES = 20
LONGEST_SUBJECT = 100


def compose(*, tenant_id: int, user_id: int, approvals: list[str]) -> dict[str, str] | None:
    """Return {"to", "subject", "body"} of a mail about the approvals that still wait; None where none does, or where
    the person left, was deactivated or wants no mails. Who may not see payloads reads no subject."""
    rows = Membership.objects.filter(tenant=tenant_id, user=user_id, gets_mails=True, user__is_active=True)
    # Only these: the hash of a password is not for the worker that sends.
    member = rows.select_related("user", "tenant").only("sees_payloads", "user__email", "tenant__slug").first()
    if member is None or mail_header.address_problem(member.user.email):
        return None
    waiting = Approval.objects.filter(
        pk__in=[UUID(each) for each in approvals], tenant=tenant_id, state=ApprovalState.PENDING
    )  # fmt: skip
    found = list(waiting.select_related("workflow").order_by(RISK_RANK, "priority", "created_at"))
    if not found:
        return None
    number = counting.count(len(found), "approval")
    verb = "waits" if len(found) == 1 else "wait"
    return {
        "to": member.user.email,
        "subject": f"{number} {verb} for you in {member.tenant.slug}",
        "body": "\n".join(_lines(member, found)),
    }


def _lines(member: Membership, found: list[Approval]) -> list[str]:
    base = conf.public_url()
    lines = [f"Waiting for a decision in {member.tenant.slug}:", ""]
    for approval in found[:MOST_LINES]:
        lines.append(f"- {_said(member, approval)}")
        if base:
            lines.append(f"  {base}/admin/agentapp/approval/{approval.pk}/change/")
    if len(found) > MOST_LINES:
        lines.append(f"and {len(found) - MOST_LINES:,} more")
    where = f"{base}/admin/agentapp/approval/" if base else "the page Approvals of the admin"
    turn_off = f"{base}/admin/agentapp/approval/mails/" if base else "the page Approvals of the admin, under Mails"
    return [*lines, "", f"All that wait: {where}", f"To get no such mails: {turn_off}", ""]


def _said(member: Membership, approval: Approval) -> str:
    expires = f", expires {approval.expires_at:%Y-%m-%d %H:%M} UTC" if approval.expires_at else ""
    said = f"{approval.risk} risk, {approval.workflow.kind}{expires}"
    subject = approval.content.get("subject")
    if not member.sees_payloads or not isinstance(subject, str):
        return said
    # One line, whatever a model has written: what a mail shows beside a link must not look like one of ours.
    shown = "".join(each if each.isprintable() else " " for each in subject)
    return f"{said}: “{shown[:LONGEST_SUBJECT]}”"
