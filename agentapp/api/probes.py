"""Whether the process lives, whether it can work, and what its problem documents mean. Open to everybody."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from typing import Any, TypeVar

from django.conf import settings
from django.db import connections
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import problems
from agentapp.api.endpoint import PublicEndpoint
from agentapp.dispatch import redis_client
from agentapp.errors import NotFound
from agentapp.lifecycle import database
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.services import dispatchers

T = TypeVar("T")

POSTGRES_WAIT_S = 1.0
BROKER_WAIT_S = 0.5
PROBE_KEY = "agentapp:probe"
PROBE_KEPT_S = 60
UNKNOWN = dispatchers.Health("unknown", ("Postgres did not say in time whether a dispatcher works.",))

# A thread of its own, because a pool may wait far longer than a probe: the thread stays behind, the probe answers.
_prober = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")


class Probe(PublicEndpoint):
    """What asks here may not be able to leave its parameters out."""

    ignores_parameters = True


class Health(Probe):
    """GET /healthz: the process answers; it asks nobody else."""

    def get(self, request: Request) -> Response:
        return Response({"status": "alive"})


class Readiness(Probe):
    """GET /readyz: 200 while Postgres takes writes, else 503. Without a broker, or without a dispatcher, tasks are
    accepted and wait as rows."""

    def get(self, request: Request) -> Response:
        if not _answer(database.is_writable, otherwise=False):
            raise problems.unavailable(f"Postgres does not answer within {POSTGRES_WAIT_S:g} s, or takes no writes.")
        broker = broker_answers(within_s=BROKER_WAIT_S)
        dispatcher = _answer(dispatchers.health, otherwise=UNKNOWN)
        notes = [*([] if broker else ["Tasks are accepted, and run when the broker is back."]), *dispatcher.sentences]
        found = {"broker": "up" if broker else "down", "dispatcher": dispatcher.state}
        note = {"detail": " ".join(notes)} if notes else {}
        return Response({"status": "ready", "postgres": "up"} | found | note)


class Problems(PublicEndpoint):
    """GET /problems: every kind of problem document."""

    def get(self, request: Request) -> Response:
        return Response({"results": [_kind(kind) for kind in problems.KINDS.values()], "next": None})


class OneProblem(PublicEndpoint):
    """GET /problems/{slug}: where the `type` of a problem document leads."""

    def get(self, request: Request, slug: str) -> Response:
        if slug not in problems.KINDS:
            raise NotFound(f"There is no kind of problem {slug}. All are listed at /problems.")
        return Response(_kind(problems.KINDS[slug]))


def _kind(kind: problems.Kind) -> dict[str, Any]:
    return {"type": kind.type, "status": kind.status, "title": kind.title, "meaning": kind.meaning}


def _answer(question: Callable[[], T], *, otherwise: T) -> T:
    """Ask Postgres; `otherwise` where it does not answer in time."""
    probe = _prober.submit(_ask, question, otherwise)
    try:
        return probe.result(timeout=POSTGRES_WAIT_S)
    except TooLate:
        # Still queued behind one that hangs: it would ask for nobody.
        probe.cancel()
        return otherwise


def _ask(question: Callable[[], T], otherwise: T) -> T:
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT):
            return question()
        return otherwise
    finally:
        connections["default"].close()


def broker_answers(*, within_s: float) -> bool:
    """Let the broker keep a note: one that has become a replica, or whose disk is full, answers a ping. No address
    counts as down."""
    if not settings.BROKER_URL:
        return False
    broker = redis_client.connect(settings.BROKER_URL, timeout_s=within_s)
    try:
        with faults.caught(Fault.OUTAGE, Fault.LIMIT):
            return bool(broker.set(PROBE_KEY, "written by /readyz", ex=PROBE_KEPT_S))
        return False
    finally:
        broker.close()
