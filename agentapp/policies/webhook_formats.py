"""What an endpoint is sent: the event as it is, or as a message that a chat shows. Pure.

Slack: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks (text and blocks). Teams: a message
with an Adaptive Card, as its workflow "when a webhook request is received" takes it. Nothing that a customer or a model
wrote is part of a message: it leaves the platform to be read by many.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]
Link = tuple[str, str]
AGENTAPP, SLACK, TEAMS = "agentapp", "slack", "teams"
FORMATS = (AGENTAPP, SLACK, TEAMS)
CARD = "application/vnd.microsoft.card.adaptive"
CARD_SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
# Of a plain text in a header block of Slack.
LONGEST_TITLE = 150
TITLES = {
    "approval.requested": "An approval waits for a decision",
    "approval.reminded": "An approval still waits for a decision",
    "approval.escalated": "Nobody has decided an approval for long: it is put to more people",
    "approval.decided": "An approval is decided",
    "task.completed": "A task is completed",
    "task.failed": "A task has failed",
    "task.cancelled": "A task was cancelled",
    "task.needs_attention": "A task needs attention",
    "task.notice": "A task has a notice about a failure",
    "webhook.test": "A test: this endpoint can be reached",
}


def rendered(payload: Json, *, format: str, site: str = "") -> Json:
    """Return an event in a format; one that is not known is sent as it is.

    `site` is the address of the admin: a message leads to the approval there, or to the task. Empty: it has no link.
    """
    if format not in (SLACK, TEAMS):
        return payload
    title = TITLES.get(payload["type"], str(payload["type"]))[:LONGEST_TITLE]
    facts = list(_facts(payload))
    link = _link(payload["data"], site) if site else None
    return _slack(title, facts, link) if format == SLACK else _teams(title, facts, link)


def _link(data: Mapping[str, Any], site: str) -> Link | None:
    """Where a person goes on, and what that is called."""
    asked = (reason for reason in data.get("blocked_by") or () if reason.get("type") == "approval" and reason.get("id"))
    if approval := next(asked, None):
        return "Open the approval", f"{site}/admin/agentapp/approval/{approval['id']}/change/"
    if data.get("id"):
        return "Open the task", f"{site}/admin/agentapp/workflow/{data['id']}/change/"
    return None


def _facts(payload: Mapping[str, Any]) -> list[tuple[str, str]]:
    data = payload["data"]
    known = [("Task", data.get("id")), ("Workflow kind", data.get("kind")), ("State", data.get("state"))]
    for reason in data.get("blocked_by") or ():
        if reason.get("type") == "approval":
            known += [("Approval", reason.get("id")), ("Expires", reason.get("expires_at"))]
    return [(name, str(value)) for name, value in [*known, ("At", payload.get("timestamp"))] if value]


def _slack(title: str, facts: list[tuple[str, str]], link: Link | None) -> Json:
    lines = "\n".join(f"{name}: {value}" for name, value in facts)
    # A button would be an interaction, which Slack also sends to the app.
    shown = f"<{_escaped(link[1])}|{link[0]}>" if link else ""
    linked = [{"type": "section", "text": {"type": "mrkdwn", "text": shown}}] if link else []
    return {
        "text": "\n".join(filter(None, (_escaped(f"{title}\n{lines}"), shown))),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": title, "emoji": False}},
            {"type": "section", "text": {"type": "plain_text", "text": lines or title, "emoji": False}},
            *linked,
        ],
    }


def _escaped(text: str) -> str:
    """In a text that Slack formats these three characters have a meaning."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(title: str, facts: list[tuple[str, str]], link: Link | None) -> Json:
    card: Json = {
        "$schema": CARD_SCHEMA,
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "TextBlock", "text": title, "weight": "Bolder", "wrap": True},
            {"type": "FactSet", "facts": [{"title": name, "value": value} for name, value in facts]},
        ],
    }
    if link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": link[0], "url": link[1]}]
    return {"type": "message", "attachments": [{"contentType": CARD, "contentUrl": None, "content": card}]}
