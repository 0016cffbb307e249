"""Filters and tags of the admin's templates: the same words as in its lists."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django import template
from django.conf import settings

from agentapp.admin import actors, cells, hidden_characters, overview, saved_views
from agentapp.admin.base import principal_of
from agentapp.models import Attempt, Job, Workflow
from agentapp.models.attempt import attempts_of
from agentapp.policies import counting

register = template.Library()

register.filter("actor", actors.name)
register.filter("badge", cells.badge)
register.filter("duration", cells.duration)
register.filter("when", cells.when)
register.filter("until", cells.until)
register.filter("exact", cells.at)
register.filter("usd", cells.usd)
register.filter("amount", cells.amount)
register.filter("revealed", hidden_characters.reveal)
register.filter("pretty", cells.pretty)


@register.filter
def took(span: Any) -> str:
    """How long something with started_at and finished_at took; a dash while it runs."""
    if span.started_at is None or span.finished_at is None:
        return "-"
    return cells.duration((span.finished_at - span.started_at).total_seconds())


@register.filter
def attempts(job: Job) -> list[Attempt]:
    """The attempts of a job, with the one that runs."""
    return attempts_of(job)


@register.filter
def cost(workflow: Workflow) -> str:
    """What the calls of a task have cost."""
    return cells.cost(workflow.cost_usd, workflow.unpriced_calls)


@register.filter
def counted(number: int, noun: str) -> str:
    """A number with its noun: `{{ attempts|counted:"attempt" }}`."""
    return counting.count(number, noun)


@register.filter
def is_plain(value: Any) -> bool:
    """Tell whether a JSON value is a single text, number or truth value."""
    return isinstance(value, str | int | float)


@register.filter
def holds_texts(value: Any) -> bool:
    """Tell whether a JSON value is an object of single texts, numbers or truth values."""
    return isinstance(value, dict) and bool(value) and all(is_plain(item) for item in value.values())


@register.inclusion_tag("agentapp/overview.html", takes_context=True)
def overview_panel(context: template.Context) -> dict[str, Any]:
    """The panel on the admin's first page."""
    return overview.context(context["request"])


@register.inclusion_tag("agentapp/pages.html", takes_context=True)
def pages(context: template.Context, page: Any, name: str, anchor: str) -> dict[str, Any]:
    """Links to the other pages of a table; the other tables keep theirs."""
    query = context["request"].GET.copy()

    def link(number: int) -> str:
        query[name] = str(number)
        return f"?{query.urlencode()}#{anchor}"

    before = link(page.previous_page_number()) if page.has_previous() else ""
    after = link(page.next_page_number()) if page.has_next() else ""
    return {"page": page, "before": before, "after": after}


@register.simple_tag(takes_context=True)
def views_of(context: template.Context, opts: Any) -> dict[str, Any]:
    """The saved views of a list, for the visitor."""
    return saved_views.context(context["request"], opts.model_name)


@register.filter
def at(values: Any, name: str) -> Any:
    """What an object has at a name that a variable holds; nothing where there is none."""
    return values.get(name, "") if isinstance(values, dict) else ""


@register.simple_tag(takes_context=True)
def without_tenant(context: template.Context) -> bool:
    """Whether the visitor may sign in, and belongs to no tenant."""
    return principal_of(context["request"]).tenant_ids == frozenset()


@register.simple_tag
def flower_url() -> str:
    """Where Flower is, or ""."""
    return str(settings.AGENTAPP_FLOWER_URL)


@register.simple_tag(takes_context=True)
def flower_worker(context: template.Context, attempt: Attempt) -> str:
    """Flower's page of the worker that runs an attempt, for superusers; "" otherwise."""
    flower = flower_url()
    if attempt.outcome or not flower or not context["request"].user.is_superuser:
        return ""
    name, _, _ = attempt.worker.rpartition(":")
    return f"{flower.rstrip('/')}/worker/{quote(name or attempt.worker, safe='@')}"
