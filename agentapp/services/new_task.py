"""What a new task must be. All that is wrong with one is said at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import pydantic

from agentapp import clock, conf, flows, registry
from agentapp.errors import InvalidInput
from agentapp.policies import priority as priorities
from agentapp.policies import sentences, storable
from agentapp.policies.sentences import FieldErrors
from agentapp.services import validation, webhooks
from agentapp.services.principals import Principal

T = TypeVar("T")

MAX_LABELS = 20
MAX_LABEL_CHARACTERS = 100
LONGEST_DEADLINE_S = 90 * 24 * 3600
LONGEST_AHEAD = timedelta(days=366)


@dataclass(frozen=True)
class Wanted:
    """The fields of a new task, checked and as they are stored."""

    flow: flows.Flow
    input: dict[str, Any]
    priority: int
    labels: dict[str, str]


def check(principal: Principal, given: Mapping[str, Any]) -> Wanted:
    """Return the fields of a new task: kind, input, priority and labels must be there.

    Raises:
        InvalidInput: with an entry in `errors` for everything that does not fit.
    """
    found, values = _checked(principal, given)
    validation.raise_errors(found)
    return Wanted(values["kind"], values["input"], values["priority"], values["labels"])


def problems(principal: Principal, given: Mapping[str, Any]) -> FieldErrors:
    """Say what is wrong with those fields of a new task that are there. Their types are not checked here alone."""
    return _checked(principal, given)[0]


def _checked(principal: Principal, given: Mapping[str, Any]) -> tuple[FieldErrors, dict[str, Any]]:
    found: FieldErrors = []
    values: dict[str, Any] = {}

    def use(field: str, check: Callable[[Any], T]) -> T | None:
        if field in given:
            values[field] = gather(found, lambda: check(given[field]))
        return values.get(field)

    flow = use("kind", lambda kind: _flow(principal, kind))
    use("input", lambda value: check_input(flow, value) if flow else check_object("input", value))
    use("priority", _priority)
    use("labels", check_labels)
    use("deadline_s", _check_deadline)
    use("run_at", _check_run_at)
    use("callback_url", _check_callback_url)
    return found, values


def gather(found: FieldErrors, check: Callable[[], T]) -> T | None:
    """Check something; what is wrong with it joins what was found before."""
    try:
        return check()
    except InvalidInput as error:
        found.extend(error.errors)
        return None


def _flow(principal: Principal, kind: Any) -> flows.Flow:
    flow = registry.latest_flow(kind) if isinstance(kind, str) else None
    if flow is None or (flow.internal and not _runs_the_platform(principal)):
        known = ", ".join(registry.kinds())
        raise InvalidInput.at("kind", f"There is no task kind {kind!r}. Choose one of: {known}.")
    return flow


def permitted(principal: Principal, flow: flows.Flow, tenant_id: int) -> flows.Flow:
    """Return the flow. Raises PermissionDenied where a scope is missing without which tasks of this kind do nothing."""
    for scope in flow.needs:
        principal.require(scope, tenant_id)
    return flow


def _runs_the_platform(principal: Principal) -> bool:
    """A superuser, or the platform itself; an API key is a client, whatever its scopes."""
    return principal.api_key is None and (principal.user is None or principal.tenant_ids is None)


def _priority(name: Any) -> int:
    if name not in priorities.NAMES:
        raise InvalidInput.at(
            "priority", f"There is no priority {name!r}. Choose one of: {', '.join(priorities.NAMES)}."
        )
    return priorities.by_name(name)


def _check_deadline(deadline_s: Any) -> None:
    is_number = isinstance(deadline_s, int | float) and not isinstance(deadline_s, bool)
    if deadline_s is not None and not (is_number and 1 <= deadline_s <= LONGEST_DEADLINE_S):
        raise InvalidInput.at("deadline_s", f"deadline_s must be between 1 and {LONGEST_DEADLINE_S:,} seconds.")


def _check_run_at(run_at: Any) -> None:
    if isinstance(run_at, str):
        # As a client wrote it, where its request is refused already. What cannot be read, the schema has named.
        with suppress(ValueError):
            run_at = datetime.fromisoformat(run_at)
    if isinstance(run_at, datetime) and run_at.tzinfo is None:
        raise InvalidInput.at("run_at", "Write the time with its zone, as in 2025-01-31T08:00:00Z.")
    if isinstance(run_at, datetime) and run_at > clock.now() + LONGEST_AHEAD:
        raise InvalidInput.at("run_at", f"This may be at most {LONGEST_AHEAD.days} days ahead. Submit it later.")


def _check_callback_url(url: Any) -> None:
    if isinstance(url, str) and url:
        webhooks.check_url(url)


def check_input(flow: flows.Flow, input: Any) -> dict[str, Any]:
    """Return the input as its workflow kind takes it.

    Raises:
        InvalidInput: with one entry in `errors` per field.
    """
    check_object("input", input, too_large="Load long texts as documents.")
    try:
        return flow.input.model_validate(input).model_dump(mode="json")
    except pydantic.ValidationError as error:
        errors = [item | {"field": f"input.{item['field']}"} for item in sentences.field_errors(error)]
        raise InvalidInput(f"The input does not fit {flow.kind}. {sentences.detail(errors)}", errors=errors) from error


def check_object(field: str, value: Any, *, too_large: str = "") -> None:
    """See that a value is a JSON object that a row can hold; `too_large` says what to do with a larger one.

    Raises:
        InvalidInput: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidInput.at(field, f"The {field} must be a JSON object.")
    validation.raise_problems(storable.problems(value, field))
    if storable.json_bytes(value) > conf.max_input_bytes():
        raise InvalidInput.at(field, f"It is larger than {conf.max_input_bytes()} bytes. {too_large}".rstrip())


def check_labels(labels: Any) -> dict[str, str]:
    """Return labels: at most twenty short strings by name. Raises InvalidInput."""
    if not isinstance(labels, dict) or len(labels) > MAX_LABELS:
        raise InvalidInput.at("labels", f"Labels must be an object with at most {MAX_LABELS} entries.")
    validation.raise_problems(
        (
            f"labels.{name[:MAX_LABEL_CHARACTERS]}",
            f"A label must be a text of at most {MAX_LABEL_CHARACTERS} characters.",
        )
        for name, value in labels.items()
        if not (isinstance(value, str) and max(len(name), len(value)) <= MAX_LABEL_CHARACTERS)
        or not storable.is_storable(name + value)
    )
    return labels
