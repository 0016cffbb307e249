"""A receiver tells webhooks of the service from others."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from agentapp.client import BadSignature, verify_webhook

SECRET = "whsec_" + base64.b64encode(b"a secret for tests, 32 bytes long").decode()
BODY = '{"type": "task.completed", "data": {"title": "caf\u00e9"}}'.encode()


def headers(*, content: bytes = BODY, secret: str = SECRET, age_s: float = 0) -> dict[str, str]:
    moment = datetime.now(UTC) - timedelta(seconds=age_s)
    signature = Webhook(secret).sign("msg_1", moment, content.decode())
    return {
        "Webhook-Id": "msg_1", "Webhook-Timestamp": str(int(moment.timestamp())), "Webhook-Signature": signature,
    }  # fmt: skip


def test_what_another_library_has_signed_is_taken() -> None:
    assert verify_webhook(BODY, headers(), SECRET)["type"] == "task.completed"


def test_one_of_several_signatures_is_enough_while_a_secret_is_changed() -> None:
    sent = headers()
    sent["Webhook-Signature"] = f"v1,{'A' * 43}= v2,x {sent['Webhook-Signature']}"

    assert verify_webhook(BODY, sent, SECRET)


@pytest.mark.parametrize("change", ["body", "id", "time", "secret", "old", "new", "none", "odd"])
def test_whatever_was_changed_is_refused(change: str) -> None:
    sent, body = headers(age_s={"old": 301, "new": -301}.get(change, 0)), BODY
    if change == "body":
        body = BODY.replace(b"completed", b"failed")
    elif change == "id":
        sent["Webhook-Id"] = "msg_2"
    elif change == "time":
        sent["Webhook-Timestamp"] = str(int(time.time()) - 1)
    elif change == "none":
        del sent["Webhook-Signature"]
    elif change == "odd":
        sent["Webhook-Signature"] = "v1,caf\u00e9"
    secret = SECRET if change != "secret" else "whsec_" + base64.b64encode(b"x" * 32).decode()

    with pytest.raises(BadSignature):
        verify_webhook(body, sent, secret)


def test_a_secret_that_is_none_is_told() -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify_webhook(BODY, headers(), "not base64!")
