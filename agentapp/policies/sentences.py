"""Turn what a schema finds wrong into sentences that say what to do."""

from __future__ import annotations

from typing import Any

import pydantic

_MESSAGES = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field. Leave it out, or correct its name.",
    "string_type": "This must be a string.",
    "int_type": "This must be a whole number.",
    "bool_type": "This must be true or false.",
    "dict_type": "This must be an object.",
    "model_type": "This must be an object.",
    "list_type": "This must be a list.",
    "literal_error": "Choose one of {expected}.",
    "enum": "Choose one of {expected}.",
    "string_too_short": "This needs {min_length} or more characters.",
    "string_too_long": "This may have at most {max_length} characters.",
    "too_long": "There may be at most {max_length} of them.",
    "greater_than_equal": "This must be {ge} or more.",
    "less_than_equal": "This must be {le} or less.",
    "int_parsing": "This must be a whole number.",
    "string_pattern_mismatch": "This must match {pattern}.",
    "value_error": "{error}",
}
SHOWN = 5


def field_errors(error: pydantic.ValidationError) -> list[dict[str, str]]:
    """Return {"field": dotted path, "message": sentence} for each thing that is wrong."""
    return [
        {"field": ".".join(map(str, item["loc"])) or "body", "message": _sentence(item)}
        for item in error.errors(include_url=False, include_input=False)
    ]


def detail(found: list[dict[str, str]]) -> str:
    """Join the first few into one line; the rest stands in the list."""
    shown = " ".join(f"{item['field']}: {item['message']}" for item in found[:SHOWN])
    more = len(found) - SHOWN
    return f"{shown} ({more} more in `errors`.)" if more > 0 else shown


def _sentence(item: Any) -> str:
    template = _MESSAGES.get(item["type"])
    return template.format(**item.get("ctx", {})) if template else f"{item['msg']}."
