"""Prompts: filled templates that know which version of them a model was asked with."""

from __future__ import annotations

import hashlib
from typing import Any

from django.template import engines

DIGITS = 12


class Prompt(str):
    """A filled template. `version` names the template and its content: another wording is another version."""

    __slots__ = ("version",)
    version: str


def render(name: str, values: dict[str, Any]) -> Prompt:
    """Fill a template of templates/. What it includes is not part of its version."""
    template: Any = engines["prompts"].get_template(name)
    prompt = Prompt(template.render(values))
    source: str = template.template.source
    prompt.version = f"{name}@{hashlib.sha256(source.encode()).hexdigest()[:DIGITS]}"
    return prompt


def versions(texts: list[str]) -> list[str]:
    """The versions of those among these texts that are prompts, each once."""
    return list(dict.fromkeys(text.version for text in texts if isinstance(text, Prompt)))
