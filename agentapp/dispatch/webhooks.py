"""Events of tasks become deliveries: each a workflow of its own, which workers send and try again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp.dispatch.publisher import Batch
from agentapp.dispatch.sweep import Sweep
from agentapp.lifecycle import webhook_events
from agentapp.models import WebhookEvent, Workflow
from agentapp.policies import webhooks

# What the API shows of a task. The API is above this layer, so who starts a dispatcher gives it.
Shape = Callable[[Workflow], Mapping[str, Any]]

BATCH = 200

FRESH = Sweep[WebhookEvent]("webhook events", key=lambda event: event.pk)


@dataclass(frozen=True)
class Spreader:
    """`shape` returns what an event tells of its task."""

    shape: Shape

    def spread(self) -> int:
        """Make the deliveries of events that have none yet, and return of how many."""
        batch, done = Batch(), list[UUID]()

        def spread(event: WebhookEvent) -> bool:
            self._spread(event, batch)
            done.append(event.pk)
            return True

        try:
            FRESH.each(webhook_events.fresh(limit=BATCH, but_not=FRESH.set_aside()), spread)
        finally:
            # Of all together, because a commit for each took as long as the rest. What is spread twice is made once.
            moved = webhook_events.mark_spread(done)
            batch.send()
        return moved

    def _spread(self, event: WebhookEvent, batch: Batch) -> None:
        task = webhook_events.task_of(event)
        if task is not None:
            payload = webhooks.payload(event.type, at=event.created_at, data=self.shape(task))
            for opened in webhook_events.spread(event, task, payload):
                batch.add(opened)
