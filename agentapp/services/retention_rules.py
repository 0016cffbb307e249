"""Rules of retention: listed, made, removed. For operators. [I3]"""

from __future__ import annotations

from agentapp import registry
from agentapp.errors import NotFound
from agentapp.lifecycle import retention as moves
from agentapp.models import RetentionRule
from agentapp.models.retention import RETAINED
from agentapp.services import validation
from agentapp.services.principals import COMMAND_LINE

MOST_DAYS = 36_500


def terms() -> list[moves.Term]:
    """How long each kind and state is kept now."""
    return moves.days()


def keep(*, kind: str, state: str, days: int, reason: str, actor: str = COMMAND_LINE) -> RetentionRule:
    """Make a rule or change it; it holds from the dispatcher's next look on. Raises InvalidInput."""
    kinds, states = registry.kinds(), [each.value for each in RETAINED]
    problems = []
    if kind not in kinds:
        problems.append(("kind", f"There is no workflow kind {kind!r}. Choose of {', '.join(kinds)}."))
    if state not in states:
        problems.append(("state", f"Choose of {', '.join(states)}."))
    if not 0 <= days <= MOST_DAYS:
        problems.append(("days", f"This must be between 0, which is forever, and {MOST_DAYS:,}."))
    validation.raise_problems(problems)
    return moves.keep(kind, state, days, actor=actor, reason=validation.checked_reason(reason))


def remove(*, kind: str, state: str, reason: str, actor: str = COMMAND_LINE) -> None:
    """Take a rule away. Raises NotFound."""
    rule = RetentionRule.objects.filter(kind=kind, state=state).first()
    if rule is None:
        raise NotFound(f"There is no rule for {kind} {state}. `manage.py retention` lists those that there are.")
    moves.remove(rule, actor=actor, reason=validation.checked_reason(reason))
