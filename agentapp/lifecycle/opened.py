"""What a move returns: jobs that became available, and what follows them."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    held: bool = False
    follows: bool = False

    @classmethod
    def of(cls, answer: Json) -> Link:
        """A move of a later release may say more."""
        return cls(
            answer["id"], answer["type"], answer["queue"], answer["priority"], bool(answer.get("held")),
            bool(answer.get("follows")),
        )  # fmt: skip


@dataclass(frozen=True)
class Opened:
    """`jobs` are available and to be published now; `tail` are the lone jobs that follow, up to the next person or
    fan-out. `held` more jobs are available and wait as rows, because there is no room for their messages.

    `follows`: the only job is to be claimed by the worker that opened it, without a message.
    """

    jobs: tuple[Link, ...] = ()
    tail: tuple[Link, ...] = ()
    state: str = ""
    held: int = 0

    @classmethod
    def of(cls, answer: Json) -> Opened:
        links = tuple(Link.of(item) for item in answer.get("opened") or ())
        jobs = tuple(link for link in links if not link.held)
        tail = tuple(Link.of(item) for item in answer.get("tail") or ())
        return cls(jobs, tail, answer.get("state") or "", len(links) - len(jobs) + (answer.get("held") or 0))

    @property
    def follows(self) -> bool:
        return len(self.jobs) == 1 and self.jobs[0].follows


@dataclass(frozen=True)
class Claimed:
    """A job that this worker owns: `token` proves it until the lease runs out.

    `tokens` were charged in advance to the gates of its model; `began`: its task began with it. `choice` is the row
    that says which model it calls, None: as the settings say. `budgeted`: what its models use is reserved first.
    `traceparent` is the trace that its client named; `links` are traces of other tasks that it follows.
    """

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
    model: str = ""
    tool: str = ""
    choice: Json | None = None
    budgeted: bool = False
    replay: int = 0
    traceparent: str = ""
    links: tuple[str, ...] = ()
    tokens: int = field(default=0, compare=False)
    began: bool = field(default=False, compare=False)

    @classmethod
    def of(cls, answer: Json) -> Claimed:
        # Reading an id is a measurable part of a claim, and most tasks are their own root.
        workflow_id, root = UUID(answer["workflow"]), answer["root"]
        return cls(
            id=UUID(answer["id"]), workflow_id=workflow_id, tenant_id=answer["tenant"],
            kind=answer["kind"], type=answer["type"], queue=answer["queue"], token=UUID(answer["token"]),
            attempt=answer["attempt"], max_attempts=answer["max_attempts"], timeout_s=answer["timeout_s"],
            payload=answer.get("payload") or {}, checkpoint=answer.get("checkpoint"),
            model=answer.get("model") or "", tool=answer.get("tool") or "",
            choice=answer.get("choice"), budgeted=bool(answer.get("budgeted")),
            replay=answer.get("replay") or 0, traceparent=answer.get("traceparent") or "",
            links=tuple(answer.get("links") or ()), tokens=answer.get("tokens") or 0,
            began=bool(answer.get("began")), root_id=workflow_id if root == answer["workflow"] else UUID(root),
        )  # fmt: skip


@dataclass(frozen=True)
class Refused:
    """Why a message could not be turned into work, in a word."""

    reason: str


@dataclass(frozen=True)
class Settled:
    """What a settle led to. `taken` is the next job when the same worker continues in place.

    `is_awaited`: other jobs wait for what the settled one held. `unusable`: why its output could not be used, so
    that it became a dead letter.
    """

    opened: Opened
    taken: Claimed | None = None
    is_awaited: bool = False
    unusable: str = ""
