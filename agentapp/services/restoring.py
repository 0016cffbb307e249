"""A restored backup is taken in, before any process starts. For operators. [I4]"""

from __future__ import annotations

from collections.abc import Callable

from agentapp.errors import IllegalMove
from agentapp.lifecycle import restore as moves
from agentapp.models import Artifact
from agentapp.models.artifact import artifact_storage

STEPS = (
    ("jobs that were claimed are available again", moves.hand_back),
    ("effects that were not sent are in doubt", moves.doubt),
    ("jobs are published again", moves.unpublish),
    ("rows of the history belong to no transaction of this server", moves.forget_transactions),
)
COPY = (
    "This database is a copy: it was restored from a backup, or moved to another server. Run `manage.py after_restore` "
    "before any process starts: mails could be sent twice, or jobs wait for nothing."
)
IN_USE = (
    "A dispatcher or a worker works with this database, which is not a copy. Stop all processes, and run the command "
    "again after half a minute: it takes away what they do, and puts in doubt what open tasks have sent."
)


def refuse_copy() -> None:
    """Raises IllegalMove on a database that was restored and not taken in."""
    if moves.is_copy():
        raise IllegalMove(COPY)


def take_in(*, actor: str, is_whole: bool, say: Callable[[str], None]) -> dict[str, int]:
    """Take a restored database in, and return what was changed. Stopped in the middle, it goes on when it is called
    again. `is_whole`: nothing has run since the backup was made.

    Raises:
        IllegalMove: a dispatcher or a worker works with this database, which is no copy.
    """
    if moves.is_in_use():
        raise IllegalMove(IN_USE)
    restore = moves.begin(actor=actor, is_whole=is_whole)
    report: dict[str, int] = {}
    for what, step in STEPS:
        report[what] = 0
        while changed := step(restore):
            report[what] += changed
        say(f"{report[what]} {what}.")
    moves.finish(restore, report)
    return report


def missing_files() -> list[str]:
    """The names of artifacts whose file is not in the store: its backup is older than that of the database."""
    storage = artifact_storage()
    names = Artifact.objects.order_by("pk").values_list("file", flat=True)
    return [name for name in names.iterator() if not storage.exists(name)]
