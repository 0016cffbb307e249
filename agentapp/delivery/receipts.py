"""What a file outbox remembers: a receipt for each effect, and that the outbox was set up. [D7]

The receipts stand in a folder of their own beside the outbox: a pickup that takes the mails away leaves them.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentapp import clock
from agentapp.errors import TransientError

MARKER = ".outbox"
STATE = "state"
SINCE = "since"
BEGUN, DONE = "set-up begun", "set up"
PATIENCE_S = 10.0
LOOK_EVERY_S = 0.02
# Outboxes that this process has used: when both folders are gone at once, it still knows that they were there.
_seen: set[Path] = set()


class OutboxMissing(TransientError):
    """The folder of the outbox or of its receipts is not there, though mails were sent through it."""


class Busy(TransientError):
    """Another sender writes the mail of this effect at this moment."""


def folder_of(outbox: Path) -> Path:
    return outbox.with_name(f"{outbox.name}.receipts")


def set_up(outbox: Path) -> Path:
    """See that an outbox and its receipts belong together, make both at the first use, and return the receipts.

    Each of the two says that the other has been made. So a mount that is gone, or a folder that was deleted, is told
    from an outbox that is new: its mails must not look as if they had never been sent.

    Raises:
        OutboxMissing: one of the two is gone.
        OSError: the storage fails.
    """
    receipts = folder_of(outbox)
    state, is_marked = _read(receipts / STATE), (outbox / MARKER).exists()
    if state == DONE and is_marked:
        _seen.add(outbox)
        return receipts
    if state == DONE:
        raise OutboxMissing(_missing(outbox, what=outbox / MARKER))
    if not state and (is_marked or outbox in _seen):
        raise OutboxMissing(_missing(outbox, what=receipts / STATE))
    for folder in (receipts, outbox):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flush_folder(folder.parent)
    # In this order, so that a crash between any two leaves a set-up that goes on.
    replace(receipts / STATE, BEGUN)
    replace(receipts / SINCE, f"{clock.now().timestamp():.3f}")
    replace(outbox / MARKER, f"An outbox of agentapp. Its receipts are in {receipts.name}, and must stay there.\n")
    replace(receipts / STATE, DONE)
    _seen.add(outbox)
    return receipts


def is_there(outbox: Path) -> bool:
    """Tell whether an outbox was set up; nothing is made. Raises like `set_up`."""
    is_begun = bool(_read(folder_of(outbox) / STATE)) or (outbox / MARKER).exists() or outbox in _seen
    if is_begun:
        set_up(outbox)
    return is_begun


def since_s(outbox: Path) -> float:
    """Return when an outbox was set up, in seconds since 1970; 0 where it does not say: by an earlier release."""
    try:
        return float(_read(folder_of(outbox) / SINCE) or 0)
    except ValueError:
        return 0.0


@contextmanager
def opened(receipt: Path) -> Iterator[Receipt]:
    """Hold the receipt of one effect: nobody else reads or writes it, or its mail, until it is let go.

    Raises:
        Busy: somebody else holds it.
    """
    descriptor = os.open(receipt, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, receipt)
        yield Receipt(descriptor, receipt)
    finally:
        os.close(descriptor)


class Receipt:
    """One effect's receipt, held by us. Its lock ends with the process, however that ends."""

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path

    def read(self) -> dict[str, str] | None:
        """Return what was written, or None: nothing, or a crash left a part of it."""
        try:
            found = json.loads(os.pread(self._descriptor, 10_000, 0))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def write(self, content: dict[str, str]) -> None:
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(content).encode(), 0)
        os.fsync(self._descriptor)
        flush_folder(self._path.parent)


def replace(path: Path, content: bytes | str) -> None:
    """Put a whole, durable file at `path`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".new")
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)
    flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Make the names in a folder as durable as the files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, receipt: Path) -> None:
    until_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until_s:
                raise Busy(f"Another sender writes the mail of effect {receipt.stem} at this moment.") from None
            time.sleep(LOOK_EVERY_S)
        else:
            return


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _missing(outbox: Path, *, what: Path) -> str:
    return (
        f"The outbox {outbox} was set up, but {what} is gone: is its disk mounted? Nothing is sent and nothing is "
        f"known before it is back. To begin a new outbox instead, remove {outbox} and {folder_of(outbox)}."
    )
