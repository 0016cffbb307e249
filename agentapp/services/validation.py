"""Refuse input with everything that is wrong with it, in one answer."""

from __future__ import annotations

from collections.abc import Iterable

from agentapp.errors import InvalidInput
from agentapp.policies import sentences
from agentapp.policies.sentences import FieldErrors

# Of the reason that is recorded with a change.
LONGEST_REASON = 300


def raise_problems(problems: Iterable[tuple[str, str]]) -> None:
    """Raise InvalidInput if there are problems: of each the dotted path of its field, and a sentence."""
    raise_errors(sentences.entries(problems))


def raise_errors(errors: FieldErrors) -> None:
    """Raise InvalidInput if there are errors. Its message names the first few."""
    if errors:
        raise InvalidInput(sentences.detail(errors), errors=errors)


def checked_reason(reason: str) -> str:
    """Return the reason for a change as it is kept. Raises InvalidInput when it is too long."""
    reason = reason.replace("\x00", "").strip()
    if len(reason) > LONGEST_REASON:
        raise InvalidInput.at("reason", f"This may have at most {LONGEST_REASON} characters.")
    return reason
