"""Search a source within its own time limit: one that is slow or hangs holds up nobody else.

A thread cannot be ended from outside. So a search that takes too long is left behind, and its answer thrown away. Of
one source no more than a few are left behind in a process; then it is not asked until one of them has come back.
"""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable

from django.db import connections

from agentapp.errors import TimedOut
from agentapp.retrieval.passages import Found
from agentapp.retrieval.sources import Source

MOST_LEFT_BEHIND = 4

_left_behind: dict[str, list[threading.Thread]] = {}
_lock = threading.Lock()


def find(source: Source, search: Callable[[], Found], *, most_s: float) -> Found:
    """Return what `search` finds in a source, or raise what it raises, within the limit of the source and `most_s`.

    Raises:
        TimedOut: it took too long, or too many searches before it still do.
    """
    if source.timeout_s is None:
        return search()
    _refuse_if_stuck(source.name)
    timeout_s = min(source.timeout_s, most_s)
    answers: queue.SimpleQueue[Found | Exception] = queue.SimpleQueue()
    within = contextvars.copy_context()
    thread = threading.Thread(
        target=within.run, args=(_run, search, answers), name=f"search {source.name}", daemon=True
    )
    thread.start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        with _lock:
            _left_behind.setdefault(source.name, []).append(thread)
        raise TimedOut(f"The source {source.name} did not answer within {timeout_s:g} seconds.") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _run(search: Callable[[], Found], answers: queue.SimpleQueue[Found | Exception]) -> None:
    try:
        answers.put(search())
    except Exception as error:  # noqa: BLE001 - who waits raises it
        answers.put(error)
    finally:
        connections.close_all()


def _refuse_if_stuck(name: str) -> None:
    with _lock:
        _left_behind[name] = stuck = [thread for thread in _left_behind.get(name, ()) if thread.is_alive()]
    if len(stuck) >= MOST_LEFT_BEHIND:
        raise TimedOut(f"The source {name} is not asked: {len(stuck)} searches of it still take too long.")
