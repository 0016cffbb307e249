"""Which fields of an answer are payloads, and what stands in their place for a key that may not see them. [G6]"""

from __future__ import annotations

from typing import Any

MASKED = "[masked: this key may not see payloads]"
OBJECT = {"masked": "This key may not see payloads."}
# Prompts, responses, inputs and outputs, and the addresses and subjects of mails, by the names that answers give them.
# Of every other text of an answer tests/api/test_masked_keys.py says that it is none.
NAMES = frozenset(
    {"about", "answer", "body", "content", "draft", "evaluation", "input", "bypassed_customer", "output", "payload",
     "result", "sender", "sources", "subject", "summary", "text", "to"}
)  # fmt: skip
# What is read with these scopes belongs to the knowledge base or to the platform, and none of it is a payload.
WITHOUT = ("documents:", "tools:", "gates:", "models:", "tool_servers:", "approval_policies:")


def hidden(answer: Any) -> Any:
    """Return an answer with what says so in the place of its payloads; what is empty stays."""
    if isinstance(answer, dict):
        return {name: _masked(value) if name in NAMES else hidden(value) for name, value in answer.items()}
    return [hidden(each) for each in answer] if isinstance(answer, list) else answer


def _masked(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return MASKED if value else value
    return [] if isinstance(value, list) else OBJECT
