"""What a hostile client sends: values, bodies, queries and addresses, thrown with dice."""

from __future__ import annotations

import json
import random
from typing import Any

# Text of a JSON value each: several cannot be made by `json.dumps`.
VALUES = (
    "null", "true", "0", "-1", "1e400", "-1e400", "1e308", "5e-324", "NaN", "Infinity", "-0.0", "1.0", "9" * 40,
    "9" * 5_000, "-" + "9" * 40, str(2**31), str(2**63), str(2**63 - 1), str(-(2**63) - 1), '""', '" "', '"\\u0000"',
    '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', '"\\uffff"', '"\\u2028"', '"\\u202e"', '"\\r\\nBcc: x@y.test"',
    '"\u0663"', '"\u00b2"', '"1e5"', '"nan"', '"%00"', '"../../etc/passwd"', "\"' OR 1=1 --\"", '"{{7*7}}"',
    '"' + "x" * 5_000 + '"', "[]", "{}", "[[[]]]", "[null]", '[1, "a", {}]', '{"": ""}', '{"\\ud800": 1}',
    '{"\\ud800": "\\ud800"}', '{"\\u0000": "\\u0000"}', '{"a": 1, "a": 2}', '{"__proto__": {}}', '{"class": "x"}',
    "[" * 60 + "]" * 60, "[" * 100_000 + "]" * 100_000, '{"a":' * 60 + "1" + "}" * 60, '"2025-01-01T00:00:00Z"',
    '"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', "[" + "0," * 5_000 + "0]", '{"k%d": 0}',
    '"a@b.test, c@d.test"', '"\U0001f600"', '"e\u0301"', '"\\"', "tru", "'a'", "01", "+1", '"\\ud83d\\ude00"', "0x10",
    "1_000", '{"a": 1e999}', '{"x": "' + "\u00e9" * 2_000 + '"}',
)  # fmt: skip
JSON = "application/json"
TEXTS = (
    "", " ", "0", "-1", "00", "1_0", "\u0663", "9" * 30, "9" * 5_000, "1e3", "nan", "a\x00b", "\x00", "%", "%25",
    "\\", "'", '"', "\ufffd", "\u2028", "\r\nX-Evil: 1", "..", "../admin", "null", "true", "x" * 900, "*", "\u202e",
    "[1]", "{}", "\U0001f600", "a:b", ":", "team:", "team:\u00e9", "2025-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00", "2025-01-01T00:00:00+23:59", "20250101T000000Z",
    "2025-W01-1T00:00:00Z", "running", "all", "state", "{task}", "\u00a0", "\udfff", "_", "a%b_c",
)  # fmt: skip


def value(dice: random.Random) -> str:
    return dice.choice(VALUES)


def body(dice: random.Random, sample: dict[str, Any]) -> bytes:
    """Return a sample's JSON with a few of its values, at any depth, replaced, dropped, doubled or joined by others."""
    text = _written(dice, sample, odds=0.35)
    if dice.random() < 0.08:
        cut = dice.randrange(len(text) + 1)
        text = text[:cut] + dice.choice(["", "\x00", "\ufeff", "}", '"', "\\"]) + text[cut + dice.randrange(2) :]
    raw = text.encode("utf-8", "surrogatepass")
    if dice.random() < 0.03:
        raw = dice.choice(
            [b"\xff\xfe" + raw, raw.decode(errors="replace").encode("utf-16"), b"\xef\xbb\xbf" + raw, b"\x1f\x8b" + raw]
        )
    return raw


def _written(dice: random.Random, given: Any, *, odds: float) -> str:
    if dice.random() < odds * 0.5:
        return value(dice)
    if not isinstance(given, dict):
        return json.dumps(given)
    items = []
    for key, item in given.items():
        if dice.random() < 0.1:
            continue
        items.append(f"{json.dumps(key)}: {_written(dice, item, odds=odds)}")
    while dice.random() < 0.2:
        name = dice.choice([*given, "extra", "\\ud800", "\\u0000", "", "a.b", "__class__"])
        items.append(f'"{name}": {value(dice)}')
    return "{" + ", ".join(items) + "}"


def query(dice: random.Random, names: list[str], known: list[str]) -> list[tuple[str, str]]:
    """Return parameters: mostly names that the endpoint knows, with texts that it does not expect."""
    found = []
    for _ in range(dice.randrange(1, 4)):
        name = dice.choice(names) if names and dice.random() < 0.9 else dice.choice(TEXTS)
        found.append((name, dice.choice([*TEXTS, *known])))
    return found
