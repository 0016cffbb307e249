"""Clients of a deployment whose processes are replaced: they submit, read and approve, and count what they see."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from email.parser import BytesHeaderParser
from functools import partial
from itertools import count
from typing import Self
from uuid import UUID, uuid4

import httpx2
from django.db.models import Count

from agentapp.models import Attempt, Effect, Job, Workflow
from tests.acceptance.deployment import Json, until
from tests.acceptance.releases import Releases
from tests.acceptance.scale import sized

CHAOS, REPLY, COUNT = "chaos", "support_reply", "count_in_a_thread"
# Of so many tasks one asks for a reply, which a person approves and a mail ends.
REPLY_EACH = 4
APPROVE_EACH_S = 1.0
# A client of the short form rests so many times as long as its last task has taken it: on a machine that is busy, and
# whose processes take longer to be replaced, it does not submit more for that.
REST_TIMES = sized(12, 0)
# Longer than a worker may go on after SIGTERM.
COUNT_TO, STEP_S = 100, 0.2
COUNTED_FIRST = 3
OVER = {"completed", "failed", "cancelled", "needs_attention"}


class Clients:
    """So many clients that submit a task after each pause, and a person who approves. They end with the block.

    A broken connection fails the test; `refusals` are the answers that were none of success.
    """

    def __init__(self, releases: Releases, *, clients: int, pause_s: float) -> None:
        self.label = uuid4().hex
        self.accepted: dict[str, list[str]] = {CHAOS: [], REPLY: [], COUNT: []}
        self.refusals: list[str] = []
        self.began_at = releases.recorder.mark()
        self._releases = releases
        self._clients, self._pause_s = clients, pause_s
        self._numbers = count()
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(clients + 1)
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(self._submit_all) for _ in range(self._clients)]
        self._running += [self._pool.submit(self._approve_all)]
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._pool.shutdown()

    def tasks(self) -> list[str]:
        return [task for tasks in self.accepted.values() for task in tasks]

    def submit(self, kind: str, input: Json) -> str:
        """Submit a task, read it, and return its id."""
        body = {"kind": kind, "input": input, "labels": {"rolling": self.label}}
        task = str(self._ask("POST", "/tasks", body).get("id", ""))
        if task:
            self.accepted[kind].append(task)
            self._ask("GET", f"/tasks/{task}")
        return task

    def long_job_on(self, release: str) -> str:
        """Submit long jobs until a worker of this release has one and has saved where it is; return its task."""
        while True:
            task = self.submit(COUNT, {"to": COUNT_TO, "step_s": STEP_S})
            until(partial(self._has_begun, task), "it counts")
            if self._releases.job(task, COUNT)["attempts"][0]["worker"].startswith(f"{release}@"):
                return task

    def numbers(self, task: str) -> list[int]:
        """What the job of a task has counted."""
        job = self._releases.job(task, COUNT)["id"]
        lines = self._releases.recorder.lines("counted", since=self.began_at)
        return [line["number"] for line in lines if line["job"] == job]

    def ended(self) -> None:
        """Let no more be submitted, and return when all tasks are over; meanwhile what waits is approved."""
        self._is_over.set()
        for client in self._running[:-1]:
            client.result()
        until(self._all_are_over, "all tasks are over")

    def _all_are_over(self) -> bool:
        person = self._running[-1]
        if person.done():
            person.result()
            self._approve()
        tasks = Workflow.objects.using(self._releases.alias).filter(labels__contains={"rolling": self.label})
        return not tasks.exclude(state__in=OVER).exists()

    def _has_begun(self, task: str) -> bool:
        return len(self.numbers(task)) >= COUNTED_FIRST

    def _submit_all(self) -> None:
        pause_s = self._pause_s
        while not self._is_over.wait(pause_s):
            number, began_s = next(self._numbers), time.monotonic()
            if number % REPLY_EACH:
                self.submit(CHAOS, {"seed": number, "parts": list(range(number % 3))})
            else:
                question = {"subject": "Workers", "body": "What is a lease?", "customer_email": f"{number}@example.org"}
                self.submit(REPLY, question)
            pause_s = max(self._pause_s, REST_TIMES * (time.monotonic() - began_s))

    def _approve_all(self) -> None:
        while not self._is_over.wait(APPROVE_EACH_S):
            self._approve()

    def _approve(self) -> None:
        waiting = self._ask("GET", "/approvals?state=pending&limit=100", key="approver_api_key")
        for approval in waiting.get("results", ()):
            decision = {"decision": "approve", "content_sha256": approval["content_sha256"]}
            self._ask("POST", f"/approvals/{approval['id']}/decision", decision, key="approver_api_key")

    def _ask(self, method: str, path: str, body: Json | None = None, *, key: str = "api_key") -> Json:
        answer: httpx2.Response = self._releases.ask(method, path, body, key=key)
        if not answer.is_success:
            self.refusals.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return {}
        content: Json = answer.json()
        return content


def faults(releases: Releases, clients: Clients) -> list[str]:
    """What a deploy may not do: lose or double a task, an attempt, a body or a mail, or refuse a client."""
    alias, tasks = releases.alias, [UUID(task) for task in clients.tasks()]
    found = [f"refused: {refusal}" for refusal in clients.refusals]
    rows = Workflow.objects.using(alias).filter(labels__contains={"rolling": clients.label})
    if sorted(rows.values_list("pk", flat=True)) != sorted(tasks):
        found.append(f"{len(tasks)} tasks were accepted, and {rows.count()} are there")
    found += [f"task {task.pk} is {task.state}" for task in rows.exclude(state="completed")]
    attempts = Attempt.objects.using(alias).filter(job__workflow__in=tasks)
    found += [
        f"an attempt of {attempt.job_id} on {attempt.worker} is {attempt.outcome}: {attempt.error_message}"
        for attempt in attempts.exclude(outcome__in=("completed", "handed_back"))
    ]
    ran = Job.objects.using(alias).filter(workflow__in=tasks, state="completed").exclude(attempt=1)
    found += [f"{job} counts {job.attempt} attempts" for job in ran]
    mails = Counter(
        BytesHeaderParser().parsebytes(path.read_bytes())["X-Effect-Id"] for path in releases.outbox.glob("*.eml")
    )
    replies = Effect.objects.using(alias).filter(workflow_id__in=[UUID(task) for task in clients.accepted[REPLY]])
    sent = [mails[str(effect)] for effect in replies.values_list("pk", flat=True)]
    if sent != [1] * len(clients.accepted[REPLY]):
        found.append(f"{len(clients.accepted[REPLY])} mails had to be sent, and of each so many were: {sent}")
    began = Counter(line["job"] for line in releases.recorder.lines("ran", since=clients.began_at))
    for job, times in attempts.values_list("job").annotate(times=Count("pk")).filter(job__type__startswith=CHAOS):
        if began[str(job)] != times:
            found.append(f"the body of job {job} ran {began[str(job)]} times in {times} attempts")
    return found
