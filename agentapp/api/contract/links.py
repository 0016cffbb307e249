"""Links of the document: which operations take the id that an answer holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from agentapp.api.contract.operation import JSON

Schema = dict[str, Any]
PAGE = "Page"


def add(document: Schema) -> None:
    """Link each answer that is a record, or a page of them, to the operations at the addresses below its list."""
    operations = [(path, operation) for path, methods in document["paths"].items() for operation in methods.values()]
    targets = {name: list(_below(home, operations)) for name, home in _homes(operations).items()}
    for _, operation in operations:
        for response in operation["responses"].values():
            name = _type_of(response)
            found = targets.get(name.removesuffix(PAGE), [])
            pointer = "/results/0/id" if name.endswith(PAGE) else "/id"
            if found:
                response["links"] = {
                    target: {"operationId": target, "parameters": {parameter: f"$response.body#{pointer}"}}
                    for target, parameter in found
                }


def _homes(operations: list[tuple[str, Schema]]) -> dict[str, str]:
    """Return the address of the list of each type: `/tasks` of Task."""
    return {
        _type_of(operation["responses"].get("200", {})).removesuffix(PAGE): path
        for path, operation in operations
        if "{" not in path and _type_of(operation["responses"].get("200", {})).endswith(PAGE)
    }


def _below(home: str, operations: list[tuple[str, Schema]]) -> Iterator[tuple[str, str]]:
    for path, operation in operations:
        names = re.findall(r"{(\w+)}", path)
        if path.startswith(f"{home}/{{") and len(names) == 1 and names[0].endswith("_id"):
            yield operation["operationId"], names[0]


def _type_of(response: Schema) -> str:
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    return str(schema.get("$ref", "")).rpartition("/")[2]
