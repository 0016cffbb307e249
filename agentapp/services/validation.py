"""Refuse input with everything that is wrong with it, in one answer."""

from __future__ import annotations

from collections.abc import Iterable

from agentapp.errors import InvalidInput
from agentapp.policies import sentences
from agentapp.policies.sentences import FieldErrors


def raise_problems(problems: Iterable[tuple[str, str]]) -> None:
    """Raise InvalidInput if there are problems: of each the dotted path of its field, and a sentence."""
    raise_errors(sentences.entries(problems))


def raise_errors(errors: FieldErrors) -> None:
    """Raise InvalidInput if there are errors. Its message names the first few."""
    if errors:
        raise InvalidInput(sentences.detail(errors), errors=errors)
