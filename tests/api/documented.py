"""Whether an answer is one that the OpenAPI document has: its status, its headers, its body to the last field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from agentapp.api import openapi, problems

JSON = ("application/json", problems.MEDIA_TYPE)
_FORMAL = ("uuid", "date-time")


def check(method: str, path: str, response: Any) -> None:
    """Fail for an answer that is not documented. What no operation is about is not looked at."""
    found = operation(method, path)
    if found is None or method == "HEAD":
        return
    what = f"{method} {path}: {response.status_code}"
    documented = found["responses"].get(str(response.status_code))
    assert documented is not None, f"{what} is not documented for {found['operationId']}: {response.content[:500]!r}"
    documented = resolved(documented)
    for name, header in documented.get("headers", {}).items():
        assert not header["required"] or name in response.headers, f"{what} has no header {name}"
    content = documented.get("content", {})
    media_type = response.headers.get("Content-Type", "").partition(";")[0]
    assert media_type in content or "*/*" in content or not content, (
        f"{what} is {media_type}; documented are {list(content)}"
    )
    if media_type in JSON and media_type in content:
        _check_body(what, content[media_type]["schema"], json.loads(response.content), documented)


def _check_body(what: str, schema: Any, body: Any, documented: Any) -> None:
    errors = [
        f"{'.'.join(map(str, error.path))}: {error.message[:300]}" for error in validator(schema).iter_errors(body)
    ]
    assert not errors, f"{what}: {errors}"
    if "x-problems" in documented:
        assert body["type"].rpartition("/")[2] in documented["x-problems"], f"{what}: {body['type']} is not documented"


def check_event(data: Any) -> None:
    """Fail for an event of a stream whose data is not documented."""
    stream = openapi.current()["paths"]["/tasks/{task_id}/stream"]["get"]["responses"]["200"]
    _check_body("an event", stream["content"]["text/event-stream"]["x-event-data"], data, {})


def check_webhook(body: Any) -> None:
    """Fail for a request to a webhook endpoint that is not documented."""
    request = openapi.current()["webhooks"][body["type"]]["post"]["requestBody"]
    _check_body(f"webhook {body['type']}", request["content"]["application/json"]["schema"], body, {})


def operation(method: str, path: str) -> Any:
    """Return the documented operation of a request; None where there is none."""
    path = path.partition("?")[0].rstrip("/")
    # What is written out comes before what is a parameter.
    for pattern, methods in _paths():
        if pattern.fullmatch(path):
            return methods.get(method.lower())
    return None


def resolved(part: Any) -> Any:
    """Follow a reference."""
    while "$ref" in part:
        part_of: Any = openapi.current()
        for name in part["$ref"].removeprefix("#/").split("/"):
            part_of = part_of[name]
        part = part_of
    return part


def free_fields(schema: Any, root: Any, *, name: str = "", passed: frozenset[str] = frozenset()) -> Iterator[str]:
    """The names of the fields of a schema that may hold any text, any value or any fields."""
    if (reference := schema.get("$ref")) in passed:
        return
    if reference:
        part, passed = root, passed | {reference}
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]
        schema = part
    parts = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word, ())]
    kind, more = schema.get("type"), schema.get("additionalProperties")
    is_text = kind == "string" and not {"enum", "const"} & schema.keys() and schema.get("format") not in _FORMAL
    if is_text or more or not (kind or parts or {"enum", "const", "properties"} & schema.keys()):
        yield name
    for part in [*parts, *([schema["items"]] if "items" in schema else [])]:
        yield from free_fields(part, root, name=name, passed=passed)
    for own, part in schema.get("properties", {}).items():
        yield from free_fields(part, root, name=own, passed=passed)


@cache
def _paths() -> list[tuple[re.Pattern[str], Any]]:
    paths = sorted(openapi.current()["paths"].items(), key=lambda item: (item[0].count("{"), item[0]))
    # The name of a model may hold slashes.
    return [(re.compile(re.sub(r"{\w+}", "[^/]+", path.replace("{name}", ".+")), re.S), at) for path, at in paths]


def validator(schema: Any) -> Draft202012Validator:
    """Return the strict reading of a schema of an answer."""
    return _validator(json.dumps(schema, sort_keys=True))


@cache
def _validator(schema: str) -> Draft202012Validator:
    whole = json.loads(schema) | {"components": _closed(openapi.current()["components"])}
    return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _closed(part: Any) -> Any:
    """Allow no field beyond those that are named: clients must bear new ones, but a test must see them."""
    if isinstance(part, list):
        return [_closed(item) for item in part]
    if not isinstance(part, dict):
        return part
    part = {name: _closed(value) for name, value in part.items()}
    is_record = part.get("type") == "object" and isinstance(part.get("properties"), dict)
    return {"additionalProperties": False} | part if is_record else part
