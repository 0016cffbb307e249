"""Whether the process lives, whether it can work, and what its problem documents mean. Open to everybody."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from typing import Annotated, TypeVar

import pydantic
from django.db import connections
from rest_framework.request import Request
from rest_framework.response import Response

from agentapp.api import problems
from agentapp.api.answers import probes as answers
from agentapp.api.contract.operation import Operation, one, page
from agentapp.api.endpoint import PublicEndpoint
from agentapp.errors import NotFound
from agentapp.lifecycle import readiness
from agentapp.policies import faults
from agentapp.policies.faults import Fault
from agentapp.services import brokers, dispatchers

T = TypeVar("T")

POSTGRES_WAIT_S = 1.0
UNKNOWN = dispatchers.Health("unknown", ("Postgres did not say in time whether a dispatcher works.",))
NOT_READY = {
    "": f"Postgres does not answer within {POSTGRES_WAIT_S:g} s, or takes no writes.",
    "read_only": "Postgres takes no writes.",
    "not_migrated": problems.NOT_MIGRATED,
}

# A thread of its own, because a pool may wait far longer than a probe: the thread stays behind, the probe answers.
_prober = ThreadPoolExecutor(max_workers=1, thread_name_prefix="readyz")


class Probe(PublicEndpoint):
    """What asks here may not be able to leave its parameters out."""

    ignores_parameters = True


class Health(Probe):
    """GET /healthz: the process answers; it asks nobody else."""

    contract = {"GET": Operation("check_health", "Check that the process is alive", answers={200: one(answers.Alive)})}

    def get(self, request: Request) -> Response:
        return Response(answers.Alive(status="alive"))


class Readiness(Probe):
    """GET /readyz: 200 while Postgres takes writes and is migrated, else 503. Without a broker, or a dispatcher, tasks
    are accepted and wait as rows."""

    contract = {
        "GET": Operation(
            "check_readiness",
            "Check that tasks are accepted",
            answers={200: one(answers.Ready)},
            description="503 while Postgres accepts no writes, or is not migrated to this release. Without a broker or "
            "a dispatcher tasks are accepted and wait.",
        )
    }

    def get(self, request: Request) -> Response:
        postgres = _answer(readiness.state, otherwise="")
        if postgres != "ready":
            raise problems.unavailable(NOT_READY[postgres])
        broker = brokers.answers()
        dispatcher = _answer(dispatchers.health, otherwise=UNKNOWN)
        notes = [*([] if broker else ["Tasks are accepted, and run when the broker is back."]), *dispatcher.sentences]
        found = {"broker": "up" if broker else "down", "dispatcher": dispatcher.state}
        note = {"detail": " ".join(notes)} if notes else {}
        return Response({"status": "ready", "postgres": "up"} | found | note)


class Problems(PublicEndpoint):
    """GET /problems: every kind of problem document."""

    contract = {
        "GET": Operation(
            "list_problems", "List the kinds of problem documents", answers={200: page(answers.ProblemKind)}
        )
    }

    def get(self, request: Request) -> Response:
        return Response({"results": [_kind(kind) for kind in problems.KINDS.values()], "next": None})


class OneProblem(PublicEndpoint):
    """GET /problems/{slug}: where the `type` of a problem document leads."""

    contract = {
        "GET": Operation(
            "get_problem", "Read about one kind of problem documents", answers={200: one(answers.ProblemKind)}
        )
    }
    path_parameters = {
        "slug": Annotated[str, pydantic.Field(pattern="^[a-z-]+$", description="The end of its `type`.")]
    }

    def get(self, request: Request, slug: str) -> Response:
        if slug not in problems.KINDS:
            raise NotFound(f"There is no kind of problem {slug}. All are listed at /problems.")
        return Response(_kind(problems.KINDS[slug]))


def _kind(kind: problems.Kind) -> answers.ProblemKind:
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
