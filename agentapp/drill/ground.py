"""Where a drill takes place: a tenant of its own, tasks that carry its label, a time limit for each question."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agentapp import clock
from agentapp.drill import diagnosis
from agentapp.errors import IllegalMove
from agentapp.models import History, Tenant, Workflow
from agentapp.models.tenant import DRILL
from agentapp.models.workflow import labelled
from agentapp.policies.permissions import API_SCOPES
from agentapp.services import tenants, workflows
from agentapp.services.principals import Principal
from agentapp.states import WORKFLOW_FINAL

LABEL = "drill"
POLL_S = 0.05
MOST_LIMITS = 10
# A drill that was killed could not clean up after itself; the next one does it, unless both may still run.
LEFT_OVER_AFTER = timedelta(hours=1)


class TooLate(Exception):
    """A question's time is over; the message says what it waits for."""


@dataclass
class Ground:
    """Submits and watches the tasks of one drill. `limit_s` is for how long nothing may happen to what a question waits
    for, in seconds: a machine that is busy is slow, not broken. No question takes longer than MOST_LIMITS of them."""

    principal: Principal
    limit_s: float
    label: str = field(default_factory=lambda: secrets.token_hex(4))
    _deadline: float = 0.0
    _last_deadline: float = 0.0

    @classmethod
    def prepare(cls, *, limit_s: float) -> Ground:
        """Find or make the tenant, and end what an earlier drill has left behind."""
        tenant = Tenant.objects.filter(slug=DRILL).first() or tenants.create(slug=DRILL, name="Drill")
        ground = cls(Principal(frozenset(API_SCOPES), frozenset({tenant.pk})), limit_s)
        old = Workflow.objects.filter(tenant=tenant, finished_at=None, created_at__lt=clock.now() - LEFT_OVER_AFTER)
        ground._cancel(old.filter(labels__has_key=LABEL))
        return ground

    def begin(self) -> None:
        """Start the time of the next question."""
        self._deadline = time.monotonic() + self.limit_s
        self._last_deadline = time.monotonic() + MOST_LIMITS * self.limit_s

    def _went_on(self) -> None:
        """Something happened: wait for the next change as long as for the first."""
        self._deadline = min(time.monotonic() + self.limit_s, self._last_deadline)

    def submit(self, kind: str, *, at: str = "urgent", **input: Any) -> Workflow:
        """Submit a task, before all others unless `at` names another priority: on a busy stack the drill must not wait
        for the backlog."""
        return workflows.submit(self.principal, kind=kind, input=input, priority=at, labels={LABEL: self.label})

    def reach(self, tasks: Iterable[Workflow], state: str) -> None:
        """Return when every task is in a state.

        Raises:
            TooLate: nothing happened to them for too long, or a task has ended in another state; the message says why.
        """
        ids = [task.pk for task in tasks]

        def others() -> list[Workflow]:
            return list(Workflow.objects.filter(pk__in=ids).exclude(state=state).order_by("id"))

        seen = 0
        while missing := others():
            if (changes := History.objects.filter(workflow_id__in=ids).count()) > seen:
                seen = changes
                self._went_on()
            ended = [task for task in missing if task.state in WORKFLOW_FINAL or task.state == "needs_attention"]
            if ended or time.monotonic() > self._deadline:
                late = f"{len(missing)} of {len(ids)} tasks did not become {state.replace('_', ' ')}"
                within = "" if ended else f" within {self.limit_s:g} s of the last change"
                raise TooLate(f"{late}{within}: {diagnosis.why((ended or missing)[0])}")
            time.sleep(POLL_S)

    def until(self, is_so: Callable[[], object], what: str) -> None:
        """Return when something is so.

        Raises:
            TooLate: the question's time is over.
        """
        while not is_so():
            if time.monotonic() > self._deadline:
                raise TooLate(f"not within {self.limit_s:g} s: {what}")
            time.sleep(POLL_S)

    def leave(self) -> None:
        """Cancel whatever of this drill is not over, dead letters with it."""
        self._cancel(Workflow.objects.filter(labelled({LABEL: self.label}), finished_at=None))

    def _cancel(self, tasks: Iterable[Workflow]) -> None:
        for task in tasks:
            with contextlib.suppress(IllegalMove):
                workflows.cancel(self.principal, task.pk, reason="the drill is over")
