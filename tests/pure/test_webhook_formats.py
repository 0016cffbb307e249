"""Messages for chats, held against the shapes that Slack and Teams document."""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.policies import webhooks
from agentapp.policies.webhook_formats import CARD, FORMATS, TITLES, rendered

TASK: dict[str, Any] = {
    "id": "0192d1f0-6c1a-7d4e-9a35-2f1b7c3d4e5f", "kind": "support_reply", "state": "awaiting_approval",
    "input": {"body": "<script> & *stars*"}, "result": {"reply": "secret words"},
    "blocked_by": [{"type": "approval", "id": "0192d1f0-6c2b-7a10-8b46-3a2c8d4e5f60", "expires_at": None}],
}  # fmt: skip


def event(type: str, **data: Any) -> dict[str, Any]:
    return {"type": type, "timestamp": "2026-01-31T08:00:00Z", "data": TASK | data}


def test_every_event_has_a_title() -> None:
    assert set(TITLES) == {*webhooks.EVENTS, webhooks.TEST_EVENT}
    assert all(len(title) <= 150 for title in TITLES.values())


def test_agentapp_sends_the_event_as_it_is() -> None:
    assert rendered(event("task.failed"), format="agentapp") == event("task.failed")
    assert rendered(event("task.failed"), format="of a later release") == event("task.failed")


@pytest.mark.parametrize("type", sorted(TITLES))
def test_slack_is_sent_a_text_and_blocks(type: str) -> None:
    message = rendered(event(type), format="slack")

    assert set(message) == {"text", "blocks"} and TITLES[type] in message["text"]
    header, section = message["blocks"]
    assert header == {"type": "header", "text": {"type": "plain_text", "text": TITLES[type], "emoji": False}}
    assert section["type"] == "section" and section["text"]["type"] == "plain_text"
    assert 0 < len(section["text"]["text"]) <= 3_000 and TASK["blocked_by"][0]["id"] in section["text"]["text"]


def test_what_slack_would_format_is_escaped() -> None:
    assert "&lt;!channel&gt; &amp;" in rendered(event("task.failed", kind="<!channel> &"), format="slack")["text"]


@pytest.mark.parametrize("type", sorted(TITLES))
def test_teams_is_sent_a_message_with_an_adaptive_card(type: str) -> None:
    message = rendered(event(type), format="teams")

    assert set(message) == {"type", "attachments"} and message["type"] == "message"
    (attachment,) = message["attachments"]
    assert (attachment["contentType"], attachment["contentUrl"]) == (CARD, None)
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4") and "adaptivecards.io" in card["$schema"]
    text, facts = card["body"]
    assert (text["type"], text["text"], facts["type"]) == ("TextBlock", TITLES[type], "FactSet")
    assert all(set(fact) == {"title", "value"} and isinstance(fact["value"], str) for fact in facts["facts"])


@pytest.mark.parametrize(
    ("data", "words", "page"),
    [
        ({}, "Open the approval", f"approval/{TASK['blocked_by'][0]['id']}"),
        ({"blocked_by": [{"type": "gate"}]}, "Open the task", f"workflow/{TASK['id']}"),
    ],
)
def test_a_message_leads_to_the_page_where_a_person_goes_on(data: dict[str, Any], words: str, page: str) -> None:
    url = f"https://agents.sample.test/admin/agentapp/{page}/change/"
    asked = event("approval.requested", **data)

    slack = rendered(asked, format="slack", site="https://agents.sample.test")
    teams = rendered(asked, format="teams", site="https://agents.sample.test")

    assert slack["blocks"][-1] == {"type": "section", "text": {"type": "mrkdwn", "text": f"<{url}|{words}>"}}
    assert slack["text"].endswith(f"<{url}|{words}>")
    card = teams["attachments"][0]["content"]
    assert card["actions"] == [{"type": "Action.OpenUrl", "title": words, "url": url}]
    assert "http" not in str(rendered(asked, format="slack"))
    assert "actions" not in rendered(asked, format="teams")["attachments"][0]["content"]


@pytest.mark.parametrize("format", FORMATS[1:])
def test_no_words_of_customers_or_models_are_shown_in_a_chat(format: str) -> None:
    said = str(rendered(event("task.completed"), format=format))

    assert "stars" not in said and "secret words" not in said


@pytest.mark.parametrize("format", FORMATS[1:])
def test_a_test_event_has_no_task(format: str) -> None:
    payload = {"type": "webhook.test", "timestamp": "2026-01-31T08:00:00Z", "data": {"endpoint": "e"}}

    assert "can be reached" in str(rendered(payload, format=format))
