"""Which problem documents an operation can answer with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from agentapp.api import idempotency, problems
from agentapp.api.answers.probes import Problem
from agentapp.api.contract import components, headers
from agentapp.api.contract.operation import Operation

ANY = ("bad-query", "bad-request", "not-acceptable", "internal-error", "unavailable")
WITH_KEY = ("unauthenticated", "forbidden")
NAMED = ("request-in-progress", "idempotency-key-reused")
WITH_BODY = ("malformed-json", "request-timeout", "body-too-large", "unsupported-media-type", "invalid-input")


def slugs_of(declared: Operation, path: str, *, asks_for_key: bool) -> list[str]:
    """Return the kinds of problems, in the order of the documentation: what follows from the rest of the declaration,
    and what it names itself."""
    found = {*ANY, *declared.problems}
    found |= {*WITH_KEY} if asks_for_key else set()
    found |= {*WITH_BODY} if declared.body else set()
    found |= {"not-found"} if "{" in path else set()
    found |= {*NAMED} if idempotency.HEADER in declared.headers else set()
    unknown = found - set(problems.KINDS)
    if unknown:
        raise KeyError(f"{declared.id}: there is no kind of problem {', '.join(sorted(unknown))}.")
    return [slug for slug in problems.KINDS if slug in found]


def by_status(slugs: Iterable[str]) -> dict[int, list[problems.Kind]]:
    """Return the kinds by their status."""
    found: dict[int, list[problems.Kind]] = defaultdict(list)
    for slug in slugs:
        found[problems.KINDS[slug].status].append(problems.KINDS[slug])
    return found


def response(kinds: list[problems.Kind], registry: ComponentRegistry) -> dict[str, Any]:
    """Return the reference to a response that is one of these kinds of the same status."""
    name = "_".join(kind.slug for kind in kinds)
    component = ResolvedComponent(name=name, type=ResolvedComponent.RESPONSE, object=name)
    if component not in registry:
        component.schema = _described(kinds, registry)
        registry.register(component)
    return dict(component.ref)


def _described(kinds: list[problems.Kind], registry: ComponentRegistry) -> dict[str, Any]:
    media = {
        "schema": components.schema_of(Problem, registry),
        "examples": {kind.slug: {"summary": kind.title, "value": _example(kind)} for kind in kinds},
    }
    shown = headers.of_problem(kinds[0].status)
    return {
        "description": "\n".join(f"- `{kind.slug}`: {kind.title}. {kind.meaning}" for kind in kinds),
        **({"headers": shown} if shown else {}),
        "content": {problems.MEDIA_TYPE: media},
        "x-problems": [kind.slug for kind in kinds],
    }


def _example(kind: problems.Kind) -> dict[str, Any]:
    example = {
        # Without the prefix of a path below which the service may be reached.
        "type": f"/problems/{kind.slug}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.meaning,
        "instance": "/tasks",
    }
    if kind.slug in ("bad-query", "invalid-input"):
        example["errors"] = [{"field": "limit", "message": "It must be a whole number."}]
    return example
