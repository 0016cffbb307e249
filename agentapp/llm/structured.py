"""Structured answers: is a schema strict, and does a text keep its promise?"""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from agentapp.errors import InvalidModelOutput, PermanentError

QUOTED_CHARS = 200


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse a schema that is no JSON schema before it costs a call.

    Raises:
        PermanentError: names what is wrong with it.
    """
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise PermanentError(f"the answer schema is not a JSON schema: {error.message}") from error


def is_strict(schema: Any) -> bool:
    """Say whether a provider's strict mode accepts the schema: every object is closed and all its fields required."""
    if isinstance(schema, list):
        return all(is_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", [])) != set(schema.get("properties", {})):
            return False
    return all(is_strict(part) for part in schema.values())


def parse(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Read a structured answer and check it against its schema.

    Raises:
        InvalidModelOutput: it is no JSON object, or not one that the schema allows; the message names the field.
    """
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidModelOutput(f"the model's answer is not JSON ({error}): {text[:QUOTED_CHARS]!r}") from error
    if not isinstance(data, dict):
        raise InvalidModelOutput(f"the model's answer is not a JSON object: {text[:QUOTED_CHARS]!r}")
    flaw = best_match(Draft202012Validator(schema).iter_errors(data))
    if flaw is not None:
        where = flaw.json_path.removeprefix("$.") if flaw.json_path != "$" else "the answer"
        raise InvalidModelOutput(f"the model's answer does not fit its schema at {where}: {flaw.message}")
    return data
