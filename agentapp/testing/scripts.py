"""What the offline model says in an agent's run, turn by turn."""

from __future__ import annotations

import json
from typing import Any

Json = dict[str, Any]
# The calls of a turn, or the text that ends the run.
Turn = list[Json] | str


def call(tool: str, arguments: Json | str | None = None, **named: Any) -> Json:
    """A call of a tool. `arguments` takes those that are no keywords, and a text for malformed ones."""
    return {"name": tool, "arguments": named if arguments is None else arguments}


def script(*turns: Turn, ask: str = "Do it.") -> str:
    """An instruction that makes the offline model follow these turns: calls, or a text."""
    return "\n".join([ask, *(f"[offline model: turn] {json.dumps(turn)}" for turn in turns)])
