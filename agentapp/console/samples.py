"""A value that fits a schema, for people to start from."""

from __future__ import annotations

from typing import Any

from agentapp.api.answers import values

Schema = dict[str, Any]
DEEPEST = 6
_BY_FORMAT = {"uuid": values.ID, "date-time": values.MOMENT, "uri-reference": "/tasks?cursor=..."}
_BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": True, "null": None}


def sample(schema: Schema, document: Schema, depth: int = 0) -> Any:
    """Return an example of the schema: its own, or one that is made of its parts."""
    schema = resolved(schema, document)
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            return sample(schema[choices][0], document, depth + 1)
    return _of_type(schema, document, depth)


def _of_type(schema: Schema, document: Schema, depth: int) -> Any:
    if "properties" in schema:
        return {name: sample(part, document, depth + 1) for name, part in schema["properties"].items()}
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "array":
        known = "items" in schema and depth < DEEPEST
        return [sample(schema["items"], document, depth + 1)] * max(1, schema.get("minItems", 0)) if known else []
    found = _BY_FORMAT.get(schema.get("format", "")) or _BY_TYPE.get(kind, {})
    return max(found, schema["minimum"]) if kind in ("integer", "number") and "minimum" in schema else found


def resolved(schema: Schema, document: Schema) -> Schema:
    """Follow a reference to a part of the document."""
    while "$ref" in schema:
        found: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        schema = found
    return schema
