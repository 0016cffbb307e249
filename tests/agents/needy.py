"""Bodies that need our stores at the moment that a test chooses."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pydantic
from django.core.files.storage import FileSystemStorage
from django.db.models import Count

from agentapp import registry
from agentapp.delivery import mail
from agentapp.flows import Flow, Step
from agentapp.models import Tenant
from agentapp.runtime import JobContext, job


class Wanted(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    need: str


@dataclass
class Meeting:
    """The body has come to where it needs a store; it goes on when the test lets it."""

    there: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    runs: int = 0


meeting = Meeting()
WAIT_S = 120


def artifact(ctx: JobContext) -> Any:
    return ctx.artifacts.read(ctx.artifacts.write("kept"))


def checkpoint(ctx: JobContext) -> Any:
    ctx.checkpoint({"reached": 1})
    return "kept"


def nothing(ctx: JobContext) -> Any:
    """Its settle does."""
    return "kept"


def orm(ctx: JobContext) -> Any:
    """Not by way of the context: nothing waits for it, so the attempt ends and does not count."""
    return "kept" if Tenant.objects.aggregate(n=Count("pk"))["n"] else "lost"


def model_call(ctx: JobContext) -> Any:
    return ctx.model.complete("Say something.").text


def outbox(ctx: JobContext) -> Any:
    """The mail is larger than the disk of the test."""
    content = {"to": "reader@sample.test", "subject": "Full", "body": "word " * 20_000}
    ctx.effect(
        f"outbox:{ctx.root_id}", lambda effect_id: mail.send(effect_id=effect_id, **content), type="mail",
        request=content, ask=mail.ask if mail.can_be_asked() else None, is_idempotent=mail.is_idempotent(),
    )  # fmt: skip
    return "kept"


def bug(ctx: JobContext) -> Any:
    raise ZeroDivisionError("a bug")


NEEDS: dict[str, Callable[[JobContext], Any]] = {
    "artifact": artifact, "checkpoint": checkpoint, "orm": orm, "model call": model_call, "outbox": outbox, "bug": bug,
    "nothing": nothing,
}  # fmt: skip


@job(queue="model", timeout_s=600)
def needy(ctx: JobContext, *, need: str) -> dict[str, Any]:
    meeting.runs += 1
    meeting.there.set()
    assert meeting.go.wait(WAIT_S)
    return {"text": NEEDS[need](ctx)}


@job(queue="model", timeout_s=2)
def hasty(ctx: JobContext, *, need: str) -> dict[str, Any]:
    """Has no time to wait for a store."""
    meeting.runs += 1
    meeting.there.set()
    assert meeting.go.wait(WAIT_S)
    return {"text": NEEDS[need](ctx)}


for kind in ("needy", "hasty"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=Wanted, stages=(Step(kind, bind={"need": "input.need"}),),
             result={"text": f"{kind}.text"})
    )  # fmt: skip


class FullStorage(FileSystemStorage):
    """A disk that is full as long as `fault` is set."""

    fault: int | None = errno.ENOSPC

    def _save(self, name: str, content: Any) -> str:
        if FullStorage.fault is not None:
            raise OSError(FullStorage.fault, "the disk says no")
        return str(super()._save(name, content))  # type: ignore[misc]  # missing in the stubs
