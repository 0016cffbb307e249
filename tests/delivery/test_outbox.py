"""The file outbox: each effect's mail once, whole, and it can be asked. [D7]"""

from __future__ import annotations

import email
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from email import policy
from pathlib import Path
from uuid import UUID

import pytest
from django.core.mail import send_mail
from pytest_django import Settings

from agentapp.delivery import mail, receipts
from agentapp.errors import EffectUnknown, NotSentYet, PermanentError, TransientError
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

    assert [path.name for path in outbox.glob("*") if not path.name.startswith(".")] == [f"{effect_id}.eml"]
    message = email.message_from_bytes((outbox / f"{effect_id}.eml").read_bytes(), policy=policy.default)
    assert (message["To"], message["Subject"]) == ("customer@sample.test", "Re: Grüße")
    assert message.get_content() == "Grüße,\ndas ist alles.\n"
    assert message["Message-ID"] == receipt["message_id"] == f"<{effect_id}@sample.test>"


def test_the_outbox_can_be_asked_what_it_has_sent(outbox: Path) -> None:
    assert mail.can_be_asked()
    effect_id = str(uuid7())
    assert mail.ask(effect_id) is None

    receipt = send(effect_id)

    assert mail.ask(effect_id) == receipt


def test_a_second_mail_of_the_same_effect_changes_nothing(outbox: Path) -> None:
    effect_id = str(uuid7())
    send(effect_id, "first")
    send(effect_id, "second")

    (path,) = outbox.glob("*.eml")
    assert "first" in path.read_text() and "second" not in path.read_text()


def test_many_senders_of_one_effect_leave_one_whole_mail(outbox: Path) -> None:
    effect_id = str(uuid7())
    bodies = [f"{number} " * 5_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda body: send(effect_id, body), bodies))

    (path,) = outbox.glob("*.eml")
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


def receipts_of(outbox: Path) -> Path:
    return outbox.with_name("outbox.receipts")


def test_a_mail_that_a_pickup_has_taken_away_was_sent(outbox: Path, tmp_path: Path) -> None:
    effect_id = str(uuid7())
    receipt = send(effect_id)
    (outbox / f"{effect_id}.eml").rename(tmp_path / "taken.eml")

    assert mail.ask(effect_id) == receipt
    assert send(effect_id) == receipt
    assert list(outbox.glob("*.eml")) == []


@pytest.mark.parametrize("gone", ["outbox", "outbox.receipts", "both"])
@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_an_outbox_that_is_gone_says_nothing_and_sends_nothing_until_it_is_back(
    outbox: Path, tmp_path: Path, gone: str, left: str
) -> None:
    """What a mount leaves behind when it vanishes: its mount point, or nothing."""
    before, after = str(uuid7()), str(uuid7())
    receipt = send(before)
    folders = [outbox, receipts_of(outbox)] if gone == "both" else [tmp_path / gone]
    for folder in folders:
        folder.rename(tmp_path / f"unmounted {folder.name}")
        if left == "an empty folder":
            folder.mkdir()

    for _ in range(2):
        with pytest.raises(TransientError, match="is its disk mounted"):
            mail.ask(before)
        with pytest.raises(NotSentYet, match="is its disk mounted"):
            send(after)
    assert list(outbox.glob("*.eml")) == ([] if gone != "outbox.receipts" else [outbox / f"{before}.eml"])

    for folder in folders:
        if folder.exists():
            folder.rmdir()
        (tmp_path / f"unmounted {folder.name}").rename(folder)
    assert mail.ask(before) == receipt
    assert mail.ask(after) is None


@pytest.mark.parametrize("remade", ["not at all", "by a question", "by another mail"])
def test_an_outbox_whose_folders_both_vanished_does_not_say_that_nothing_was_sent(outbox: Path, remade: str) -> None:
    """Nothing ran while they did: no process remembers that they were there."""
    mail.can_be_asked()
    effect_id = begun_before()
    send(effect_id)
    assert mail.ask(effect_id) is not None
    for folder in (outbox, receipts_of(outbox)):
        shutil.rmtree(folder)
    receipts._seen.clear()
    if remade != "not at all":
        mail.can_be_asked()
    if remade == "by another mail":
        send(str(uuid7()))

    with pytest.raises(EffectUnknown, match="set up after this effect was begun"):
        mail.ask(effect_id)

    assert mail.can_be_asked()
    assert mail.ask(str(uuid7())) is None


def begun_before() -> str:
    """The id of an effect that was begun a minute ago."""
    return str(UUID(int=uuid7().int - (60_000 << 80)))


@pytest.mark.parametrize("nth", range(1, 30))
def test_a_sender_that_is_killed_between_any_two_steps_leaves_an_outbox_that_tells_the_truth(
    outbox: Path, nth: int
) -> None:
    """A process of its own does the sending, and is gone before its n-th call of the system."""
    dies = [sys.executable, "-c", DIES, str(outbox), str(nth)]
    ended = subprocess.run(dies, check=False, timeout=120, stdout=subprocess.PIPE)
    assert ended.returncode in (0, -signal.SIGKILL)
    assert mail.can_be_asked()
    # One that dies while the outbox is set up has begun no effect.
    effect_id = ended.stdout.decode() or str(uuid7())
    was_visible = (outbox / f"{effect_id}.eml").exists()
    if was_visible:
        # A pickup is fast.
        (outbox / f"{effect_id}.eml").unlink()

    assert (mail.ask(effect_id) is not None) == was_visible
    send(effect_id)
    assert (outbox / f"{effect_id}.eml").exists() != was_visible
    assert mail.ask(effect_id) is not None


# Every call that changes something on the disk is a step. Between two of them the process can die.
DIES = """
import os, signal, sys
outbox, left = sys.argv[1], int(sys.argv[2])

def dies(event, arguments):
    global left
    if event in ("open", "os.mkdir", "os.rename", "os.truncate", "fcntl.flock"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

from django.conf import settings
settings.configure(EMAIL_BACKEND="agentapp.delivery.outbox.EmailBackend", EMAIL_FILE_PATH=outbox,
                   DEFAULT_FROM_EMAIL="support@sample.test")
from agentapp.delivery import mail
from agentapp.ids import uuid7
sys.addaudithook(dies)
mail.can_be_asked()
effect_id = str(uuid7())
print(effect_id, end="", flush=True)
mail.send(to="customer@sample.test", subject="Hello", body="Hello", effect_id=effect_id)
"""


def test_while_a_mail_is_being_written_nobody_knows_whether_it_was_sent(
    outbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "PATIENCE_S", 0.05)
    effect_id = str(uuid7())
    path = receipts.set_up(outbox) / f"{effect_id}.json"
    with receipts.opened(path):
        with pytest.raises(TransientError, match="at this moment"):
            mail.ask(effect_id)
        with pytest.raises(NotSentYet, match="at this moment"):
            send(effect_id)
    assert mail.ask(effect_id) is None


def test_a_mail_of_a_release_without_receipts_was_sent_while_its_file_is_there(outbox: Path) -> None:
    effect_id = str(uuid7())
    outbox.mkdir()
    (outbox / f"{effect_id}.eml").write_text("Message-ID: <old@sample.test>\n\nHello")

    assert mail.ask(effect_id) == {"effect_id": effect_id, "message_id": "<old@sample.test>"}
    send(effect_id, "again")
    assert "again" not in (outbox / f"{effect_id}.eml").read_text()
