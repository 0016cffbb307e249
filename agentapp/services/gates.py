"""Gates, the keys that they hold for, pausing and resuming. For who runs the house, not for its tenants. [E1] [E6]"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import IntegrityError
from django.db.models import QuerySet

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.lifecycle import gates as moves
from agentapp.models import Gate, GateChange, Limit, Tenant
from agentapp.services.principals import Principal
from agentapp.states import GateScope, KeyMode

READ, WRITE = "gates:read", "gates:write"
SETTABLE = (
    "scope", "pattern", "tier", "concurrency", "reserved", "requests_per_min", "request_burst", "tokens_per_min",
    "token_burst", "max_waiting", "note",
)  # fmt: skip
SAYS_SOMETHING = ("concurrency", "requests_per_min", "tokens_per_min", "max_waiting")
KEY_SCOPES = (*GateScope.values, "queue")


def listing(principal: Principal) -> QuerySet[Gate]:
    principal.require(READ)
    return Gate.objects.order_by("scope", "pattern", "tier")


def get(principal: Principal, gate_id: int) -> Gate:
    """Raises NotFound."""
    gate = listing(principal).filter(pk=gate_id).first()
    if gate is None:
        raise NotFound(f"There is no gate {gate_id}.")
    return gate


def changes(principal: Principal) -> QuerySet[GateChange]:
    """What was changed, paused, resumed, opened and closed, newest first."""
    principal.require(READ)
    return GateChange.objects.order_by("-id")


def save(principal: Principal, gate: Gate, values: dict[str, Any], *, reason: str = "") -> Gate:
    """Make a gate or change one; it holds from the next claim on.

    Raises:
        InvalidInput: a value does not fit, it limits nothing, or there is such a gate already; nothing is stored.
        PermissionDenied: the scope gates:write is missing.
    """
    principal.require(WRITE)
    for name in SETTABLE:
        if name in values:
            setattr(gate, name, values[name])
    _check(gate)
    try:
        return moves.keep(gate, actor=principal.actor, reason=reason)
    except IntegrityError as error:
        raise InvalidInput.at("pattern", f"There is a gate for {gate} already. Change that one.") from error


def _check(gate: Gate) -> None:
    if gate.scope == GateScope.GLOBAL:
        gate.pattern = "global"
    if gate.tier and gate.scope != GateScope.TENANT:
        raise InvalidInput.at("tier", "Only a gate of the scope tenant can be for a tier.")
    if all(getattr(gate, name) is None for name in SAYS_SOMETHING):
        raise InvalidInput.at("concurrency", f"It limits nothing. Set one of: {', '.join(SAYS_SOMETHING)}.")
    if gate.concurrency is not None and gate.reserved > gate.concurrency:
        raise InvalidInput.at("reserved", f"There are only {gate.concurrency} slots to reserve.")
    if gate.max_waiting is not None and gate.scope not in (GateScope.GLOBAL, GateScope.TENANT):
        raise InvalidInput.at("max_waiting", "Only tenants and the house as a whole have tasks that wait to begin.")
    negative = [name for name in ("request_burst", "token_burst", "max_waiting") if (getattr(gate, name) or 0) < 0]
    if negative:
        raise InvalidInput.at(negative[0], "This must be 0 or more.")
    try:
        gate.clean_fields()
        # A concurrency below zero and the like: what the table itself would refuse.
        gate.validate_constraints(exclude={"id"})
    except ValidationError as error:
        named = getattr(error, "error_dict", {"__all__": error.error_list})
        errors = [
            {"field": "pattern" if name == "__all__" else name, "message": " ".join(item.messages)}
            for name, items in named.items() for item in items
        ]  # fmt: skip
        raise InvalidInput(" ".join(item["message"] for item in errors), errors=errors) from error


def delete(principal: Principal, gate: Gate, *, reason: str = "") -> None:
    """Take a gate away; the next one that fits holds in its place."""
    principal.require(WRITE)
    moves.remove(gate, actor=principal.actor, reason=reason)


def limits(principal: Principal) -> QuerySet[Limit]:
    """What every key is held to now."""
    principal.require(READ)
    return Limit.objects.select_related("gate").order_by("scope", "name")


def limit(principal: Principal, scope: str, name: str) -> Limit:
    """Return the limit of a key; `name` is a tenant's slug, "global" of the house.

    Raises:
        NotFound: no such key was ever used.
    """
    found = limits(principal).filter(scope=scope, name=name).first()
    if found is None:
        raise NotFound(f"There is no {scope.replace('_', ' ')} {name!r} here that any job has ever used.")
    return found


def set_mode(principal: Principal, scope: str, name: str, mode: KeyMode, *, reason: str) -> Limit:
    """Pause a key, drain it (only tasks that have begun go on), or let everything through again. [E6]

    It holds from the next claim on; what runs, runs to its end. A key that no job has used yet can be paused too.

    Raises:
        InvalidInput: there is no such scope, or no reason for stopping it.
        IllegalMove: it is so already.
        NotFound: there is no such tenant.
    """
    principal.require(WRITE)
    if scope not in KEY_SCOPES:
        raise InvalidInput.at("scope", f"There is no scope {scope!r}. Choose one of: {', '.join(KEY_SCOPES)}.")
    if mode != KeyMode.OPEN and not reason.strip():
        raise InvalidInput.at("reason", "Say why: whoever waits is shown it.")
    key = _key(scope, name)
    moves.know([key])
    if not moves.set_mode(key, mode, actor=principal.actor, reason=reason.strip()):
        raise IllegalMove(f"{scope.replace('_', ' ').capitalize()} {name} is {mode.label.lower()} already.")
    return limits(principal).get(key=key)


def _key(scope: str, name: str) -> str:
    if scope == GateScope.GLOBAL:
        return "global"
    if scope != GateScope.TENANT:
        return f"{scope}:{name}"
    tenant = Tenant.objects.filter(slug=name).first()
    if tenant is None:
        raise NotFound(f"There is no tenant {name}.")
    return f"tenant:{tenant.pk}"


def why(job_ids: list[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """Why these jobs wait, in the words of what refuses them."""
    return dict(moves.explain(job_ids)) if job_ids else {}
