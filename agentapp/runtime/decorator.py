"""`@job`: one line that declares a job type and makes its Celery task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Task, shared_task

from agentapp import registry
from agentapp.policies.retry import RetryPolicy
from agentapp.runtime import handover
from agentapp.runtime.loss import JobMessage

Body = Callable[..., dict[str, Any] | None]

# A prefork child that does not come back is ended this long after its job's timeout, in seconds.
HARD_LIMIT_GRACE_S = 10


def job(
    *,
    queue: str,
    scopes: set[str] | frozenset[str] = frozenset(),
    timeout_s: int = 60,
    retry: RetryPolicy | None = None,
    on_cancel: Callable[[Any], None] | None = None,
    tool: str = "",
) -> Callable[[Body], Body]:
    """Declare a job type of the function's name.

    The function takes a JobContext and keyword-only parameters, which are the payload schema, and returns a small JSON
    object. `queue` is the worker class that may run it, `scopes` what it needs of that class, `timeout_s` the longest
    run in seconds. `on_cancel(ctx)` cleans up outside after a job that had begun was cancelled: it runs at least once,
    so it must bear to run again. `tool` names what it uses outside, such as mail: a gate of that name counts its jobs.
    A job type whose scopes call a model is counted by that model's gate.

    Raises:
        InvalidPlan: the name is taken, or the worker class or the retry policy is none that can be used.
    """

    def declare(body: Body) -> Body:
        name = body.__name__
        registry.add_job_type(
            registry.JobType(
                name=name, body=body, queue=queue, timeout_s=timeout_s, retry=retry or RetryPolicy(),
                scopes=frozenset(scopes), schema=registry.schema_of(name, body), on_cancel=on_cancel, tool=tool,
                calls=registry.called_by(scopes),
            )
        )  # fmt: skip

        @shared_task(
            name=name, base=JobMessage, bind=True, ignore_result=True, time_limit=timeout_s + HARD_LIMIT_GRACE_S
        )
        def message(task: Task[Any, Any], job_id: str) -> str:
            return handover.handle(task, job_id)

        return body

    return declare
