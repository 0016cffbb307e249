"""A claimed job out of the answer of a move; what is too large for the answer is read without locks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentapp.errors import LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed


def taker(
    worker: str, *, queues: Sequence[str], lease_s: float, process: int | None, models: Mapping[str, str]
) -> dict[str, Any]:
    """Who takes jobs, as the moves that hand out leases need it."""
    return {
        "worker": worker, "process": process, "queues": list(queues), "models": dict(models), "lease_s": lease_s,
    }  # fmt: skip


def read(answer: dict[str, Any]) -> Claimed:
    """Return the job as its worker needs it.

    Raises:
        LostLease: it was lost before its payload was read.
    """
    if answer.get("apart"):
        found = database.call("payload", job=answer["id"], token=answer["token"])
        if "payload" not in found:
            raise LostLease(f"{answer['type']} {answer['id']} was lost before its payload was read.")
        answer = answer | found
    return Claimed.of(answer)
