"""Send one mail under its effect id, through Django's mail backend."""

from __future__ import annotations

import smtplib
from contextlib import suppress
from email.utils import parseaddr
from typing import Any, Protocol, runtime_checkable

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from agentapp.delivery import smtp
from agentapp.delivery.outbox import EFFECT_HEADER
from agentapp.errors import CannotBeSent
from agentapp.policies import mail_header


@runtime_checkable
class Askable(Protocol):
    """A mail backend that can tell whether it has sent the mail of an effect: its Message-ID, or None.

    `be_ready` is called before an effect is begun. `is_idempotent`: a second call for one effect sends nothing.
    """

    is_idempotent: bool

    def ask(self, effect_id: str) -> dict[str, str] | None: ...

    def be_ready(self) -> None: ...


@runtime_checkable
class Lasting(Protocol):
    """A mail backend that finds the mail of an effect by the end of its id; see JobContext.effect."""

    def ask_restored(self, effect_id: str) -> dict[str, str] | None: ...


@runtime_checkable
class Forgetful(Protocol):
    """A mail backend that keeps mails, and can delete the one of an effect."""

    def forget(self, effect_id: str) -> bool: ...


def send(*, to: str, subject: str, body: str, effect_id: str, from_email: str | None = None) -> dict[str, Any]:
    """Send a plain-text mail to one address and return its receipt, a small JSON object.

    The same effect id gives the same Message-ID, so that a mail which is sent twice after all is one in the inbox.

    Raises:
        NotSentYet: it was not sent, and may be later.
        CannotBeSent: it was not sent: its header cannot be written, or the server will never take it.
        EffectUnknown: the server got the mail and did not answer; it may have been sent.
        TransientError: it may have been sent, and the backend can be asked.
    """
    sender = from_email or settings.DEFAULT_FROM_EMAIL
    headers = {EFFECT_HEADER: effect_id, "Message-ID": message_id(effect_id, sender=sender)}
    message = EmailMessage(subject=subject, body=body, from_email=sender, to=[to], headers=headers)
    _check(message)
    connection = _connection()
    try:
        # Opened by itself first: whatever fails in here has sent nothing.
        connection.open()
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise smtp.meaning(error, mail_began=False) from error
    try:
        connection.send_messages([message])
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise smtp.meaning(error, mail_began=smtp.mail_began(connection)) from error
    finally:
        # The mail was taken or refused; how the server says goodbye changes nothing.
        with suppress(smtplib.SMTPException, OSError):
            connection.close()
    return {"effect_id": effect_id, "message_id": headers["Message-ID"]}


def _check(message: EmailMessage) -> None:
    """Find whatever is wrong with a mail before anything of it is sent. Raises CannotBeSent."""
    if problem := mail_header.sender_problem(message.from_email):
        raise CannotBeSent(f"No mail was sent: DEFAULT_FROM_EMAIL, {message.from_email!r}, cannot be used. {problem}")
    for name, problem in mail_header.problems({"to": message.to[0], "subject": message.subject}).items():
        raise CannotBeSent(f"No mail was sent, because of its {name}. {problem}")
    try:
        message.message().as_bytes()
    except ValueError as error:
        raise CannotBeSent(f"No mail was sent, because it cannot be written as a mail: {error}") from error


def ask(effect_id: str) -> dict[str, Any] | None:
    """Return the receipt of a mail that was sent under this effect id, or None when there was none.

    Only for a backend that can be asked: see can_be_asked().
    """
    connection = _connection()
    receipt = connection.ask(effect_id) if isinstance(connection, Askable) else None
    return None if receipt is None else {"effect_id": effect_id, **receipt}


def can_be_asked() -> bool:
    """Tell whether the backend knows what it has sent, and make it ready: the file outbox does, SMTP does not."""
    connection = _connection()
    if isinstance(connection, Askable):
        connection.be_ready()
        return True
    return False


def is_idempotent() -> bool:
    """Tell whether the backend sends the mail of one effect once, however often it is asked to."""
    connection = _connection()
    return isinstance(connection, Askable) and connection.is_idempotent


def ask_restored(effect_id: str) -> dict[str, Any] | None:
    """The receipt of a mail that was sent under an id with the same end, before a backup was restored, or None.

    Only for a backend that finds it: see finds_restored().
    """
    connection = _connection()
    receipt = connection.ask_restored(effect_id) if isinstance(connection, Lasting) else None
    return None if receipt is None else {"effect_id": effect_id, **receipt}


def finds_restored() -> bool:
    """Tell whether the backend finds what was sent before a backup of our database was restored: the file outbox."""
    return isinstance(_connection(), Lasting)


def forget(effect_id: str) -> bool:
    """Delete what the backend keeps of an effect that is erased: the file outbox its file; tell whether there was any.

    Raises:
        OSError: it cannot be deleted now.
    """
    connection = _connection()
    return connection.forget(effect_id) if isinstance(connection, Forgetful) else False


def message_id(effect_id: str, *, sender: str) -> str:
    """Return the Message-ID of an effect's mail."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{effect_id}@{domain}>"


def _connection() -> BaseEmailBackend:
    connection: BaseEmailBackend = get_connection()
    return connection
