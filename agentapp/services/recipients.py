"""Whether what is sent goes to the customer who asked, and to whom it was meant to go."""

from __future__ import annotations

from typing import Any

from agentapp.models import Approval, Workflow
from agentapp.policies import facts

CUSTOMER = "customer_email"


def customer(task: Workflow) -> str:
    """The address of the customer of a task; empty where its input names none."""
    found = task.input.get(CUSTOMER) if isinstance(task.input, dict) else ""
    return found if isinstance(found, str) else ""


def bypassed_customer(approval: Approval, content: dict[str, Any]) -> str:
    """The customer's address, where this content goes to another; empty where it is the same, or none is known."""
    asked, to = customer(approval.workflow), content.get("to")
    if not asked or not isinstance(to, str) or facts.about(asked) == facts.about(to):
        return ""
    return asked


def replaced(approval: Approval, content: dict[str, Any]) -> str:
    """The recipient that was shown, or that of the draft, where this content goes to another; else empty."""
    if "to" not in content:
        return ""
    before = [each.get("to") for each in (approval.content, approval.draft)]
    return next((str(to or "nobody") for to in before if to != content["to"]), "")
