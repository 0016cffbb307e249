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
from agentapp.lifecycle.requests import ClaimRequest, EffectRequest, SettleRequest, Taker

Json = dict[str, Any]
Request = ClaimRequest | SettleRequest | EffectRequest
# Who asks, who takes what is next, and what is asked. The first two are the same for all of a process, nearly always.
Asked = tuple[str, Taker | None, Request]
# A batch is one transaction, which holds the locks of its tasks.
MOST = 24
# Where at least MANY wait, the one that leads sleeps PATIENCE_S before it makes their batch, and again as long as more
# came: batches are twice as large then. A call that is nearly alone loses at most one such sleep.
MANY = 3
PATIENCE_S = 0.004
# Nobody in the lane waits longer for a row that is locked. What it waits for otherwise takes milliseconds.
LOCKS_WITHIN_S = 0.1


class Lane:
    """The lane of one move in SQL, which takes `items` and answers in their order.

    `passes_over`: it locks tasks, passes over one that is busy unless it is told to wait, and is told who makes it.
    """

    def __init__(self, move: str, *, passes_over: bool = True) -> None:
        self._move = move
        self._passes_over = passes_over
        self._combiner = Combiner[Asked, Json](
            self._together, self._alone, most=MOST, many=MANY, gather=partial(time.sleep, PATIENCE_S)
        )

    def __call__(self, request: Request, *, actor: str = "", taker: Taker | None = None) -> Json:
        """Make the move for a request; it may share its commit with those of others. Raises like database.call."""
        asked = actor, taker, request
        if connection.in_atomic_block or database.is_bounded():
            # In a transaction it must stay, and within the limits of this thread.
            return self._alone(asked)
        return self._combiner(asked)

    def of_list(self, requests: Sequence[Request], *, actor: str, taker: Taker) -> list[Json | None]:
        """Make the move at once for requests that came together. None: it was passed over, and must be asked for alone.
        Raises like database.call, for all of them."""
        return self._together([(actor, taker, request) for request in requests]) if requests else []

    def _together(self, asked: Sequence[Asked]) -> list[Json | None]:
        actor, taker, _ = asked[0]
        chosen = [number for number, one in enumerate(asked) if one[:2] == (actor, taker)]
        answers: list[Json | None] = [None] * len(asked)
        try:
            made = self._made(actor, taker, [asked[number][2] for number in chosen], locks_within_s=LOCKS_WITHIN_S)
        except DatabaseBusy as error:
            if database.is_locked(error):
                # Somebody holds a gate: each waits for it alone, and the lane is free for the others.
                return answers
            raise
        for number, answer in zip(chosen, made, strict=True):
            answers[number] = answer
        return answers

    def _alone(self, asked: Asked) -> Json:
        actor, taker, request = asked
        (answer,) = self._made(actor, taker, [request], waits=True)
        if answer is None:
            raise RuntimeError(f"{self._move} passed a single item over, which waits for its row.")
        return answer

    def _made(
        self, actor: str, taker: Taker | None, requests: Sequence[Request], *, waits: bool = False,
        locks_within_s: float = 0.0,
    ) -> list[Json | None]:  # fmt: skip
        more: dict[str, Any] = {"taker": vars(taker)} if taker else {}
        if self._passes_over:
            more |= {"actor": actor, "waits": waits}
        items = database.Jsonb([vars(request) for request in requests])
        return database.call_many(self._move, items=items, locks_within_s=locks_within_s, **more)


claims = Lane("claim")
settles = Lane("settle")
effects = Lane("begin_effects", passes_over=False)
