"""Django's SMTP backend that also knows how far a conversation got, and what a failure means. [D7]"""

from __future__ import annotations

import smtplib

from django.core.mail.backends import smtp

from agentapp.errors import AgentappError, CannotBeSent, EffectUnknown, NotSentYet

# The answer to DATA: go on with the mail.
GO_ON = 354


class _Conversation(smtplib.SMTP):
    """Remembers that the server asked for the mail: from there on it may have it although it never says so."""

    mail_began = False

    def getreply(self) -> tuple[int, bytes]:
        code, words = super().getreply()
        self.mail_began = self.mail_began or code == GO_ON
        return code, words


class _TlsConversation(_Conversation, smtplib.SMTP_SSL):
    """The same, with TLS from the first byte."""


class EmailBackend(smtp.EmailBackend):
    """Sends by SMTP. A mail server cannot be asked later whether it took a mail."""

    @property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _TlsConversation if self.use_ssl else _Conversation


def mail_began(connection: object) -> bool:
    """Tell whether the server may already have the mail; of a backend that does not say so, assume it."""
    conversation = getattr(connection, "connection", None)
    return bool(getattr(conversation, "mail_began", True))


def meaning(error: Exception, *, mail_began: bool) -> AgentappError:
    """Turn a failure into the error that says what happens next.

    A reply of the server is an answer: 4xx may work later, 5xx never will, and in both cases the mail was not taken.
    Without a reply it was not taken either, unless the server had asked for it: then nobody knows.
    """
    answer = _answer(error)
    if answer is not None:
        code, words = answer
        sentence = f"The mail server refused the mail: {code} {words}"
        return CannotBeSent(sentence) if code >= 500 else NotSentYet(sentence)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return CannotBeSent(f"The mail server cannot do what is asked of it: {error}. Check EMAIL_URL.")
    if mail_began:
        return EffectUnknown(
            f"The mail server was given the mail and did not answer ({error}). Look into its log, then say "
            "whether it was sent."
        )
    if isinstance(error, smtplib.SMTPException | OSError):
        return NotSentYet(f"No mail was sent: the mail server cannot be reached ({error}).")
    return CannotBeSent(f"No mail was sent, because it cannot be written down for a mail server: {error}")


def _answer(error: Exception) -> tuple[int, str] | None:
    """Return the server's refusal as (code, words), or None when it gave none; one that nobody can read is none."""
    code: int
    words: bytes | str
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, words = error.smtp_code, error.smtp_error
    else:
        return None
    if code < 400:
        return None
    return code, words.decode(errors="replace") if isinstance(words, bytes) else words
