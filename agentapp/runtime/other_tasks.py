"""Other tasks of the tenant, as a body may run or read them: a part of its context."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from agentapp.errors import AsksPerson
from agentapp.lifecycle.opened import Claimed
from agentapp.runtime import children, correspondence, judged, stale_drafts
from agentapp.runtime.correspondence import Correspondence
from agentapp.runtime.judged import Sample
from agentapp.runtime.patience import BodyPatience

Json = dict[str, Any]


class OtherTasks:
    """A part of JobContext."""

    _job: Claimed
    _patience: BodyPatience
    # What the body asks a person, once it does.
    _asks: AsksPerson | None = None

    def _go_on(self) -> None:
        """Let nothing be done after the body has asked a person, although it has swallowed that. Raises AsksPerson."""
        if self._asks is not None:
            raise self._asks

    def run_task(self, kind: str, input: Json) -> Json:
        """Run a task of another kind for the same principal, and return {"task": its id, "result": its result} once it
        is completed. It is cancelled by `end_task`, which belongs into the job type's `on_cancel`.

        Raises:
            TaskIsOpen: it is not over; the job waits without a worker. A body lets it pass.
            PermanentError: it failed or was cancelled, or its input does not fit the kind.
        """
        self._go_on()
        return children.result(self._patience(lambda: children.started(self._job, kind, input)))

    def end_task(self) -> None:
        """Cancel the task that `run_task` has started, if it is open."""
        children.end(self._job.id, replay=self._job.replay, actor=f"task:{self._job.workflow_id}")

    def correspondence(self, task_id: UUID) -> Correspondence:
        """Return what a task has sent to a customer, and how many replies came back. Raises PermanentError when the
        tenant has no such task."""
        return self._patience(lambda: correspondence.read(self._job, task_id))

    def judged(self, *, kind: str, by: str, hours: float, most: int) -> Sample:
        """Return tasks of a kind that were completed within so many hours, chosen by lot, with the scores that jobs of
        the type `by` gave their last drafts, and what people decided about them."""
        return self._patience(lambda: judged.sample(self._job, kind=kind, by=by, hours=hours, most=most))

    def judged_payload(self, job_id: UUID, *, by: str) -> Json:
        """Return what a judging job of a finished task was given. Raises PermanentError when it is gone."""
        return self._patience(lambda: judged.payload(self._job, job_id, by=by))

    def judged_with(self, tasks: Collection[UUID], *, by: str) -> dict[str, list[str]]:
        """Return the models and the versions of prompts that judged these tasks: {"models", "prompts"}."""
        return self._patience(lambda: judged.asked(self._job, tasks=tasks, by=by))

    @property
    def stale_drafts(self) -> stale_drafts.Drafts:
        """Drafts of the tenant that wait for a person and cite what has changed."""
        return stale_drafts.Drafts(self._job, self._patience)
