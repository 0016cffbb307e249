"""Structured answers: what strict mode knows of a schema, and does a text keep its promise?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agentapp.errors import InvalidModelOutput, PermanentError
from agentapp.policies import storable

# Imported where it is used: most processes never check an answer, and all of them load this module.
if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

QUOTED_CHARS = 200
# How many places of a text are tried as the beginning of its object.
MOST_STARTS = 200
# What strict mode knows at all providers that have one. A schema with another of these rules is asked for without it:
# the answer is checked against the whole schema here.
_KNOWN = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "$ref", "$defs",
     "definitions", "description", "title"}
)  # fmt: skip
_SAID = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength",
                   "pattern", "format", "minItems", "maxItems", "uniqueItems"})  # fmt: skip
_DROPPED = _SAID | {"minProperties", "maxProperties", "default", "examples", "example", "deprecated", "readOnly",
                    "writeOnly", "$schema", "$id", "$comment"}  # fmt: skip
_MAPS = ("properties", "$defs", "definitions")
_BEGUN = re.compile(r'\{\s*"[^"]*"\s*:')
_FENCE = re.compile(r"```[a-zA-Z0-9_-]*[ \t]*\n(.*?)```", re.DOTALL)


def check_schema(schema: dict[str, Any]) -> None:
    """Refuse a schema that is no JSON schema before it costs a call.

    Raises:
        PermanentError: names what is wrong with it.
    """
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise PermanentError(f"the answer schema is not a JSON schema: {error.message}") from error


def strict(schema: dict[str, Any]) -> dict[str, Any] | None:
    """Return what a provider's strict mode accepts of a schema, or None when it accepts no such schema.

    Rules that it does not know move into the description, where the model reads them. None: an object is open or has
    fields that may be missing, or the schema needs a rule that changes its shape, such as oneOf.
    """
    reduced = _reduced(schema)
    return reduced if isinstance(reduced, dict) and reduced.get("type") == "object" else None


def _reduced(schema: Any) -> dict[str, Any] | None:
    if not isinstance(schema, dict) or set(schema) - _KNOWN - _DROPPED or not set(schema) & _KNOWN:
        return None
    found: dict[str, Any] = {name: value for name, value in schema.items() if name in _KNOWN}
    if said := ", ".join(f"{name}: {json.dumps(schema[name])}" for name in sorted(_SAID & set(schema))):
        found["description"] = f"{schema.get('description', '')} ({said})".strip()
    if found.get("type") == "object" or "properties" in found:
        closed = found.get("additionalProperties") is False
        if not closed or set(found.get("required", [])) != set(found.get("properties", {})):
            return None
    for name in _MAPS:
        if name in found:
            found[name] = {key: _reduced(part) for key, part in found[name].items()}
    if "items" in found:
        found["items"] = _reduced(found["items"])
    if "anyOf" in found:
        found["anyOf"] = [_reduced(part) for part in found["anyOf"]]
    named = [part for name in _MAPS for part in found.get(name, {}).values()]
    return None if None in [found.get("items", {}), *found.get("anyOf", ()), *named] else found


def parse(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Read a structured answer and check it against its schema.

    It may stand in a code fence or between sentences: of its JSON objects the first that fits is the answer.

    Raises:
        InvalidModelOutput: it is no JSON object, or not one that the schema allows; the message names the field.
    """
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(schema)
    problem = ""
    try:
        for data in _objects(text):
            flaw = _flaw(validator, data)
            if not flaw:
                return data
            problem = problem or flaw
    except RecursionError:
        problem = problem or "the model's answer is nested too deep"
    raise InvalidModelOutput(problem or _no_object(text))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a text: the text itself, what is fenced, and what stands between sentences."""
    found = _loads(text)
    if found is not None:
        # Some wrap their object into a list, or into a text once more.
        inner = found[0] if isinstance(found, list) and len(found) == 1 else found
        inner = _loads(inner) if isinstance(inner, str) else inner
        yield from [inner] if isinstance(inner, dict) else ()
        return
    yield from (fenced for fenced in map(_loads, _FENCE.findall(text)) if isinstance(fenced, dict))
    decoder, at = json.JSONDecoder(), -1
    for _ in range(MOST_STARTS):
        at = text.find("{", at + 1)
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            if _BEGUN.match(text, at):
                # An object that breaks off: what stands within it is not the answer.
                return
            continue
        at = end - 1
        yield found


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _no_object(text: str) -> str:
    quoted = repr(text[:QUOTED_CHARS])
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        return f"the model's answer is not JSON ({error}): {quoted}"
    return f"the model's answer is not a JSON object: {quoted}"


def _flaw(validator: Draft202012Validator, data: dict[str, Any]) -> str:
    """Say what is wrong with an object; the empty string where nothing is."""
    from jsonschema.exceptions import best_match

    if error := best_match(validator.iter_errors(data)):
        where = error.json_path.removeprefix("$.") if error.json_path != "$" else "the answer"
        return f"the model's answer does not fit its schema at {where}: {error.message[:1_000]}"
    where, sentence = next(storable.problems(data), ("", ""))
    return f"the model's answer cannot be kept at {where[:QUOTED_CHARS]}: {sentence}" if sentence else ""
