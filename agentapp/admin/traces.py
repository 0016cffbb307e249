"""The trace of a task: its id, and a link to the system that shows it."""

from __future__ import annotations

from agentapp import conf
from agentapp.models import Workflow
from agentapp.policies import traceparent


def id_of(task: Workflow) -> str:
    """The id of its trace; empty where its client named none and AGENTAPP_TRACE_URL shows none."""
    is_shown = bool(task.traceparent or conf.trace_url())
    return traceparent.trace_id(traceparent.of_task(task.pk, task.traceparent)) if is_shown else ""


def url_of(task: Workflow) -> str:
    """The page of a trace, as AGENTAPP_TRACE_URL says where it is; empty where it does not."""
    return conf.trace_url().replace("{trace_id}", id_of(task))
