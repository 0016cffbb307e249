"""A mail backend that writes each mail to a file, once: the default until EMAIL_URL names a server. [D7]

The file is named by the effect that sends the mail, so a sender that died on the way can ask whether it was sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from agentapp.errors import PermanentError, TransientError
from agentapp.ids import uuid7

EFFECT_HEADER = "X-Effect-Id"


class EmailBackend(BaseEmailBackend):
    """Writes `<effect id>.eml` into settings.EMAIL_FILE_PATH, or into `file_path`."""

    def __init__(self, *, fail_silently: bool = False, file_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(fail_silently=fail_silently, **kwargs)
        folder = file_path or getattr(settings, "EMAIL_FILE_PATH", None)
        if not folder:
            raise ImproperlyConfigured("The outbox needs a folder: set EMAIL_FILE_PATH, or EMAIL_URL.")
        self.folder = Path(folder)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the mails and return how many there are; one that is there already counts and stays as it is.

        Raises:
            TransientError: the folder cannot be written.
        """
        for message in email_messages:
            # A mail that is no effect (a password reset) gets a name of its own.
            path = self._path(message.extra_headers.get(EFFECT_HEADER) or str(uuid7()))
            try:
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write_once(path, message.message().as_bytes())
            except OSError as error:
                raise TransientError(f"The mail was not written to the outbox: {error}.") from error
        return len(email_messages)

    def ask(self, effect_id: str) -> dict[str, str] | None:
        """Return the Message-ID of an effect's mail as {"message_id"}, or None when it was never written."""
        try:
            with self._path(effect_id).open("rb") as file:
                return {"message_id": str(BytesHeaderParser().parse(file)["Message-ID"])}
        except FileNotFoundError:
            return None

    def _path(self, effect_id: str) -> Path:
        try:
            return self.folder / f"{UUID(effect_id)}.eml"
        except ValueError:
            raise PermanentError(f"{EFFECT_HEADER} must be a UUID, not {effect_id!r}.") from None


def _write_once(path: Path, content: bytes) -> None:
    """Put a whole file at `path` unless there is one; a crash leaves the file or nothing."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # A link, because a rename would replace the mail of an earlier attempt.
        path.hardlink_to(part)
    except FileExistsError:
        return
    finally:
        part.unlink()
    _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    """Make the new name as durable as the content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
