"""What a move returns: jobs that became available, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

Json = dict[str, Any]


@dataclass(frozen=True)
class Link:
    """A job as a canvas names it."""

    id: str
    type: str
    queue: str
    priority: int


@dataclass(frozen=True)
class Opened:
    """`jobs` are available now; `tail` are the lone jobs that follow, up to the next person or fan-out."""

    jobs: tuple[Link, ...] = ()
    tail: tuple[Link, ...] = ()
    state: str = ""

    @classmethod
    def of(cls, answer: Json) -> Opened:
        return cls(
            tuple(Link(**item) for item in answer.get("opened") or ()),
            tuple(Link(**item) for item in answer.get("tail") or ()),
            answer.get("state") or "",
        )


@dataclass(frozen=True)
class Claimed:
    """A job that this worker owns: `token` proves it until the lease runs out."""

    id: UUID
    workflow_id: UUID
    tenant_id: int
    kind: str
    type: str
    queue: str
    token: UUID
    attempt: int
    max_attempts: int
    timeout_s: int
    payload: Json
    root_id: UUID
    checkpoint: Json | None = None

    @classmethod
    def of(cls, answer: Json) -> Claimed:
        return cls(
            id=UUID(answer["id"]), workflow_id=UUID(answer["workflow"]), tenant_id=answer["tenant"],
            kind=answer["kind"], type=answer["type"], queue=answer["queue"], token=UUID(answer["token"]),
            attempt=answer["attempt"], max_attempts=answer["max_attempts"], timeout_s=answer["timeout_s"],
            payload=answer["payload"] or {}, root_id=UUID(answer["root"]), checkpoint=answer["checkpoint"],
        )  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """Why a message could not be turned into work, in a word."""

    reason: str


@dataclass(frozen=True)
class Settled:
    """What a settle led to. `taken` is the next job when the same worker continues in place."""

    opened: Opened
    taken: Claimed | None = None
