"""Mails by a real SMTP conversation: what was refused, what was not sent, what nobody knows. [D7]"""

from __future__ import annotations

import socket

import pytest
from pytest_django import Settings

from agentapp.delivery import mail
from agentapp.errors import CannotBeSent, EffectUnknown, NotSentYet
from agentapp.ids import uuid7
from tests.delivery.smtp_server import MailServer

BACKENDS = ("agentapp.delivery.smtp.EmailBackend", "django.core.mail.backends.smtp.EmailBackend")


@pytest.fixture(params=BACKENDS)
def use(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings for SMTP on loopback; set EMAIL_PORT."""
    settings.EMAIL_BACKEND = request.param
    settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_HOST_USER = settings.EMAIL_HOST_PASSWORD = ""
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_TIMEOUT = 10
    settings.DEFAULT_FROM_EMAIL = "Sample Support <support@sample.test>"
    return settings


def send(settings: Settings, server: MailServer, effect_id: str = "") -> dict[str, str]:
    settings.EMAIL_PORT = server.port
    receipt: dict[str, str] = mail.send(
        to="customer@sample.test", subject="Re: Grüße", body="Guten Tag,\nja.", effect_id=effect_id or str(uuid7())
    )
    return receipt


def test_a_mail_carries_its_effect_and_a_message_id_made_of_it(use: Settings) -> None:
    effect_id = str(uuid7())
    with MailServer() as server:
        receipt = send(use, server, effect_id)

    assert receipt == {"effect_id": effect_id, "message_id": f"<{effect_id}@sample.test>"}
    (sent,) = server.mails
    assert f"X-Effect-Id: {effect_id}" in sent and f"Message-ID: <{effect_id}@sample.test>" in sent
    assert "To: customer@sample.test" in sent and "From: Sample Support <support@sample.test>" in sent
    assert not mail.can_be_asked() and mail.ask(effect_id) is None


@pytest.mark.parametrize(
    ("command", "answer"),
    [("RCPT", "450 try later"), ("MAIL", "451 busy"), ("DATA", "421 too busy"), (".", "452 no room"),
     ("GREETING", "421 not now"), ("GREETING", "")],
)  # fmt: skip
def test_what_the_server_may_take_later_is_transient(use: Settings, command: str, answer: str) -> None:
    with MailServer(**{command: answer}) as server, pytest.raises(NotSentYet):
        send(use, server)


@pytest.mark.parametrize(
    ("command", "answer"),
    [("RCPT", "550 no such mailbox"), ("MAIL", "553 not you"), ("DATA", "554 no"), (".", "554 looks like spam")],
)
def test_what_the_server_will_never_take_is_permanent(use: Settings, command: str, answer: str) -> None:
    with MailServer(**{command: answer}) as server, pytest.raises(CannotBeSent, match=answer):
        send(use, server)


def test_a_server_that_got_the_mail_and_fell_silent_leaves_it_unknown(use: Settings) -> None:
    with MailServer(**{".": ""}) as server, pytest.raises(EffectUnknown):
        send(use, server)
    assert len(server.mails) == 1


def test_a_server_that_hangs_up_before_the_mail_sent_nothing(use: Settings) -> None:
    """Our backend knows how far it got; with Django's own nobody does, and a person decides."""
    expected = NotSentYet if BACKENDS[0] == use.EMAIL_BACKEND else EffectUnknown
    for command in ("MAIL", "RCPT", "DATA"):
        with MailServer(**{command: ""}) as server, pytest.raises(expected):
            send(use, server)
        assert server.mails == []


def test_a_server_that_does_not_say_goodbye_has_taken_the_mail_all_the_same(use: Settings) -> None:
    with MailServer(QUIT="") as server:
        send(use, server)
    assert len(server.mails) == 1


def test_a_server_that_is_not_there_is_transient(use: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        use.EMAIL_PORT = listener.getsockname()[1]

    with pytest.raises(NotSentYet, match="cannot be reached"):
        mail.send(to="customer@sample.test", subject="Hello", body="Hello", effect_id=str(uuid7()))


@pytest.mark.parametrize(
    "sender", ["Support, Sample <support@sample.test>", "a@b.test, c@d.test", "nobody", "a\x85@b.test"]
)
def test_a_sender_that_is_none_sends_nothing_and_says_so(use: Settings, sender: str) -> None:
    with MailServer() as server:
        use.EMAIL_PORT, use.DEFAULT_FROM_EMAIL = server.port, sender
        with pytest.raises(CannotBeSent, match="DEFAULT_FROM_EMAIL"):
            mail.send(to="customer@sample.test", subject="Hello", body="Hello", effect_id=str(uuid7()))
    assert server.seen == []


def test_a_name_with_a_comma_stands_between_quotes(use: Settings) -> None:
    use.DEFAULT_FROM_EMAIL = '"Support, Sample" <support@sample.test>'
    with MailServer() as server:
        send(use, server)
    assert 'From: "Support, Sample" <support@sample.test>' in server.mails[0]


@pytest.mark.parametrize(
    "hidden", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85", "\u2028", "\u2029", "\x00"]
)
def test_a_header_that_would_be_more_than_one_line_is_refused_before_the_server_is_called(
    use: Settings, hidden: str
) -> None:
    attack = f"x{hidden}Bcc: thief@sample.test"
    for more in ({"subject": attack}, {"to": f'"{attack}"@sample.test'}, {"to": f"customer@sample.test{hidden}"}):
        with MailServer() as server:
            use.EMAIL_PORT = server.port
            with pytest.raises(CannotBeSent, match=f"U\\+{ord(hidden):04X}"):
                mail.send(
                    **{"to": "customer@sample.test", "subject": "Hello", "body": "Hello"} | more, effect_id=str(uuid7())
                )
        assert server.seen == []


@pytest.mark.parametrize(
    "to", ["a@b.test, c@d.test", "a@b.test;c@d.test", "Name <a@b.test>", "a@b.test ", "", "a" * 65 + "@b.test"]
)
def test_a_recipient_is_one_address(use: Settings, to: str) -> None:
    with MailServer() as server:
        use.EMAIL_PORT = server.port
        with pytest.raises(CannotBeSent, match="because of its to"):
            mail.send(to=to, subject="Hello", body="Hello", effect_id=str(uuid7()))
    assert server.seen == []
