"""Tools of MCP servers: under which names they are offered, and what of their description may be told to a model. Pure.

A server describes its tools as it likes, and anew each time. What it says is bounded and stored; it is never followed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from agentapp.policies import storable
from agentapp.policies.content import canonical_sha256

Json = dict[str, Any]

# No two underscores in a row: they separate it from the name of the tool.
SERVER_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
SEPARATOR, AT = "__", "@"
_TOOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# What providers of models take as the name of a tool; and what a gate takes, with the tenant.
LONGEST_OFFERED, LONGEST_IDENTITY = 64, 100
MOST_TOOLS = 200
LONGEST_DESCRIPTION = 2_000
LARGEST_SCHEMA_BYTES = 10_000
DEEPEST_SCHEMA = 12
# Objects, lists and booleans of a schema: each may be a schema, whose check takes a fifth of a millisecond.
MOST_PARTS = 500
MOST_PROBLEMS = 20
_QUOTED = 60
# Signs that are letters, marks or symbols, and leave no trace: fillers, joiners, variation selectors, an empty pattern
# of Braille.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


@dataclass(frozen=True)
class ListedTool:
    """A tool as it may be offered. `sha256` is of all that its server says of it."""

    name: str
    offered_name: str
    description: str
    schema: Json
    sha256: str


def offered_name(server: str, tool: str) -> str:
    """Return under which name a model is offered a tool: `shop__order_state`."""
    return f"{server}{SEPARATOR}{re.sub(r'[^A-Za-z0-9_-]', '_', tool)}"


def identity(offered: str, tenant: str) -> str:
    """Return the name under which gates count a tool: each tenant's server fails, and is limited, by itself."""
    return f"{offered}{AT}{tenant}"


def of_identity(name: str) -> tuple[str, str]:
    """Return the offered name and the tenant of a tool; ("", "") for a tool that is no server's."""
    offered, _, tenant = name.rpartition(AT)
    return (offered, tenant) if SEPARATOR in offered else ("", "")


def is_named(name: str) -> bool:
    """Tell whether a name that a client sent may stand for tools of a server: `shop__order_state`, `shop__*`."""
    server, separator, tool = name.partition(SEPARATOR)
    is_tool = tool == "*" or re.fullmatch(r"[A-Za-z0-9_-]+", tool) is not None
    is_short = len(name) <= LONGEST_OFFERED
    return bool(separator) and is_short and SERVER_NAME.fullmatch(server) is not None and is_tool


def offered_of(sizes: Iterable[tuple[int, int, int]], *, most: int, characters: int) -> list[int]:
    """Return which of (server, tool, characters) fit into a prompt: the first of each server, then the second. One that
    does not fit is left out alone."""
    ranked: list[tuple[int, int, int]] = []
    known: Counter[int] = Counter()
    for server, tool, size in sizes:
        ranked.append((known[server], tool, size))
        known[server] += 1
    found: list[int] = []
    for _, tool, size in sorted(ranked, key=itemgetter(0)):
        if len(found) < most and size <= characters:
            found.append(tool)
            characters -= size
    return found


def listing(server: str, tenant: str, found: Iterable[Any]) -> tuple[list[ListedTool], list[str]]:
    """Return the tools of a server that may be offered, and a sentence for each one that may not."""
    tools: dict[str, ListedTool] = {}
    problems: list[str] = []
    for number, one in enumerate(found):
        if number >= MOST_TOOLS:
            problems.append(f"It lists more than {MOST_TOOLS} tools; the others are left out.")
            break
        name = one.get("name") if isinstance(one, dict) else None
        problem = next(_problems(server, tenant, one if isinstance(one, dict) else {}, tools), "")
        if problem:
            shown = ascii(name) if isinstance(name, str) else "A tool without a name"
            problems.append(f"{storable.text(shown, most=_QUOTED)}: {problem}")
        elif isinstance(one, dict):
            tool = _listed(server, one)
            tools[tool.offered_name] = tool
    if len(problems) > MOST_PROBLEMS:
        left_out = len(problems) - MOST_PROBLEMS + 1
        problems = [*problems[: MOST_PROBLEMS - 1], f"And {left_out} more."]
    return list(tools.values()), problems


def plain(text: str) -> str:
    """Return a text without what nobody sees, such as marks that turn its direction: a person decides about it. A
    secret may be put together by that."""
    return storable.text("".join(filter(_is_seen, storable.text(text))))


def problem_of_arguments(schema: Json, arguments: Json) -> str:
    """Say in words for a model what is plainly wrong with arguments: missing, unknown, of another type. The rest is for
    the server to refuse: checking against a whole schema of a stranger may never end."""
    properties = _object(schema.get("properties"))
    required = schema.get("required")
    missing = [name for name in required if name not in arguments] if isinstance(required, list) else []
    if missing:
        return f"these arguments are missing: {', '.join(map(str, missing[:10]))}."
    is_more_known = any(name in schema for name in ("patternProperties", "$ref", "$dynamicRef"))
    surplus = [] if is_more_known else [name for name in arguments if name not in properties]
    if surplus and schema.get("additionalProperties") is False:
        return f"there are no such arguments: {', '.join(surplus[:10])[:_QUOTED]}."
    for name, value in arguments.items():
        wanted = _object(properties.get(name)).get("type")
        if isinstance(wanted, str) and not _is_of(value, wanted):
            return f"{name[:_QUOTED]} must be of the type {wanted}."
    return ""


def _problems(server: str, tenant: str, tool: Json, known: dict[str, ListedTool]) -> Iterator[str]:
    name, schema = tool.get("name"), tool.get("inputSchema")
    if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
        yield "a name has letters, digits, '_', '-' and '.'."
        return
    offered = offered_name(server, name)
    if len(offered) > LONGEST_OFFERED or len(identity(offered, tenant)) > LONGEST_IDENTITY:
        yield f"its name is too long: with its server it may have {LONGEST_OFFERED} characters, with its tenant 100."
    elif offered in known:
        yield f"another tool is offered as {offered} already."
    if not isinstance(tool.get("description", ""), str | None):
        yield "the description is no text."
    yield from _problems_of_schema(schema)


def _problems_of_schema(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict) or schema.get("type") != "object":
        yield "the schema of its arguments is not that of an object."
        return
    if _depth(schema) > DEEPEST_SCHEMA:
        yield f"the schema of its arguments is nested more than {DEEPEST_SCHEMA} levels deep."
        return
    if (size := storable.json_bytes(schema)) > LARGEST_SCHEMA_BYTES:
        yield f"the schema of its arguments has {size:,} bytes; at most {LARGEST_SCHEMA_BYTES:,} may be."
        return
    if problem := next(storable.problems(schema), None):
        yield f"the schema of its arguments cannot be stored: {problem[1]}"
    if any(not reference.startswith("#") for reference in _references(schema)):
        yield "the schema of its arguments refers to another document."
    if sum(1 for _ in _parts(schema)) > MOST_PARTS:
        yield f"the schema of its arguments has more than {MOST_PARTS} parts."
        return
    if error := _schema_error(schema):
        yield f"the schema of its arguments is none: {storable.text(error, most=100)}"


def _schema_error(schema: Json) -> str:
    """Return the first thing that is wrong with a schema. Its patterns are not compiled: they are ECMAScript's, and
    nothing is matched here. Whatever else its check fails with is about this schema alone."""
    # Imported where it is used: all processes load this module, and few of them ever check a tool.
    from jsonschema import Draft202012Validator

    try:
        error = next(Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema), None)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as failure:
        return f"its check fails with {type(failure).__name__}."
    return error.message if error else ""


def _listed(server: str, tool: Json) -> ListedTool:
    said = {name: tool.get(name) for name in ("name", "description", "inputSchema")}
    return ListedTool(
        name=tool["name"], offered_name=offered_name(server, tool["name"]),
        description=storable.text(plain(tool.get("description") or ""), most=LONGEST_DESCRIPTION),
        schema=_cleaned(tool["inputSchema"]), sha256=canonical_sha256(storable.value(said)),
    )  # fmt: skip


def _is_seen(sign: str) -> bool:
    return sign in "\n\t" or (unicodedata.category(sign)[0] != "C" and not _UNSEEN.match(sign))


def _cleaned(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {plain(name): _cleaned(value) for name, value in schema.items()}
    if isinstance(schema, list):
        return [_cleaned(item) for item in schema]
    return plain(schema) if isinstance(schema, str) else schema


def _depth(value: Any) -> int:
    """How many levels a value has, counted without recursion."""
    level, depth = [value], 0
    while level and depth <= DEEPEST_SCHEMA:
        depth += 1
        inner = (list(one.values()) if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [item for items in inner for item in items if isinstance(item, dict | list)]
    return depth


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | bool):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _parts(item)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from (str(schema[name]) for name in ("$ref", "$dynamicRef", "$recursiveRef") if name in schema)
    for item in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _references(item)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _is_of(value: Any, wanted: str) -> bool:
    if wanted == "integer":
        return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value % 1 == 0))
    if wanted == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    kinds: dict[str, type] = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}
    return isinstance(value, kinds[wanted]) if wanted in kinds else True
