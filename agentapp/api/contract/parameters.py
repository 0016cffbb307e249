"""Parameters of addresses, queries and headers, and the group that an address belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pydantic
from drf_spectacular.plumbing import ComponentRegistry

from agentapp.api.contract import components

Schema = dict[str, Any]


class UnknownParameter(Exception):
    """An address has a parameter of which nobody said what it is."""


def tag_of(path: str) -> str:
    """Return `Dead letters` of `/dead-letters/{job_id}/replay`."""
    return path.strip("/").partition("/")[0].replace("-", " ").capitalize()


def of_path(name: str, declared: Mapping[str, Any]) -> Schema:
    """Return a parameter in the address; the name of an id says that it is a UUID, if the endpoint says nothing else.

    Raises:
        UnknownParameter: it is no id, and the endpoint's `path_parameters` does not have it.
    """
    kind = declared.get(name)
    if kind is None and not name.endswith("_id"):
        raise UnknownParameter(f"Say what {{{name}}} is: in `path_parameters` of its endpoint.")
    if kind is None:
        noun = name.removesuffix("_id").replace("_", " ")
        schema: Schema = {"type": "string", "format": "uuid", "description": f"The id of the {noun}."}
    else:
        schema = pydantic.TypeAdapter(kind).json_schema()
    words = schema.pop("description", "")
    return {"in": "path", "name": name, "required": True, "schema": schema, "description": words}


def of_query(model: type[pydantic.BaseModel], registry: ComponentRegistry) -> list[Schema]:
    """Return the parameters behind the question mark."""
    whole = pydantic.TypeAdapter(model).json_schema(ref_template=components.REF, mode="validation")
    for name, part in whole.get("$defs", {}).items():
        components.keep(registry, name, part)
    return [
        _query(name, components.tidy(schema), required=name in whole.get("required", ()))
        for name, schema in whole["properties"].items()
    ]


def _query(name: str, schema: Schema, *, required: bool) -> Schema:
    # To leave a parameter out is the only way to say null.
    choices = [choice for choice in schema.pop("anyOf", ()) if choice.get("type") != "null"]
    schema = {**schema, **choices[0]} if choices else schema
    if schema.get("default", "") in (None, "", []):
        schema.pop("default", None)
    words = schema.pop("description", "")
    return {
        "in": "query", "name": name, "required": required, "schema": schema,
        **({"description": words} if words else {}),
    }  # fmt: skip


def of_header(name: str, words: str) -> Schema:
    """Return a header that a client may send."""
    return {"in": "header", "name": name, "required": False, "schema": {"type": "string"}, "description": words}
