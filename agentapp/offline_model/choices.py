"""Which of the platform's own tools an instruction needs: by plain cues, reading first, then writing."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from agentapp.offline_model.wire import ToolCall

KNOWN = frozenset(
    {"calculate", "create_ticket", "current_time", "fetch_url", "read_document", "search_documents", "send_message"}
)
_URL = re.compile(r"https?://[^\s\"'<>)\]},]+")
_MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SUM = re.compile(r"\(*-?\d[\d.]*\)*(?:\s*(?:\*\*|//|[-+*/%])\s*\(*-?\d[\d.]*\)*)+")
_TIME = re.compile(r"\b(?:what (?:time|day|date)|time is it|today'?s date|current (?:time|date))\b", re.IGNORECASE)
_SEND = re.compile(r"\b(?:mail|e-mail|email|send|write to|message)\b", re.IGNORECASE)
_TICKET = re.compile(r"\btickets?\b", re.IGNORECASE)
_LONGEST_TITLE = 80


def calls(offered: Collection[str], text: str, done: Collection[str], found: Sequence[str]) -> list[ToolCall] | None:
    """Return the calls of this turn, none when enough was called, or None when the tools are not the platform's.

    `done` are the names of what was called, `found` the texts that came of it.
    """
    if not KNOWN & set(offered):
        return None
    wanted = _reads(text) if not done else _writes(text, found)
    return [call for call in wanted if call.name in offered and call.name not in done]


def _reads(text: str) -> list[ToolCall]:
    urls = [ToolCall("fetch_url", {"url": url.rstrip(".")}) for url in _URL.findall(text)[:3]]
    sums = [ToolCall("calculate", {"expression": found.group()}) for found in list(_SUM.finditer(text))[:3]]
    times = [ToolCall("current_time", {})] if _TIME.search(text) else []
    return [*urls, *sums, *times] or [ToolCall("search_documents", {"query": text})]


def _writes(text: str, found: Sequence[str]) -> list[ToolCall]:
    line = " ".join(text.split())
    title = line if len(line) <= _LONGEST_TITLE else f"{line[:_LONGEST_TITLE]}..."
    body = "\n\n".join(found) or line
    wanted = []
    if (to := _MAIL.search(text)) and _SEND.search(text):
        wanted.append(ToolCall("send_message", {"to": to.group(), "subject": title, "body": body}))
    if _TICKET.search(text):
        wanted.append(ToolCall("create_ticket", {"title": title, "text": body}))
    return wanted
