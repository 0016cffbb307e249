"""Secrets are taken out of what is written, and a weak one does not turn ordinary text into nonsense. [B3]"""

from __future__ import annotations

import base64
import html
import json
import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import AnonymousUser
from django.test import RequestFactory
from django.views.debug import get_exception_reporter_class

from agentapp import redaction, secret_refs
from agentapp.delivery import guarded_http
from agentapp.errors import PermanentError, PermissionDenied
from agentapp.observability import uncaught
from agentapp.observability.log_handler import RedactingHandler
from agentapp.policies import storable
from agentapp.tools.servers import messages
from config import known_secrets, setting
from config.error_pages import RedactingReporter

CANARY = "canary-7f3a\"b'&/c"
HELD = frozenset({"http:send"})


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test learns is forgotten after it."""
    monkeypatch.setattr(redaction, "_values", {})
    monkeypatch.setattr(redaction, "_forms", ())
    yield


@pytest.mark.parametrize(
    "spelled",
    [
        CANARY, json.dumps({"key": CANARY}), f"https://h/?key={quote(CANARY, safe='')}", html.escape(CANARY),
        repr({"key": CANARY}), json.dumps([repr([CANARY]), json.dumps([CANARY])]),
        "Basic " + base64.b64encode(CANARY.encode()).decode(), CANARY * 3, CANARY.encode().hex(),
        *("Basic " + base64.b64encode(f"{user}:{CANARY}".encode()).decode() for user in ("u", "us", "user")),
        # PHP, .NET, Go, JavaScript, a service that writes small hexadecimals, templates of Python, JSON in an address.
        json.dumps(CANARY).replace("/", "\\/"), json.dumps(CANARY).replace("&", "\\u0026").replace("'", "\\u0027"),
        json.dumps(CANARY).replace("&", "\\u0026").replace('\\"', "\\U0022".lower()), quote(CANARY, safe="!'()*"),
        quote(CANARY, safe="").lower(), CANARY.replace("&", "&amp;").replace("'", "&#39;").replace('"', "&#34;"),
        quote(quote(json.dumps(CANARY).replace("&", "\\u0026"), safe=""), safe=""),
    ],
)  # fmt: skip
def test_a_secret_is_taken_out_however_it_is_spelled(spelled: str) -> None:
    assert redaction.redacted(spelled) == spelled
    redaction.learn(CANARY)

    found = redaction.redacted(spelled)

    assert redaction.MARK in found and "7f3a" not in found and not redaction.finds(found)


@pytest.mark.parametrize(
    "weak", ["", " ", "a", "short-1", "customer", "12345678901", "aaaaaaaaaaaaaaaaaaaa", "abababab"]
)
def test_a_weak_value_is_not_looked_for_and_not_used_for_a_tool(weak: str) -> None:
    redaction.learn(weak)

    assert redaction.redacted(f"Our customer {weak} says a.") == f"Our customer {weak} says a."
    with pytest.raises(PermanentError, match=r"too weak|is missing") as refused:
        secret_refs.resolve("TOOL_SECRET_CRM", held=HELD, environ={"TOOL_SECRET_CRM": weak})
    assert len(weak) < 2 or weak not in str(refused.value)


@pytest.mark.parametrize(
    ("secret", "written"),
    [
        ("pass word one+two", "pass+word+one%2Btwo"), ("pässwörd-1", "p%c3%A4ssw\\u00f6rd-1"),
        ("a\nb\\\\nc\td-1", json.dumps("a\nb\\\\nc\td-1")), ("k\N{KEY}-key-1", json.dumps("k\N{KEY}-key-1")),
    ],
)  # fmt: skip
def test_blanks_lines_backslashes_and_other_alphabets_are_found_too(secret: str, written: str) -> None:
    redaction.learn(secret)

    assert redaction.redacted(written).strip('"') == redaction.MARK


def test_one_secret_may_be_the_beginning_of_another() -> None:
    redaction.learn("canary-1", "canary-1-and-more")

    assert redaction.redacted("canary-1-and-more, canary-1") == "[secret], [secret]"


def test_values_are_gone_through_to_their_depth() -> None:
    redaction.learn(CANARY)

    found = redaction.redacted_json({"a": [{"b": (f"x {CANARY}", 1, None)}], CANARY: True})

    assert found == {"a": [{"b": ["x [secret]", 1, None]}], "[secret]": True}


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_a_secret_that_comes_in_pieces_is_never_shown(size: int) -> None:
    redaction.learn(CANARY)
    text = f"before canary-7 between {CANARY}{CANARY} after can"
    stream, shown = redaction.Stream(), ""
    for at in range(0, len(text), size):
        shown += stream.take(text[at : at + size])
        assert "canary-7f3a" not in shown

    assert shown + stream.end() == "before canary-7 between [secret][secret] after can"


@pytest.mark.parametrize("size", [1, 3])
def test_a_secret_that_comes_in_pieces_is_not_shown_in_another_spelling(size: int) -> None:
    redaction.learn(CANARY)
    written = quote(json.dumps(CANARY).replace("/", "\\/"), safe="")
    text = f"100% & more {written} {CANARY.encode().hex()} after"
    stream = redaction.Stream()
    shown = "".join(stream.take(text[at : at + size]) for at in range(0, len(text), size)) + stream.end()

    assert shown == "100% & more %22[secret]%22 [secret] after"


def test_a_secret_is_taken_out_before_a_text_is_cut() -> None:
    redaction.learn(CANARY)

    assert "7f3a" not in storable.text(f"{CANARY} and more", most=14)
    assert storable.message(ValueError(CANARY)) == redaction.MARK
    assert "7f3a" not in guarded_http._words(ValueError("x" * 185 + CANARY))
    link = {"type": "resource_link", "uri": "x" * 485 + CANARY}
    assert "7f3a" not in messages.text_of({"content": [link]})
    assert storable.value({"said": CANARY}) == {"said": redaction.MARK}


def test_a_line_of_the_log_and_the_trace_in_it_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    redaction.learn(CANARY)
    log = logging.Logger("canaries")
    log.addHandler(RedactingHandler())
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.exception("It failed with %s", CANARY)

    written = capsys.readouterr().err
    assert "It failed with [secret]" in written and "ValueError: [secret]" in written and "7f3a" not in written


def test_an_error_that_nothing_catches_is_written_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    uncaught.redact()
    redaction.learn(CANARY)

    def fail() -> None:
        raise ValueError(CANARY)

    thread = threading.Thread(target=fail, name="the worker")
    thread.start()
    thread.join()
    error = ValueError(CANARY)
    sys.excepthook(ValueError, error, None)

    written = capsys.readouterr().err
    assert "in thread the worker" in written and written.count("ValueError: [secret]") == 2 and "7f3a" not in written


def test_the_page_about_an_error_has_no_secret() -> None:
    redaction.learn(CANARY)
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    try:
        address = f"redis://:{CANARY}@h"
        raise ValueError(address)
    except ValueError as error:
        assert str(get_exception_reporter_class(request)) == str(RedactingReporter)
        reporter = RedactingReporter(request, type(error), error, error.__traceback__)

    for page in (reporter.get_traceback_html(), reporter.get_traceback_text()):
        assert redaction.MARK in page and not redaction.finds(page)


def test_a_reference_is_resolved_for_the_class_that_may_hold_it_alone() -> None:
    environ = {"TOOL_SECRET_CRM": f" {CANARY}\n"}

    assert secret_refs.resolve("TOOL_SECRET_CRM", held=HELD, environ=environ) == CANARY
    assert redaction.redacted(CANARY) == redaction.MARK
    for held in ((), {"model:call"}, {"mail:send"}):
        with pytest.raises(PermissionDenied, match="the scope http:send"):
            secret_refs.resolve("TOOL_SECRET_CRM", held=held, environ=environ)
    with pytest.raises(PermissionDenied, match="the scope model:call"):
        secret_refs.resolve("MODEL_KEY_ACME", held=HELD, environ=environ)


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "TOOL_SECRET_", "TOOL_SECRET_crm", "TOOL_SECRET_CRM_FILE", "", "X" * 999]
)
def test_what_is_no_reference_reads_nothing(name: str) -> None:
    with pytest.raises(PermanentError, match="no reference to a secret"):
        secret_refs.resolve(name, held=HELD, environ={name: CANARY})


def test_a_secret_in_a_file_is_read_at_each_use(tmp_path: Path) -> None:
    path = tmp_path / "crm"
    environ = {"TOOL_SECRET_CRM_FILE": str(path)}
    with pytest.raises(PermanentError, match="cannot be read"):
        secret_refs.resolve("TOOL_SECRET_CRM", held=HELD, environ=environ)
    for value in (CANARY, "another-secret-1"):
        path.write_text(value + "\n")
        assert secret_refs.resolve("TOOL_SECRET_CRM", held=HELD, environ=environ) == value
        assert redaction.redacted(value) == redaction.MARK
    for content, words in ((b"", "is missing"), (b"x" * 20_000, "more than"), (b"a\x00bcdefgh-1", "no header")):
        path.write_bytes(content)
        with pytest.raises(PermanentError, match=words):
            secret_refs.resolve("TOOL_SECRET_CRM", held=HELD, environ=environ)


SECRETS = {
    "DATABASE_URL": "postgresql://user:{}@host:5432/agentapp",
    "REDIS_URL": "redis://:{}@host:6379/0",
    "EMAIL_URL": "smtp://user:{}@mail.example.org:587/?tls=1",
    "AGENTAPP_ARTIFACT_STORAGE_OPTIONS": '{{"bucket_name": "acme-files-1", "secret_key": "{}"}}',
    "DJANGO_SECRET_KEY_FALLBACKS": "the-key-before-1,{}",
}


def test_every_secret_setting_is_known() -> None:
    """A new setting that is marked as secret is looked for too."""
    plain = "canary-of-settings-1"
    for one in setting.SETTINGS:
        if one.secret:
            raw = SECRETS.get(one.name, "{}").format(plain)
            assert plain in set(known_secrets.values({one.name: raw})), one.name


@pytest.mark.parametrize("name", ["MODEL_KEY_ACME", "TOOL_SECRET_CRM"])
def test_every_reference_in_the_environment_is_known(name: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text(CANARY)
    environs: list[dict[str, Any]] = [{name: CANARY}, {f"{name}_FILE": str(tmp_path / "x")}]
    for environ in environs:
        assert CANARY in set(known_secrets.values(environ))
    assert set(known_secrets.values({f"{name}_FILE": "/nowhere"})) <= {""}


def test_what_an_address_and_options_say_beside_their_secrets_is_not_taken_out() -> None:
    texts = ("postgresql://agent-user-1:canary%2Dcanary%2D1@db-host-1/agents-db-1?sslpassword=canary-2-canary",)
    options = SECRETS["AGENTAPP_ARTIFACT_STORAGE_OPTIONS"].format("canary-3-canary")
    redaction.learn(*known_secrets.values({"AGENTAPP_ARTIFACT_STORAGE_OPTIONS": options}, more=texts))

    assert redaction.redacted("db-host-1 agent-user-1 agents-db-1 acme-files-1") == (
        "db-host-1 agent-user-1 agents-db-1 acme-files-1"
    )
    for secret in ("canary-canary-1", "canary%2Dcanary%2D1", "canary-2-canary", "canary-3-canary"):
        assert redaction.redacted(secret) == redaction.MARK
