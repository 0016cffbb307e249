"""Bodies that end in ways that nobody foresees."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pydantic

from agentapp import registry
from agentapp.errors import BeingSent, DayUsedUp, RateLimited, ReceiverBusy, TaskIsOpen, TransientError, Unavailable
from agentapp.flows import Flow, Step
from agentapp.runtime import JobContext, job


class Way(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    way: str


class Speechless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Unnamed(TransientError):
    """A class of a package whose constructor leaves out ours."""

    def __init__(self) -> None:
        Exception.__init__(self, "busy")


class UnnamedWait(TaskIsOpen):
    def __init__(self) -> None:
        Exception.__init__(self, "not over")


class BrokenWait(UnnamedWait):
    def __getattribute__(self, name: str) -> Any:
        if name == "retry_after_s":
            raise RuntimeError("no wait today")
        return super().__getattribute__(name)


def _recurse() -> None:
    _recurse()


def _raise(error: BaseException) -> Callable[[], Any]:
    def body() -> Any:
        raise error

    return body


def _circle() -> dict[str, Any]:
    output: dict[str, Any] = {}
    output["itself"] = output
    return output


WAYS: dict[str, Callable[[], Any]] = {
    "nul": _raise(ValueError("a\x00b")),
    "surrogate": _raise(ValueError("half \ud800 a pair")),
    "endless": _raise(ValueError("x" * 5_000_000)),
    "speechless": _raise(Speechless()),
    "class": _raise(type("N" * 300, (Exception,), {})("long name")),
    "exit": _raise(SystemExit(3)),
    "interrupt": _raise(KeyboardInterrupt()),
    "generator": _raise(GeneratorExit()),
    "recursion": _recurse,
    "memory": _raise(MemoryError()),
    "far": _raise(RateLimited("x", retry_after_s=1e14)),
    "infinite": _raise(RateLimited("x", retry_after_s=float("inf"))),
    "not a number": _raise(TransientError("x", retry_after_s=float("nan"))),
    "epoch": _raise(RateLimited("x", retry_after_s=1_790_000_000)),
    "no wait": _raise(Unnamed()),
    "output nul": lambda: {"text": "a\x00b"},
    "output surrogate": lambda: {"text": "\ud800"},
    "output nan": lambda: {"score": float("nan")},
    "output circle": _circle,
    "output date": lambda: {"at": datetime(2030, 1, 1, tzinfo=UTC)},
    "output list": lambda: [1, 2],
}


# Of errors with which a job waits and no attempt counts.
_ODD_WAITS: dict[str, tuple[type[Unavailable], Any]] = {
    "far": (BeingSent, 1e14), "infinite": (ReceiverBusy, float("inf")), "not a number": (DayUsedUp, float("nan")),
    "none": (TaskIsOpen, None), "text": (BeingSent, "soon"), "negative": (ReceiverBusy, -1e14), "zero": (DayUsedUp, 0),
    "endless": (TaskIsOpen, 10**5_000),
}  # fmt: skip
WAITS: dict[str, Callable[[], Any]] = {
    **{f"waits {name}": _raise(kind("busy", retry_after_s=wait_s)) for name, (kind, wait_s) in _ODD_WAITS.items()},
    "waits unnamed": _raise(UnnamedWait()),
    "waits broken": _raise(BrokenWait()),
}


@job(queue="model")
def odd(ctx: JobContext, *, way: str) -> Any:
    return (WAYS | WAITS)[way]()


ANSWERS: dict[str, dict[str, Any]] = {
    "nul": {"note": "a\x00b"}, "date": {"at": datetime(2030, 1, 1, tzinfo=UTC)}, "bytes": {"raw": b"\xff"},
    "nan": {"score": float("nan")}, "surrogate": {"\ud800": 1}, "thing": {"thing": object()},
}  # fmt: skip


@job(queue="send")
def odd_effect(ctx: JobContext, *, way: str) -> dict[str, Any]:
    ctx.effect(f"odd:{ctx.job_id}", lambda effect_id: ANSWERS[way], type="odd", request={})
    return {"sent": True}


for kind in ("odd", "odd_effect"):
    registry.add_flow(Flow(kind=kind, version=1, input=Way, stages=(Step(kind, bind={"way": "input.way"}),)))
