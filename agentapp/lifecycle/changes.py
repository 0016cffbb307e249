"""Which tasks a move has changed is told in its process, once it is committed. The rows tell how.

A listener must be quick and must not raise: it is called on the path of every move.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.db import connection, transaction

Listener = Callable[[Collection[str]], None]

_listeners: list[Listener] = []


def listen(listener: Listener) -> None:
    """Call `listener` with the ids of the tasks that each move of this process changes, from now on."""
    _listeners.append(listener)


def tell(answer: Any) -> None:
    """Tell of the answer of a move, or of a list of them."""
    if not _listeners:
        return
    answers = answer if isinstance(answer, list) else [answer]
    tasks = {task for each in answers if each and (task := each.get("task") or each.get("workflow"))}
    if not tasks:
        return
    if connection.in_atomic_block:
        transaction.on_commit(partial(_tell, tasks))
    else:
        _tell(tasks)


def _tell(tasks: Collection[str]) -> None:
    for listener in _listeners:
        listener(tasks)
