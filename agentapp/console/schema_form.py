"""A form made of a JSON Schema: one field for each property of an object, and back.

Texts, numbers, truth values and choices have fields of their own kind. What else there is, lists and objects, is
written as JSON. What is possible is for the schema to say when the task is submitted; here only types are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentapp.policies import json_names

# A text that may be longer than this gets several lines.
LINE_CHARACTERS = 300


@dataclass
class Field:
    """A field as the template shows it. `kind`: line, text, integer, number, boolean, choice or json."""

    name: str
    label: str
    kind: str
    required: bool
    value: str = ""
    help: str = ""
    error: str = ""
    choices: tuple[str, ...] = ()
    longest: int | None = None


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of an object's schema, those that are required first as they stand."""
    required = set(schema.get("required", ()))
    found = [_field(name, _resolved(spec, schema), name in required) for name, spec in _properties(schema).items()]
    return sorted(found, key=lambda field: not field.required)


def fill(shown: list[Field], values: Mapping[str, Any]) -> None:
    """Put the values of an earlier input into the fields."""
    for field in shown:
        if field.name in values and values[field.name] is not None:
            value = values[field.name]
            is_text = isinstance(value, str) and field.kind != "json"
            field.value = value if is_text else json.dumps(value, ensure_ascii=False, indent=1)


def read(shown: list[Field], posted: Mapping[str, str]) -> dict[str, Any]:
    """Return the input that was entered. What cannot be read is named at its field, as `error`.

    A field that is not required and left empty is left out, so that its default holds.
    """
    entered: dict[str, Any] = {}
    for field in shown:
        # Browsers send line ends as CRLF, whatever was typed.
        field.value = posted.get(f"input.{field.name}", "").replace("\r\n", "\n")
        if not field.value.strip() and not field.required:
            continue
        try:
            entered[field.name] = _read(field)
        except ValueError as error:
            field.error = str(error)
    return entered


def mark(shown: list[Field], problems: list[dict[str, str]]) -> list[str]:
    """Write the problems of an input to their fields; return those that belong to none."""
    by_name = {field.name: field for field in shown}
    rest = []
    for problem in problems:
        name = problem.get("field", "").removeprefix("input.").partition(".")[0]
        if name in by_name:
            by_name[name].error = by_name[name].error or problem["message"]
        else:
            rest.append(problem["message"])
    return rest


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    return properties


def _resolved(spec: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow a reference, and of "this or null" take this."""
    reference = str(spec.get("$ref", ""))
    if reference.startswith("#/$defs/"):
        return {**schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {}), **spec}
    options = [each for each in spec.get("anyOf", ()) if each.get("type") != "null"]
    return {**_resolved(options[0], schema), **spec} if len(options) == 1 else spec


def _field(name: str, spec: Mapping[str, Any], required: bool) -> Field:
    # pydantic makes a title of each name: Customer Email.
    title = spec.get("title", "")
    own = title if title and title != name.replace("_", " ").title() else name.replace("_", " ").capitalize()
    field = Field(
        name, own, "json", required, help=spec.get("description", ""),
        longest=spec.get("maxLength"),
    )  # fmt: skip
    choices = spec.get("enum")
    if choices and all(isinstance(choice, str) for choice in choices):
        field.kind, field.choices = "choice", tuple(choices)
    elif spec.get("type") == "string":
        field.kind = "line" if (field.longest or LINE_CHARACTERS + 1) <= LINE_CHARACTERS else "text"
        if field.longest is None and "email" in name:
            field.kind = "line"
    elif spec.get("type") in ("integer", "number", "boolean"):
        field.kind = spec["type"]
    default = spec.get("default")
    if default is not None:
        field.value = default if isinstance(default, str) else json.dumps(default, ensure_ascii=False)
    return field


def _read(field: Field) -> Any:
    """Raises ValueError with a sentence."""
    if field.kind in ("line", "text", "choice"):
        return field.value
    if field.kind == "boolean":
        return field.value == "true"
    try:
        value = json.loads(field.value, object_pairs_hook=json_names.unique)
    except ValueError as error:
        if field.kind == "json":
            raise ValueError(f"This is not JSON: {error}.") from error
        value = None
    if field.kind == "json":
        return value
    if isinstance(value, bool) or not isinstance(value, int if field.kind == "integer" else int | float):
        raise ValueError("Write a whole number." if field.kind == "integer" else "Write a number, as in 2.5.")
    return value
