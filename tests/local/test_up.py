"""What `up` prints at each start."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from agentapp.local.stack import LocalStack
from agentapp.management.commands.up import Command

ABOUT = {
    "url": "http://127.0.0.1:8800", "admin_url": "http://127.0.0.1:8800/admin/", "flower_url": "http://127.0.0.1:5555",
    "admin_user": "admin", "admin_password": "a password", "api_key": "a key", "approver_api_key": "another key",
    "mail_is_sent": False, "mail_dir": "/home/of/mails",
}  # fmt: skip


def printed(home: Path, *, is_first_start: bool, **about: Any) -> str:
    stack = LocalStack(home)
    stack.stack, stack.is_first_start = ABOUT | about, is_first_start
    out = io.StringIO()
    Command(stdout=out)._print_addresses(stack)
    return out.getvalue()


@pytest.fixture(autouse=True)
def own_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def test_each_start_says_where_the_login_is_and_the_first_one_prints_it(tmp_path: Path) -> None:
    first, later = (printed(tmp_path, is_first_start=is_first) for is_first in (True, False))

    for each in (first, later):
        assert "Admin    http://127.0.0.1:8800/admin/" in each
        assert f"Sign in  admin; the password and the API keys are in {tmp_path / 'stack.json'}" in each
    for secret in ("a password", "a key", "another key"):
        assert secret in first and secret not in later


def test_each_start_says_what_becomes_of_mails(tmp_path: Path) -> None:
    assert "Mails    /home/of/mails\n" in printed(tmp_path, is_first_start=False)
    sent = printed(tmp_path, is_first_start=False, mail_is_sent=True)
    assert "Mails    sent by the server of EMAIL_URL\n" in sent
