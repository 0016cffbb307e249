"""A claimed job out of the answer of a move; what is too large for the answer is read without locks."""

from __future__ import annotations

from typing import Any

from agentapp.errors import LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed


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
