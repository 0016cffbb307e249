"""Tags of the console's templates."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from agentapp.admin import cells
from agentapp.models import Workflow

register = template.Library()


@register.filter
def words(state: str) -> str:
    """A state as the badges write it."""
    return state.replace("_", " ")


@register.simple_tag
def jobs_done(task: Workflow) -> SafeString:
    """How far a task is, as a bar and as numbers."""
    return cells.progress(task.jobs_done, task.jobs_total)
