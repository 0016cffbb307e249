"""The forms of a dead letter's page: its payload by the signature of its job type, its output by what reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from agentapp import registry
from agentapp.admin import cells
from agentapp.console import schema_form
from agentapp.console.schema_form import Field
from agentapp.errors import InvalidInput
from agentapp.models import Job
from agentapp.policies import json_names, storable
from agentapp.policies.content import canonical_sha256
from agentapp.services import output_schema

# Of a fan-out over documents a payload may hold a whole text; a form of more fields helps nobody.
MOST_FIELDS = 40
PLAIN = "A text needs no quotation marks."


def payload_fields(job: Job) -> list[Field]:
    """The fields of a payload, filled with what it is; none where the job type is not known here."""
    known = registry.job_types.get(job.type)
    shown = schema_form.fields(known.schema.model_json_schema()) if known else []
    return _fitted(shown, job.payload) if len(shown) <= MOST_FIELDS else []


def output_fields(job: Job) -> list[Field]:
    """The fields of an output that later stages read, empty."""
    schema = output_schema.of(job)
    shown = schema_form.fields(schema)
    for field in shown:
        if not schema["properties"][field.name]:
            field.help = PLAIN
    return shown if len(shown) <= MOST_FIELDS else []


def _fitted(shown: list[Field], values: Any) -> list[Field]:
    """Fill fields so that what is not changed is read back as it was: a value that its field cannot show is JSON."""
    values = values if isinstance(values, dict) else {}
    for field in shown:
        if field.name not in values:
            continue
        value = values[field.name]
        fits = {
            "line": isinstance(value, str) and "\n" not in value,
            "text": isinstance(value, str),
            "choice": value in field.choices if isinstance(value, str) else False,
            "boolean": isinstance(value, bool),
        }.get(field.kind, field.kind == "json" or (isinstance(value, int | float) and not isinstance(value, bool)))
        if not fits:
            field.kind = "text" if field.kind == "line" and isinstance(value, str) else "json"
        is_text = isinstance(value, str) and field.kind != "json"
        field.value = value if is_text else cells.pretty(value)
    return shown


def read_payload(job: Job, posted: Mapping[str, str]) -> dict[str, Any]:
    """The payload that was entered. What the form does not show stays as it is, and so does an empty text that was
    empty before.

    Raises:
        InvalidInput: a field cannot be read, or the payload not be kept.
    """
    shown = payload_fields(job)
    entered = _read(shown, posted, noun="payload")
    before = job.payload if isinstance(job.payload, dict) else {}
    names = {field.name for field in shown}
    kept = {name: value for name, value in before.items() if name not in names or (value == "" and name not in entered)}
    return kept | entered


def read_output(job: Job, posted: Mapping[str, str]) -> dict[str, Any]:
    """The output that was entered. Raises InvalidInput."""
    shown = output_fields(job)
    entered = _read(shown, _quoted(shown, posted), noun="output")
    for name, spec in output_schema.of(job)["properties"].items():
        if (hashed := spec.get(output_schema.HASH_OF)) in entered and name not in entered:
            entered[name] = canonical_sha256(entered[hashed])
    return entered


def _quoted(shown: list[Field], posted: Mapping[str, str]) -> dict[str, str]:
    """Make JSON of plain text in fields of which nobody knows the type."""
    found = dict(posted)
    for name in (f"input.{field.name}" for field in shown if field.help == PLAIN):
        text = found.get(name, "").strip()
        if text and text[0] not in '{["' and not _is_json(text):
            found[name] = json.dumps(text)
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def again(shown: list[Field], posted: Mapping[str, str], error: Exception, *, noun: str) -> list[Field]:
    """The fields with what was typed into them, and what is wrong beside each."""
    schema_form.read(shown, posted)
    problems = getattr(error, "errors", [])
    inside = [problem | {"field": problem["field"].removeprefix(f"{noun}.")} for problem in problems]
    schema_form.mark(shown, inside)
    return shown


def _read(shown: list[Field], posted: Mapping[str, str], *, noun: str) -> dict[str, Any]:
    entered = schema_form.read(shown, posted)
    wrong = [{"field": f"{noun}.{field.name}", "message": field.error} for field in shown if field.error]
    if wrong:
        raise InvalidInput(f"The {noun} cannot be read. Correct the fields that are marked.", errors=wrong)
    _check_storable(entered, noun=noun)
    return entered


def parsed(text: str, *, noun: str) -> dict[str, Any]:
    """Read a JSON object that somebody typed.

    Raises:
        InvalidInput: it is none; the sentence says where it breaks.
    """
    try:
        value = json.loads(text, object_pairs_hook=json_names.unique)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"The {noun} is not valid JSON: {error.msg} in line {error.lineno}, column {error.colno}. Fix it there."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"The {noun} cannot be read: {error}.") from error
    _check_storable(value, noun=noun)
    if not isinstance(value, dict):
        raise InvalidInput(f'The {noun} must be a JSON object, such as {{"question": "..."}}.')
    return value


def _check_storable(value: Any, *, noun: str) -> None:
    """Raises InvalidInput."""
    for path, sentence in storable.problems(value):
        raise InvalidInput(f"The {noun} cannot be kept. {path}: {sentence}")
