"""A mail backend that writes each mail to a file, once: the default until EMAIL_URL names a server. [D7]

The file is named by the effect that sends the mail. A receipt says that it was written, so a sender that died on the
way can ask whether it was sent, also when a pickup has taken the file away.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from agentapp.delivery import receipts
from agentapp.errors import CannotBeSent, EffectUnknown, NotSentYet, TransientError
from agentapp.ids import born_s, uuid7

EFFECT_HEADER = "X-Effect-Id"
# By how much the clocks of Postgres, which names effects, and of this machine may differ.
CLOCKS_DIFFER_S = 2.0


class EmailBackend(BaseEmailBackend):
    """Writes `<effect id>.eml` into settings.EMAIL_FILE_PATH, or into `file_path`.

    A mail becomes visible when its part file `.<effect id>.part` is renamed, and its receipt is written before that.
    So with a receipt and without a part file it was sent, whatever became of the file since.
    """

    # Two calls for one effect leave one mail: the second one finds the receipt.
    is_idempotent = True

    def __init__(self, *, fail_silently: bool = False, file_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(fail_silently=fail_silently, **kwargs)
        folder = file_path or getattr(settings, "EMAIL_FILE_PATH", None)
        if not folder:
            raise ImproperlyConfigured("The outbox needs a folder: set EMAIL_FILE_PATH, or EMAIL_URL.")
        self.folder = Path(folder)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the mails and return how many there are; one that was sent already counts and stays as it is.

        Raises:
            NotSentYet: the outbox cannot be written or is missing; the mail was not sent.
            TransientError: the storage failed as the mail became visible; ask() tells.
        """
        for message in email_messages:
            # A mail that is no effect (a password reset) gets a name of its own.
            effect_id = _checked(message.extra_headers.get(EFFECT_HEADER) or str(uuid7()))
            content, answer = message.message().as_bytes(), {"message_id": str(message.extra_headers.get("Message-ID"))}
            try:
                self._prepare(effect_id, content, answer)
            except (OSError, receipts.OutboxMissing, receipts.Busy) as error:
                raise NotSentYet(f"The mail was not written to the outbox: {error}") from error
        return len(email_messages)

    def ask(self, effect_id: str) -> dict[str, str] | None:
        """Return the Message-ID of an effect's mail as {"message_id"}, or None when it was never sent.

        Raises:
            TransientError: nobody knows at this moment: the outbox is missing, cannot be read, or is being written.
            EffectUnknown: the outbox is younger than the effect, so it cannot know.
        """
        effect_id = _checked(effect_id)
        try:
            found = self._looked_up(effect_id)
            # What was read while the disk went away is no answer.
            is_there = receipts.is_there(self.folder)
            if found is None and not (is_there and self._is_older_than(effect_id)):
                raise EffectUnknown(
                    f"The outbox {self.folder} is missing, or was set up after this effect was begun: it cannot tell "
                    "whether the mail was sent through an earlier one. Find out, then resolve this dead letter."
                )
        except OSError as error:
            raise TransientError(f"The outbox cannot be read: {error}") from error
        return found

    def ask_restored(self, effect_id: str) -> dict[str, str] | None:
        """Return the Message-ID of a mail whose effect has an id that ends like this one, as ask() does."""
        end = _checked(effect_id)[13:]
        try:
            if not receipts.is_there(self.folder):
                return self.ask(effect_id)
            places = (receipts.folder_of(self.folder), self.folder)
            found = {file.stem for place in places for file in place.glob(f"?????????????{end}.*")}
        except OSError as error:
            raise TransientError(f"The outbox cannot be read: {error}") from error
        # The outbox must be older than the task, of which this id does not tell: who begins a new one says so.
        return next((answer for each in sorted(found) if (answer := self.ask(each)) is not None), None)

    def be_ready(self) -> None:
        """Set the outbox up, so that it is older than the effects that are begun from now on."""
        # Where that fails, sending fails with the reason.
        with suppress(OSError, receipts.OutboxMissing):
            receipts.set_up(self.folder)

    def forget(self, effect_id: str) -> bool:
        """Delete an effect's mail with its receipt; tell whether there was any. Who asks later learns that nothing was
        sent, so only for an effect that is deleted too. Raises OSError."""
        receipt = receipts.folder_of(self.folder) / f"{_checked(effect_id)}.json"
        files = (self.folder / f"{effect_id}.eml", self._part(effect_id), receipt)
        there = [file for file in files if file.exists()]
        for file in there:
            file.unlink(missing_ok=True)
        return bool(there)

    def _looked_up(self, effect_id: str) -> dict[str, str] | None:
        path = receipts.folder_of(self.folder) / f"{effect_id}.json"
        if not receipts.is_there(self.folder) or not path.exists():
            return self._sent_before_receipts(effect_id)
        with receipts.opened(path) as receipt:
            return self._sent(effect_id, receipt)

    def _is_older_than(self, effect_id: str) -> bool:
        """What was begun before this outbox may have been sent through one whose folders are gone."""
        return receipts.since_s(self.folder) <= born_s(UUID(effect_id)) + CLOCKS_DIFFER_S

    def _prepare(self, effect_id: str, content: bytes, answer: dict[str, str]) -> None:
        """Everything up to the rename: until then nothing was sent."""
        folder = receipts.set_up(self.folder)
        with receipts.opened(folder / f"{effect_id}.json") as receipt:
            if self._sent(effect_id, receipt) is not None:
                return
            part = self._part(effect_id)
            receipts.replace(part, content)
            receipt.write(answer)
            self._publish(part, self.folder / f"{effect_id}.eml")

    def _publish(self, part: Path, path: Path) -> None:
        try:
            part.rename(path)
            receipts.flush_folder(self.folder)
        except OSError as error:
            raise TransientError(f"The outbox failed as the mail became visible: {error}") from error

    def _sent(self, effect_id: str, receipt: receipts.Receipt) -> dict[str, str] | None:
        written = receipt.read()
        if written is None:
            return self._sent_before_receipts(effect_id)
        return None if self._part(effect_id).exists() else written

    def _sent_before_receipts(self, effect_id: str) -> dict[str, str] | None:
        """A mail of an earlier release, which kept no receipts, is sent while its file is there."""
        try:
            with (self.folder / f"{effect_id}.eml").open("rb") as file:
                return {"message_id": str(BytesHeaderParser().parse(file)["Message-ID"])}
        except FileNotFoundError:
            return None

    def _part(self, effect_id: str) -> Path:
        return self.folder / f".{effect_id}.part"


def _checked(effect_id: str) -> str:
    try:
        return str(UUID(effect_id))
    except ValueError:
        raise CannotBeSent(f"{EFFECT_HEADER} must be a UUID, not {effect_id!r}.") from None
