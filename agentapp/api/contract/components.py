"""Types as JSON Schema 2020-12, in the section `components` of the document."""

from __future__ import annotations

from typing import Any, Literal

import pydantic
from drf_spectacular.plumbing import ComponentRegistry, ResolvedComponent

from agentapp.api.contract.operation import Page

Schema = dict[str, Any]
Mode = Literal["validation", "serialization"]
VALUES = ("examples", "default", "enum", "const")
REF = "#/components/schemas/{model}"


class TwoOfOneName(Exception):
    """Two types have one name in the document: rename one."""


def schema_of(kind: Any, registry: ComponentRegistry, *, mode: Mode = "serialization") -> Schema:
    """Return the schema of a type, and put what it consists of into the registry.

    Raises:
        TwoOfOneName: another type has its name already, or that of a part.
    """
    if isinstance(kind, Page):
        return _page(kind, registry)
    schema: Schema = pydantic.TypeAdapter(kind).json_schema(ref_template=REF, mode=mode)
    for name, part in schema.pop("$defs", {}).items():
        keep(registry, name, part)
    name = getattr(kind, "__name__", "")
    if "properties" not in schema or not name:
        return dict(tidy(schema))
    keep(registry, name, schema)
    return {"$ref": REF.format(model=name)}


def _page(page: Page, registry: ComponentRegistry) -> Schema:
    name = f"{page.item.__name__}Page"
    schema = {
        "type": "object",
        "description": "One page of a list.",
        "properties": {
            "results": {"type": "array", "items": schema_of(page.item, registry)},
            "next": {
                "type": ["string", "null"],
                "format": "uri-reference",
                "description": "the address of the next page; null on the last one",
            },
            "total": {"type": "integer", "description": "rows of all pages, where the client asked for it"},
            "total_is": {"type": "string", "enum": ["exact", "at least"]},
        },
        "required": ["results", "next"],
    }
    keep(registry, name, schema)
    return {"$ref": REF.format(model=name)}


def keep(registry: ComponentRegistry, name: str, schema: Schema) -> None:
    """Put a schema into the registry. Raises TwoOfOneName."""
    schema = tidy(schema)
    component = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, object=name, schema=schema)
    if component in registry and registry[component].schema != schema:
        raise TwoOfOneName(f"Two different types are called {name}. Rename one of them.")
    registry.register_on_missing(component)


def tidy(schema: Any) -> Any:
    """Leave out the titles that pydantic makes of names: they say nothing more."""
    if isinstance(schema, list):
        return [tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: _part(name, value) for name, value in schema.items() if name != "title"}


def _part(name: str, value: Any) -> Any:
    if name == "properties":
        return {field: tidy(part) for field, part in value.items()}
    # What stands in a value may be called `title` too.
    return value if name in VALUES else tidy(value)
