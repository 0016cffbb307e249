"""Moves that the threads of a worker make together: what is asked for at the same moment shares one statement and one
commit. A process with one thread, and a caller in a transaction of its own, makes them alone in the same way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.db import connection

from agentapp.errors import DatabaseBusy
from agentapp.lifecycle import database
from agentapp.lifecycle.combiner import Combiner

Json = dict[str, Any]
# What a move is asked: what is the same for all that this process asks for, and the item.
Asked = tuple[Json, Json]
# A batch is one transaction, which holds the locks of its tasks.
MOST = 24
# Where so many wait, their batch begins later, by so much at a time, as long as more come: batches are twice
# as large then. Who is nearly alone loses at most one such wait.
MANY = 3
PATIENCE_S = 0.004
# Nobody in the lane waits longer for a row that is locked. What it waits for otherwise takes milliseconds.
LOCKS_WITHIN_S = 0.1


class Lane:
    """The lane of one move in SQL, which takes `items` and answers in their order."""

    def __init__(self, move: str) -> None:
        self._move = move
        self._combiner = Combiner[Asked, Json](
            self._together, self._alone, most=MOST, many=MANY, gather=partial(time.sleep, PATIENCE_S)
        )

    def __call__(self, shared: Json, item: Json) -> Json:
        """Make the move for an item; it may share its commit with those of other threads. Raises like database.call."""
        if connection.in_atomic_block or database.is_bounded():
            # In a transaction it must stay, and within the limits of this thread.
            return self._alone((shared, item))
        return self._combiner((shared, item))

    def of_list(self, shared: Json, items: Sequence[Json]) -> list[Json | None]:
        """Make the move at once for items that came together. None: it was passed over, and is to be asked for alone.
        Raises like database.call, for all of them."""
        return self._together([(shared, item) for item in items]) if items else []

    def _together(self, requests: Sequence[Asked]) -> list[Json | None]:
        shared = requests[0][0]
        chosen = [number for number, request in enumerate(requests) if request[0] == shared]
        asked = {**shared, "items": [requests[number][1] for number in chosen]}
        answers: list[Json | None] = [None] * len(requests)
        try:
            made = database.call_many(self._move, asked, locks_within_s=LOCKS_WITHIN_S)
        except DatabaseBusy as error:
            if database.is_locked(error):
                # Somebody holds a gate: each waits for it alone, and the lane is free for the others.
                return answers
            raise
        for number, answer in zip(chosen, made, strict=True):
            answers[number] = answer
        return answers

    def _alone(self, request: Asked) -> Json:
        shared, item = request
        (answer,) = database.call_many(self._move, {**shared, "items": [item], "waits": True})
        if answer is None:
            raise RuntimeError(f"{self._move} passed a single item over, which waits for its row.")
        return answer


claims = Lane("claim")
settles = Lane("settle")
effects = Lane("begin_effects")
