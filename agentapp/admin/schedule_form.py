"""The form of a schedule."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentapp import registry
from agentapp.admin import form
from agentapp.admin.form import Field
from agentapp.errors import InvalidInput
from agentapp.models import Schedule
from agentapp.policies import bounds, priority
from agentapp.policies import schedules as policy
from agentapp.services import schedules
from agentapp.states import CatchUp, Overlap

NAMES = ("name", "tenant", "kind", "input", "priority", "cron", "every_s", "timezone", "catch_up", "overlap")
MOST_INPUT = 100_000
_CATCH_UP = ((CatchUp.ONCE, "one task for all of them"), (CatchUp.ALL, "a task for each"), (CatchUp.SKIP, "none"))
_OVERLAP = ((Overlap.SKIP, "skip the time"), (Overlap.ALLOW, "start another one"))


def groups(
    entered: Mapping[str, str], errors: Mapping[str, str], *, tenants: list[tuple[str, str]]
) -> list[tuple[str, list[Field]]]:
    """The form: titles, each with its fields as they stand. Of a schedule that exists the tenant stays."""
    kinds = tuple((kind, kind) for kind in registry.kinds())
    priorities = tuple((name, name) for name in priority.NAMES)
    whose = (Field("tenant", "Tenant", "Whose tasks they are.", "choice", tuple(tenants)),) if tenants else ()
    what = (
        Field("name", "Name", "What people call it. One of a kind within its tenant.", "line"),
        *whose,
        Field("kind", "Kind of task", "What is started.", "choice", kinds),
        Field("input", "Input", "A JSON object, as the kind takes it.", "long", rows=8, most=MOST_INPUT),
        Field("priority", "Priority", "Of each task.", "choice", priorities),
    )
    when = (
        Field("cron", "Cron expression", "Minute, hour, day of month, month, day of week, as in 0 8 * * 1-5.", "line"),
        Field("every_s", "Or every so many seconds", f"At least {policy.LEAST_EVERY_S}. Leave one of the two empty."),
        Field("timezone", "Time zone", "In which the cron expression is read, as in Europe/Berlin.", "line"),
    )
    otherwise = (
        Field("catch_up", "Times that were missed", "While no dispatcher ran.", "choice", _CATCH_UP),
        Field("overlap", "While the previous task is not over", "It may wait for a person.", "choice", _OVERLAP),
    )
    return form.filled((("What", what), ("When", when), ("And if", otherwise)), entered, errors)


def values(entered: Mapping[str, str]) -> dict[str, Any]:
    """What the service is given. Raises InvalidInput for what is no JSON object or no number."""
    given: dict[str, Any] = {name: entered[name] for name in NAMES if name != "tenant"}
    try:
        given["input"] = json.loads(entered["input"] or "{}")
    except (ValueError, RecursionError) as error:
        raise InvalidInput.at("input", f"This is not JSON: {error}. Write an object, as in {{}}.") from error
    every_s = bounds.whole(entered["every_s"] or "0", most=policy.LONGEST_EVERY_S)
    if every_s is None:
        raise InvalidInput.at("every_s", "Write a whole number of seconds.")
    return given | {"every_s": every_s}


def shown(schedule: Schedule) -> dict[str, str]:
    """What the fields of a schedule show."""
    shown = {name: str(getattr(schedule, name) or "") for name in NAMES if name != "tenant"}
    return shown | {
        "input": json.dumps(schedule.input, indent=2, ensure_ascii=False),
        "priority": priority.name_of(schedule.priority),
    }


def fresh() -> Schedule:
    """A schedule that nobody has filled in yet."""
    return Schedule(**{name: schedules.DEFAULTS[name] for name in ("timezone", "catch_up", "overlap")}, input={})
