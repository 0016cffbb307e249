"""The file outbox: each effect's mail once, whole, and it can be asked. [D7]"""

from __future__ import annotations

import email
from concurrent.futures import ThreadPoolExecutor
from email import policy
from pathlib import Path

import pytest
from django.core.mail import send_mail
from pytest_django import Settings

from agentapp.delivery import mail
from agentapp.errors import PermanentError, TransientError
from agentapp.ids import uuid7


@pytest.fixture
def outbox(settings: Settings, tmp_path: Path) -> Path:
    settings.EMAIL_BACKEND = "agentapp.delivery.outbox.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path / "outbox")
    settings.DEFAULT_FROM_EMAIL = "support@sample.test"
    return tmp_path / "outbox"


def send(effect_id: str, body: str = "Yes.") -> dict[str, str]:
    receipt: dict[str, str] = mail.send(to="customer@sample.test", subject="Re: Grüße", body=body, effect_id=effect_id)
    return receipt


def test_a_mail_is_a_file_named_by_its_effect(outbox: Path) -> None:
    effect_id = str(uuid7())

    receipt = send(effect_id, "Grüße,\ndas ist alles.\n")

    assert [path.name for path in outbox.iterdir()] == [f"{effect_id}.eml"]
    message = email.message_from_bytes((outbox / f"{effect_id}.eml").read_bytes(), policy=policy.default)
    assert (message["To"], message["Subject"]) == ("customer@sample.test", "Re: Grüße")
    assert message.get_content() == "Grüße,\ndas ist alles.\n"
    assert message["Message-ID"] == receipt["message_id"] == f"<{effect_id}@sample.test>"


def test_the_outbox_can_be_asked_what_it_has_sent(outbox: Path) -> None:
    effect_id = str(uuid7())
    assert mail.can_be_asked()
    assert mail.ask(effect_id) is None

    receipt = send(effect_id)

    assert mail.ask(effect_id) == receipt


def test_a_second_mail_of_the_same_effect_changes_nothing(outbox: Path) -> None:
    effect_id = str(uuid7())
    send(effect_id, "first")
    send(effect_id, "second")

    (path,) = outbox.iterdir()
    assert "first" in path.read_text() and "second" not in path.read_text()


def test_many_senders_of_one_effect_leave_one_whole_mail(outbox: Path) -> None:
    effect_id = str(uuid7())
    bodies = [f"{number} " * 5_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: send(effect_id, body), bodies))

    (path,) = outbox.iterdir()
    message = email.message_from_bytes(path.read_bytes(), policy=policy.default)
    assert message.get_content().split() in [body.split() for body in bodies]


def test_only_the_owner_reads_the_mails(outbox: Path) -> None:
    effect_id = str(uuid7())
    send(effect_id)

    assert (outbox / f"{effect_id}.eml").stat().st_mode & 0o777 == 0o600
    assert outbox.stat().st_mode & 0o777 == 0o700


def test_an_effect_id_is_no_path(outbox: Path) -> None:
    with pytest.raises(PermanentError, match="UUID"):
        send("../../etc/passwd")


def test_a_mail_that_is_no_effect_gets_a_name_of_its_own(outbox: Path) -> None:
    send_mail("Reset", "Press here.", None, ["person@sample.test"])
    send_mail("Reset", "Press here.", None, ["person@sample.test"])

    assert len(list(outbox.glob("*.eml"))) == 2


def test_an_outbox_that_cannot_be_written_is_transient(outbox: Path) -> None:
    outbox.write_text("a file where the folder should be")

    with pytest.raises(TransientError, match="not written"):
        send(str(uuid7()))
