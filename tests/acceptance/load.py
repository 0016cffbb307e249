"""Many runs at once, submitted by clients that do not give up, and what became of them."""

from __future__ import annotations

import random
import threading
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2
from django.db import InterfaceError, OperationalError, connections

from agentapp.models import Job, Workflow
from agentapp.states import WORKFLOW_FINAL
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.scale import patient_s

Json = dict[str, Any]

CLIENTS = 4
STEPS_BESIDE_THE_FAN_OUT = 5
# Parts of the fan-outs, of which the dice choose.
WIDTHS = (0, 1, 1, 2, 4)
# So many runs are open at once: the others come as the first ones end, so that a load lasts as long as it takes.
OPEN_AT_ONCE = 60
# A job in one of these will go on by itself.
BUSY = ("available", "scheduled", "running", "retryable")
# A refused client tries again after this long, in seconds: sooner than Retry-After asks, to be refused more often.
PAUSE_S = 0.1
PATIENCE_S = 180.0
# It is completed with its submission: a question to the API that costs no worker anything.
NO_WORK = {"kind": "held_threads", "input": {"jobs": []}}


class Load:
    """`runs` tasks under one label, of the kind chaos, or of another with its `input`. The clients end with the block.

    `answers` counts what the web said, by status; "cut off" is a connection that broke. `accepted` are the tasks that
    a client saw a 202 for; there may be more in the database, whose answer was lost. `is_probed`: one more client
    submits tasks without any work, one after the other, from the beginning to the end. `widths`: how many parts the
    fan-outs have, of which the dice choose.
    """

    def __init__(
        self,
        deployment: Deployment,
        dice: random.Random,
        *,
        runs: int,
        kind: str = "chaos",
        input: Json | None = None,
        widths: tuple[int, ...] = WIDTHS,
        is_probed: bool = False,
    ) -> None:
        self.deployment = deployment
        self.label = uuid4().hex
        self.answers: Counter[str] = Counter()
        self.unfriendly: list[str] = []
        self.accepted: list[str] = []
        self._kind = kind
        self._inputs: list[Json] = [
            input or {"seed": dice.randrange(1_000_000), "parts": list(range(dice.choice(widths)))} for _ in range(runs)
        ]
        bodies = [STEPS_BESIDE_THE_FAN_OUT + len(run.get("parts", ())) for run in self._inputs]
        self.bodies = sum(bodies)
        # A run is submitted when most bodies of those that came long before it have begun.
        self._due_after = [0] * OPEN_AT_ONCE + [int(0.9 * so_far) for so_far in accumulate(bodies)]
        self.began_at = deployment.recorder.mark()
        self._bodies_run = deployment.recorder.tail("ran")
        self._clients = ThreadPoolExecutor(CLIENTS + 1)
        self._submitted: list[Future[None]] = []
        self._is_probed = is_probed
        self._over = threading.Event()

    def __enter__(self) -> Self:
        if self._is_probed:
            self._clients.submit(self._probe)
        due = zip(self._inputs, self._due_after, strict=False)
        self._submitted = [self._clients.submit(self._submit, run, bodies) for run, bodies in due]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._clients.shutdown(cancel_futures=True)

    def submitted(self) -> None:
        """Return when every client has its 202."""
        for future in self._submitted:
            future.result(timeout=PATIENCE_S)

    def bodies_run(self) -> int:
        """How many bodies have begun; it does not ask Postgres."""
        return self._bodies_run.count()

    def tasks(self) -> list[UUID]:
        """All that stand in the database under this label."""
        rows = Workflow.objects.using(self.deployment.alias).filter(labels__contains={"load": self.label})
        return list(rows.values_list("pk", flat=True))

    def under_way(self) -> int:
        """How many tasks go on by themselves; all of them while Postgres is away."""
        rows = Workflow.objects.using(self.deployment.alias).filter(labels__contains={"load": self.label})
        try:
            not_over = set(rows.exclude(state__in=WORKFLOW_FINAL).values_list("pk", flat=True))
            with_a_letter = set(rows.filter(state="needs_attention").values_list("pk", flat=True))
            busy = Job.objects.using(self.deployment.alias).filter(workflow__in=with_a_letter, state__in=BUSY)
            return len(not_over - with_a_letter) + len(set(busy.values_list("workflow", flat=True)))
        except (OperationalError, InterfaceError):
            connections[self.deployment.alias].close()
            return len(self._inputs)

    def ended(self, *, deadline_s: float) -> None:
        """Return when every task is over or waits for a person who can see it; in the long form within the deadline."""
        self.submitted()
        self._over.set()
        until(
            lambda: not self.under_way(),
            f"all of {len(self._inputs)} runs have ended",
            deadline_s=patient_s(deadline_s),
        )

    def _submit(self, run: Json, due_after_bodies: int) -> None:
        until(
            lambda: self.bodies_run() >= due_after_bodies or self._over.is_set(), "earlier runs go on",
            deadline_s=PATIENCE_S,
        )  # fmt: skip
        body = {"kind": self._kind, "input": run, "labels": {"load": self.label}}
        until(lambda: self._is_accepted(body), "a task is accepted", poll_s=PAUSE_S)

    def _probe(self) -> None:
        while not self._over.wait(PAUSE_S / 2):
            self._is_accepted(NO_WORK | {"labels": {"load": self.label}})

    def _is_accepted(self, body: Json) -> bool:
        try:
            answer = self.deployment.ask("POST", "/tasks", body)
        except httpx2.TransportError:
            self.answers["cut off"] += 1
            return False
        self.answers[str(answer.status_code)] += 1
        if answer.status_code == 202:
            self.accepted.append(answer.json()["id"])
            return True
        if answer.status_code != 503 or "Retry-After" not in answer.headers:
            self.unfriendly.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return False
