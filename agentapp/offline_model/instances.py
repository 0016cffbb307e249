"""Build a valid instance of any JSON schema from a text."""

from __future__ import annotations

import math
import re
from typing import Any

from agentapp.offline_model import choosing, questions, sentences, strings

DEEPEST = 6


class Unsatisfiable(ValueError):
    """The offline model cannot build an instance of this schema; the message says where it failed."""


def build(schema: dict[str, Any], text: str, *, facts: dict[str, Any] | None = None) -> Any:
    """Return an instance of a schema that is about a text.

    `facts` are values by field name that are known already; one is used where the schema allows it.

    Raises:
        Unsatisfiable: the schema contradicts itself or uses what is beyond this model.
    """
    builder = _Builder(schema, text, facts or {})
    instance = builder.fill(schema, name="", depth=0, index=0)
    flaw = next(iter(builder.validator.iter_errors(instance)), None)
    if flaw is not None:
        raise Unsatisfiable(f"the offline model cannot fill this schema at {flaw.json_path}: {flaw.message}")
    return instance


class _Builder:
    """Walks one schema; every method returns a value for the part of the schema that it gets."""

    def __init__(self, schema: dict[str, Any], text: str, facts: dict[str, Any]) -> None:
        self.root = schema
        self.text = text
        self.facts = facts
        # Few servers are asked to fill a schema; what checks one is dear to load.
        from jsonschema import Draft202012Validator

        self.validator = Draft202012Validator(schema)

    def fill(self, schema: Any, *, name: str, depth: int, index: int) -> Any:
        """Fill one part; `index` tells the items of an array apart."""
        if not isinstance(schema, dict):
            return {}
        resolved = self._resolve(schema)
        if name in self.facts:
            known = self._known(resolved, self.facts[name])
            if known is not None:
                return known
        offered = choosing.options(resolved)
        if offered is not None:
            return self._choice(offered, resolved, name=name, index=index)
        for word in ("anyOf", "oneOf"):
            if isinstance(resolved.get(word), list) and resolved[word]:
                return self._alternative(resolved, word, name=name, depth=depth, index=index)
        return self._typed(resolved, name=name, depth=depth, index=index)

    def _typed(self, schema: dict[str, Any], *, name: str, depth: int, index: int) -> Any:
        """Fill a part by its type."""
        match _kind(schema):
            case "object":
                return self._object(schema, depth=depth, index=index)
            case "array":
                return self._array(schema, name=name, depth=depth)
            case "string":
                return strings.write(schema, self.text, name=name, index=index)
            case "integer" | "number" as kind:
                return _number(schema, self.text, whole=kind == "integer", index=index)
            case "boolean":
                about = f"{name.replace('_', ' ')} {schema.get('description', '')}"
                return sentences.closeness(about, self.text) >= questions.RELEVANT
        return None

    def _resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow local references and merge allOf."""
        merged = dict(schema)
        for _ in range(DEEPEST):
            reference = merged.pop("$ref", None)
            if not isinstance(reference, str):
                break
            merged = {**self._find(reference), **merged}
        for part in merged.pop("allOf", []):
            extra = self._resolve(part)
            properties = {**merged.get("properties", {}), **extra.get("properties", {})}
            required = [*merged.get("required", []), *extra.get("required", [])]
            merged = {**merged, **extra}
            if properties:
                merged |= {"properties": properties, "required": required}
        return merged

    def _find(self, reference: str) -> dict[str, Any]:
        found: Any = self.root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if not step:
                continue
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if not reference.startswith("#") or not isinstance(found, dict):
            raise Unsatisfiable(f"the schema refers to {reference}, which it does not define")
        return found

    def _known(self, schema: dict[str, Any], value: Any) -> Any:
        """Return a known value as the schema allows it, or None."""
        offered = choosing.options(schema)
        if offered is not None and value in ("pass", "revise"):
            value = choosing.verdict(offered, good=value == "pass") if value not in _values(offered) else value
        if isinstance(value, str) and isinstance(schema.get("maxLength"), int):
            value = value[: schema["maxLength"]]
        if isinstance(value, list) and isinstance(schema.get("maxItems"), int):
            value = value[: schema["maxItems"]]
        return value if self._valid(schema, value) else None

    def _valid(self, schema: dict[str, Any], value: Any) -> bool:
        return bool(self.validator.evolve(schema=schema).is_valid(value))

    def _choice(self, offered: list[choosing.Option], schema: dict[str, Any], *, name: str, index: int) -> Any:
        """Choose a value; the items of an array get different ones."""
        allowed = [option for option in offered if self._valid(schema, option.value)]
        if not allowed:
            raise Unsatisfiable(f"the schema allows no value for {name or 'the answer'}")
        about = f"{name} {schema.get('description', '')}"
        if index == 0:
            return choosing.choose(allowed, self.text, about=about)
        return sorted(allowed, key=lambda option: -choosing.fit(option, self.text))[index % len(allowed)].value

    def _alternative(self, schema: dict[str, Any], word: str, *, name: str, depth: int, index: int) -> Any:
        """Take the first alternative that holds, nothing (null) last."""
        rest = {key: value for key, value in schema.items() if key != word}
        branches = [self._resolve(one) for one in schema[word] if isinstance(one, dict)]
        for branch in sorted(branches, key=lambda one: one.get("type") == "null"):
            value = self.fill({**rest, **branch}, name=name, depth=depth + 1, index=index)
            if self._valid(schema, value):
                return value
        raise Unsatisfiable(f"no alternative of {name or 'the answer'} can be filled")

    def _object(self, schema: dict[str, Any], *, depth: int, index: int) -> dict[str, Any]:
        """Fill every property; far down only the required ones, or a recursive schema would never end."""
        properties = schema.get("properties", {})
        required = list(schema.get("required", []))
        names = list(properties) if depth < DEEPEST else required
        filled = {}
        for name in [*names, *(name for name in required if name not in names)]:
            filled[name] = self.fill(properties.get(name, {"type": "string"}), name=name, depth=depth + 1, index=index)
        return filled

    def _array(self, schema: dict[str, Any], *, name: str, depth: int) -> list[Any]:
        """Fill an array: values of an enum that fit, or as many items as are asked for."""
        least = int(schema.get("minItems", 0))
        most = int(schema.get("maxItems", max(least, 3)))
        items = self._resolve(schema["items"]) if isinstance(schema.get("items"), dict) else {"type": "string"}
        offered = choosing.options(items)
        if offered and len(offered) > 1 and least <= len(offered):
            return choosing.choose_many(offered, self.text, least=max(least, min(1, most)), most=most)
        first = [
            self.fill(part, name=name, depth=depth + 1, index=number)
            for number, part in enumerate(schema.get("prefixItems", []))
        ]
        wanted = max(least, min(most, 1 if depth < DEEPEST else 0))
        more = range(len(first), max(wanted, len(first)))
        return first + [self.fill(items, name=name, depth=depth + 1, index=number) for number in more]


def _values(offered: list[choosing.Option]) -> list[Any]:
    return [option.value for option in offered]


def _kind(schema: dict[str, Any]) -> str:
    """Return the type to fill: the first one named that is not null, or what the keywords imply."""
    named = schema.get("type")
    if isinstance(named, list):
        return next((kind for kind in named if kind != "null"), "null")
    if isinstance(named, str):
        return named
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if {"minimum", "maximum", "multipleOf"} & set(schema) else "string"


def _number(schema: dict[str, Any], text: str, *, whole: bool, index: int) -> float | int:
    """Return a number of the text that the range allows, else the nearest to the bottom of the range.

    The items of an array count up from there, so that they differ.
    """
    step = schema.get("multipleOf", 1 if whole else 0)
    low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    spoken = [float(number) for number in re.findall(r"(?<![\w.])\d{1,9}(?:\.\d{1,6})?(?!\w|\.\d)", text)]
    floor = max(low, above)
    base = 0.0 if floor <= 0 <= min(high, below) else floor if floor > -math.inf else min(high, below)
    gap = step or (min(high, below) - floor) / 8
    gap = gap if 0 < gap < math.inf else 1.0
    start = math.ceil(base / step) * step if step else base
    tries = [*(spoken if index == 0 else []), *(start + gap * number for number in range(index, index + 4))]
    tries += [start - gap * number for number in range(index, index + 4)]
    tries += [start + gap * number for number in range(index, -1, -1)]
    for number in tries:
        value = round(number) if whole and float(number).is_integer() else number
        fits = low <= value <= high and above < value < below
        if fits and (not whole or isinstance(value, int)) and (not step or math.isclose(value % step, 0, abs_tol=1e-9)):
            return value
    raise Unsatisfiable(f"no number lies between {max(low, above)} and {min(high, below)} in steps of {step}")
