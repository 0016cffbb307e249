"""Gates, the keys that they hold for, pausing and resuming. For operators, not for tenants. [E1] [E6]"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count, IntegerField, QuerySet

from agentapp import clock, registry
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import gates as moves
from agentapp.models import Gate, GateChange, Job, Limit, ModelChoice, Tenant, TenantDay
from agentapp.models.tenant import DRILL
from agentapp.policies import backlog, counting, storable
from agentapp.services import unchanged, validation
from agentapp.services.principals import Principal
from agentapp.states import BreakerState, GateScope, JobState, KeyMode
from agentapp.tools import registry as tools

READ, WRITE = "gates:read", "gates:write"
SETTABLE = (
    "scope", "pattern", "tier", "concurrency", "reserved", "requests_per_min", "request_burst", "tokens_per_min",
    "token_burst", "max_waiting", "tokens_per_day", "cost_usd_per_day", "note",
)  # fmt: skip
PER_DAY = ("tokens_per_day", "cost_usd_per_day")
SAYS_SOMETHING = ("concurrency", "requests_per_min", "tokens_per_min", "max_waiting", *PER_DAY)
KEY_SCOPES = (*GateScope.values, "queue")
MOST_NAME_CHARACTERS = 100
_MOST = 2_000_000_000
# What a burst takes to fill again is added to moments: Postgres knows none that are too many years away.
RANGES = {
    "concurrency": (0, _MOST), "reserved": (0, _MOST), "requests_per_min": (0.01, 1_000_000),
    "request_burst": (0, 1_000_000), "tokens_per_min": (1, 1_000_000_000), "token_burst": (0, 100_000_000),
    "max_waiting": (0, _MOST), "tokens_per_day": (0, 1_000_000_000_000), "cost_usd_per_day": (0, 10_000_000),
}  # fmt: skip
_WORDS = {
    "blank": "This needs a value.",
    "null": "This needs a value.",
    "invalid": "This must be a number.",
    "invalid_choice": f"Choose one of: {', '.join(GateScope.values)}.",
}
_NOT_IN_BUDGETS = f"A budget says only {' and '.join(PER_DAY)}. Set this with a gate of the scope tenant."


@dataclass(frozen=True)
class Lag:
    """How far the workers of a queue are behind; `limit` is None before anything was measured."""

    queue: str
    limit: Limit | None
    running: int
    published: int


def _may_see(principal: Principal) -> None:
    # Who changes something is answered with what it has become.
    if WRITE not in principal.scopes:
        principal.require(READ)


def listing(principal: Principal) -> QuerySet[Gate]:
    _may_see(principal)
    return Gate.objects.order_by("scope", "pattern", "tier")


def get(principal: Principal, gate_id: int) -> Gate:
    """Raises NotFound."""
    gate = listing(principal).filter(pk=gate_id).first()
    if gate is None:
        raise NotFound(f"There is no gate {gate_id}.")
    return gate


def fits_nothing(gate: Gate) -> bool:
    """Whether a gate holds for no key that was ever used, and for no name that is known: a typing error, perhaps."""
    if Limit.objects.filter(gate=gate).exists() or gate.scope == GateScope.GLOBAL:
        return False
    names: Iterable[str] = ()
    match gate.scope:
        case GateScope.JOB_TYPE:
            names = registry.job_types
        case GateScope.TOOL:
            names = (*(tool.name for tool in tools.registered()), *(each.tool for each in registry.job_types.values()))
        case GateScope.TENANT | GateScope.BUDGET:
            tenants = Tenant.objects.filter(tier=gate.tier) if gate.tier else Tenant.objects.all()
            names = tenants.values_list("slug", flat=True)
        case GateScope.MODEL:
            names = ModelChoice.objects.values_list("limit_name", flat=True)
    used = Limit.objects.filter(scope=gate.scope).values_list("name", flat=True)
    pattern = re.compile(".*".join(map(re.escape, gate.pattern.split("*"))))
    return not any(pattern.fullmatch(name) for name in (*names, *used))


def changes(principal: Principal) -> QuerySet[GateChange]:
    """What was changed, paused, resumed, opened and closed, newest first."""
    _may_see(principal)
    return GateChange.objects.order_by("-id")


def save(
    principal: Principal, gate: Gate, values: dict[str, Any], *, reason: str = "", as_read: datetime | None = None
) -> Gate:
    """Make a gate or change one; it holds from the next claim on. What `values` leaves out stays as it is. `as_read`:
    only one that was last changed at that moment.

    Raises:
        IllegalMove: somebody has changed it since.
        InvalidInput: a value does not fit, it limits nothing, or there is such a gate already; nothing is stored.
        NotFound: somebody has deleted it.
        PermissionDenied: the scope gates:write is missing.
    """
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        if gate.pk:
            gate = _locked(gate, as_read)
        before = moves.fields_of(gate) if gate.pk else {}
        for name in SETTABLE:
            if name in values:
                setattr(gate, name, values[name])
        _check(gate)
        if moves.fields_of(gate) == before:
            return gate
        try:
            return moves.keep(gate, actor=principal.actor, reason=reason)
        except IntegrityError as error:
            raise InvalidInput.at("pattern", f"There is a gate for {gate} already. Change that one.") from error


def _locked(gate: Gate, as_read: datetime | None) -> Gate:
    # Two people who change different fields at the same time must not undo each other.
    found = Gate.objects.select_for_update().filter(pk=gate.pk).first()
    return unchanged.check(found, f"gate {gate.pk}", as_read=as_read)


def _check(gate: Gate) -> None:
    if gate.scope == GateScope.GLOBAL:
        gate.pattern = "global"
    validation.raise_problems(list(_of_each(gate)) or _of_all(gate))


def _of_each(gate: Gate) -> Iterator[tuple[str, str]]:
    """What is wrong with single values. Texts of a form become numbers by this."""
    wrong: dict[str, list[ValidationError]] = {}
    try:
        gate.clean_fields(exclude={"id", "updated_at"})
    except ValidationError as error:
        wrong = error.error_dict
    for name, errors in wrong.items():
        is_whole = isinstance(gate._meta.get_field(name), IntegerField)
        words = _WORDS | {"invalid": "This must be a whole number."} if is_whole else _WORDS
        yield name, " ".join(words.get(item.code or "", " ".join(item.messages)) for item in errors)
    for name, (least, most) in RANGES.items():
        value = getattr(gate, name)
        # Not the other way round: what is no number lies between no two.
        if name not in wrong and value is not None and not least <= value <= most:
            yield name, f"This must be between {least:,} and {most:,}."


def _of_all(gate: Gate) -> Iterator[tuple[str, str]]:
    """What does not go together."""
    if gate.tier and gate.scope not in (GateScope.TENANT, GateScope.BUDGET):
        yield "tier", "Only a gate of the scope tenant or budget can be for a tier."
    if all(getattr(gate, name) is None for name in SAYS_SOMETHING):
        yield "concurrency", f"It limits nothing. Set one of: {', '.join(SAYS_SOMETHING)}."
    if gate.concurrency is not None and gate.reserved > gate.concurrency:
        yield "reserved", f"It has only {counting.count(gate.concurrency, 'slot')} to reserve."
    if gate.max_waiting is not None and gate.scope not in (GateScope.GLOBAL, GateScope.TENANT):
        yield "max_waiting", "Only tenants and the whole installation have tasks that wait to start."
    is_budget = gate.scope == GateScope.BUDGET
    for name in SAYS_SOMETHING:
        if getattr(gate, name) is not None and is_budget != (name in PER_DAY):
            yield name, _NOT_IN_BUDGETS if is_budget else "Only a gate of the scope budget counts by the day."


def delete(principal: Principal, gate: Gate, *, reason: str = "", as_read: datetime | None = None) -> None:
    """Take a gate away; the next one that fits holds in its place. Raises NotFound when it is gone, and as `save`."""
    principal.require(WRITE)
    reason = validation.checked_reason(reason)
    with transaction.atomic():
        moves.remove(_locked(gate, as_read), actor=principal.actor, reason=reason)


def limits(principal: Principal) -> QuerySet[Limit]:
    """What every key is held to now."""
    _may_see(principal)
    return Limit.objects.select_related("gate").order_by("scope", "name")


def limit(principal: Principal, scope: str, name: str) -> Limit:
    """Return the limit of a key; `name` is a tenant's slug, "global" of the platform.

    Raises:
        NotFound: no such key was ever used.
    """
    found = limits(principal).filter(scope=scope, name=name).first()
    if found is None:
        raise NotFound(f"There is no {scope.replace('_', ' ')} {name!r} here that any job has ever used.")
    return found


def oldest(principal: Principal) -> tuple[datetime | None, str]:
    """Since when the job waits that has waited longest for a worker, and its queue, as the dispatcher counted last: a
    look at all jobs that wait would cost more the more there are."""
    waiting = limits(principal).filter(scope="queue", oldest_at__isnull=False).order_by("oldest_at")
    return waiting.values_list("oldest_at", "name").first() or (None, "")


def stopped(principal: Principal) -> QuerySet[Limit]:
    """The keys that somebody has paused or drains, and those whose breaker is open."""
    return limits(principal).exclude(mode=KeyMode.OPEN, breaker=BreakerState.CLOSED)


def running(principal: Principal, *, with_drill: bool = True) -> Counter[str]:
    """How many jobs run now, by key. Those of a drill hold slots too; who looks at the platform may leave them out."""
    _may_see(principal)
    return running_by_key(with_drill=with_drill)


def running_by_key(*, with_drill: bool = True) -> Counter[str]:
    """The same for who has been let in already."""
    counts: Counter[str] = Counter()
    jobs = Job.objects.filter(state=JobState.RUNNING)
    kinds = (jobs if with_drill else jobs.exclude(tenant__slug=DRILL)).values_list(
        "queue", "tenant_id", "type", "model", "tool"
    )
    for *kind, count in kinds.annotate(Count("id")).order_by():
        for key in backlog.keys(*kind):
            counts[key] += count
    return counts


def used_today(principal: Principal) -> dict[str, TenantDay]:
    """What the models of each tenant that has a budget have used since midnight (UTC), by key."""
    _may_see(principal)
    return {f"budget:{day.tenant_id}": day for day in TenantDay.objects.filter(day=clock.now().date())}


def queues(principal: Principal) -> list[Lag]:
    """How far the workers of each queue are behind: what an autoscaler reads."""
    known = {limit.name: limit for limit in limits(principal).filter(scope="queue")}
    runs = running(principal)
    waits = Job.objects.filter(state=JobState.AVAILABLE, published_at__isnull=False).values_list("queue")
    published = dict(waits.annotate(Count("id")).order_by())
    return [
        Lag(name, known.get(name), runs[f"queue:{name}"], published.get(name, 0))
        for name in sorted({*registry.worker_classes, *known})
    ]


def set_mode(principal: Principal, scope: str, name: str, mode: KeyMode, *, reason: str) -> Limit:
    """Pause a key, drain it (only tasks that have begun go on), or let everything through again. [E6]

    It holds from the next claim on; what runs, runs to its end. A key that no job has used yet can be paused too.
    Letting everything through also closes a breaker and forgets what a provider asked for.

    Raises:
        InvalidInput: there is no such scope, or no reason for stopping it.
        IllegalMove: it is so already.
        NotFound: there is no such tenant or queue, or this can be no name.
    """
    principal.require(WRITE)
    if scope not in KEY_SCOPES:
        raise InvalidInput.at("scope", f"There is no scope {scope!r}. Choose one of: {', '.join(KEY_SCOPES)}.")
    reason = validation.checked_reason(reason)
    if mode != KeyMode.OPEN and not reason:
        raise InvalidInput.at("reason", "Say why: it is shown where jobs wait.")
    key = _key(scope, name)
    moves.know([key])
    if not moves.set_mode(key, mode, actor=principal.actor, reason=reason):
        raise IllegalMove(f"{scope.replace('_', ' ').capitalize()} {name} is {mode.label.lower()} already.")
    return limits(principal).get(key=key)


def _key(scope: str, name: str) -> str:
    possible = 0 < len(name) <= MOST_NAME_CHARACTERS and storable.is_storable(name)
    if scope in (GateScope.TENANT, GateScope.BUDGET):
        tenant = Tenant.objects.filter(slug=name).first() if possible else None
        if tenant is not None:
            return f"{scope}:{tenant.pk}"
    elif scope == GateScope.GLOBAL:
        if name == "global":
            return "global"
    elif possible and (scope != "queue" or name in registry.worker_classes):
        return f"{scope}:{name}"
    raise NotFound(f"There is no {scope.replace('_', ' ')} {name!r}.")


def why(job_ids: list[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Why these jobs wait, in the words of what refuses them."""
    return dict(moves.explain(job_ids)) if job_ids else {}
