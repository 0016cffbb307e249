"""The OpenAPI document as the parts of a page: groups of operations, their parameters and answers, and all types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from agentapp.api import problems
from agentapp.api.contract.operation import JSON
from agentapp.console.samples import resolved, sample

Schema = dict[str, Any]
SCHEMAS = "#/components/schemas/"
_LIMITS = (
    ("minimum", "from {}"), ("maximum", "to {}"), ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"), ("maxItems", "at most {}"), ("maxProperties", "at most {} entries"),
    ("pattern", "matches {}"), ("default", "default {}"),
)  # fmt: skip


def groups(document: Schema) -> list[Schema]:
    """Return the operations by their tag, in the order of the document."""
    found: dict[str, list[Schema]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(method.upper(), path, operation, document))
    return [{"name": name, "anchor": anchor(name), "operations": operations} for name, operations in found.items()]


def webhooks(document: Schema) -> list[Schema]:
    """Return the requests that we send."""
    return [
        _operation("POST", name, methods["post"] | {"responses": {}}, document)
        for name, methods in document.get("webhooks", {}).items()
    ]


def types(document: Schema) -> list[Schema]:
    """Return the named types, each with its fields."""
    return [
        {
            "name": name,
            "description": schema.get("description", ""),
            "fields": list(_fields(schema)),
            "choices": [kind for kind in _kinds(schema) if not schema.get("properties")],
            "example": _pretty(schema["examples"][0]) if schema.get("examples") else "",
            # What clients send refuses fields that it does not know.
            "is_answer": schema.get("additionalProperties") is not False,
        }
        for name, schema in document["components"]["schemas"].items()
    ]


def anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _operation(method: str, path: str, operation: Schema, document: Schema) -> Schema:
    body = operation.get("requestBody", {}).get("content", {})
    media_type = next(iter(body), "")
    schema = body.get(media_type, {}).get("schema", {})
    security = operation.get("security", [{}])[0]
    return {
        "id": operation["operationId"],
        "method": method,
        "path": path,
        "summary": operation["summary"],
        # The scopes stand beside it.
        "description": operation.get("description", "").partition("Needs a key with the scope")[0].strip(),
        "scopes": next(iter(security.values()), []),
        "is_open": not security,
        # Its first answer is no answer of HTTP.
        "is_socket": "101" in operation["responses"],
        "parameters": [_parameter(item, document) for item in operation.get("parameters", ())],
        "body_type": media_type,
        "fields": list(_fields(resolved(schema, document))),
        "body": _pretty(sample(schema, document)) if schema else "",
        "answers": [
            # Where nothing else was declared, it would say the summary again.
            _answer(status, item, document, said=f"{operation['summary']}.")
            for status, item in operation["responses"].items()
            if status < "4"
        ],
        "problems": list(_problems(operation, document)),
    }


def _parameter(item: Schema, document: Schema) -> Schema:
    schema = resolved(item["schema"], document)
    return {
        "name": item["name"],
        "in": item["in"],
        "required": item["required"],
        "description": item.get("description", ""),
        "kinds": _kinds(schema),
        "limits": _limits(schema.get("items", schema)) if schema.get("type") == "array" else _limits(schema),
        "options": schema.get("enum", ()),
        "repeats": schema.get("type") == "array",
    }


def _answer(status: str, answer: Schema, document: Schema, *, said: str) -> Schema:
    content = answer.get("content", {})
    schema = content.get(JSON, {}).get("schema", {})
    return {
        "status": status,
        "description": answer["description"].removeprefix(said),
        "media_types": list(content),
        "kinds": [
            kind for media in content.values() for kind in _kinds(media.get("x-event-data") or media.get("schema"))
        ],
        "headers": [(name, header["description"]) for name, header in answer.get("headers", {}).items()],
        "example": _pretty(sample(schema, document)) if schema else "",
    }


def _problems(operation: Schema, document: Schema) -> Iterator[Schema]:
    for status, response in operation["responses"].items():
        found = resolved(response, document)
        for slug in found.get("x-problems", ()):
            example = found["content"][problems.MEDIA_TYPE]["examples"][slug]
            yield {"status": status, "slug": slug, "title": example["summary"]}


def _fields(schema: Schema) -> Iterator[Schema]:
    for name, part in schema.get("properties", {}).items():
        yield {
            "name": name,
            "required": name in schema.get("required", ()),
            "description": part.get("description", ""),
            "kinds": _kinds(part),
            "limits": _limits(part),
        }


def _kinds(schema: Schema | None) -> list[Schema]:
    """Return what a value may be, each with the name of its type where it has one."""
    if not schema:
        return []
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(SCHEMAS)
        return [{"words": name, "type": name}]
    for choices in ("anyOf", "oneOf", "allOf"):
        if choices in schema:
            return [kind for choice in schema[choices] for kind in _kinds(choice)]
    if schema.get("enum") or "const" in schema:
        return [{"words": str(value), "is_value": True} for value in schema.get("enum") or [schema["const"]]]
    if schema.get("type") == "array":
        return [{"words": "list of"}, *_kinds(schema.get("items", {}))]
    kind = schema.get("type", "any value")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    if "patternProperties" in schema:
        values = [kind for part in schema["patternProperties"].values() for kind in _kinds(part)]
        return [{"words": f"{words} of"}, *values]
    return [{"words": f"{words} ({schema['format']})" if "format" in schema else words}]


def _limits(schema: Schema) -> list[str]:
    said = [(words, schema.get(name)) for name, words in _LIMITS]
    found = [words.format(_short(value)) for words, value in said if value not in (None, "", [], {})]
    for pattern, values in schema.get("patternProperties", {}).items():
        found += [f"each name matches {_short(pattern)}", *(f"each value {limit}" for limit in _limits(values))]
    return found


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"`{value}`" if isinstance(value, str) else str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
