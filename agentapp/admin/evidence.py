"""What a person decides by: the sources and the evaluation of a content, in the words of the pages."""

from __future__ import annotations

import json
from typing import Any

from agentapp.admin import cited_text, hidden_characters
from agentapp.models import Approval
from agentapp.policies import bounds


def title(content: dict[str, Any]) -> Any:
    """What a list calls a content: its subject, or the tools that an agent wants to use."""
    return content.get("subject") or ", ".join(call["tool"] for call in _calls(content)) or content


def shown(content: dict[str, Any]) -> dict[str, Any]:
    """A content for a page, with all that is hidden in it: {"head": [(name, text)], "body": text}. Of the calls of an
    agent the exact arguments."""
    if calls := _calls(content):
        written = [f"{call['tool']} {json.dumps(call['arguments'], indent=2, ensure_ascii=False)}" for call in calls]
        content = {"tools": title(content), "body": "\n\n".join(written)}
    order = sorted((name for name in content if name != "body"), key=_place)
    return {
        "head": [(name, hidden_characters.reveal(str(content[name]))) for name in order],
        "body": hidden_characters.reveal(str(content.get("body", ""))),
    }


def body(content: dict[str, Any], sources: list[dict[str, Any]]) -> list[cited_text.Sentence]:
    """The text of a mail in sentences, each with the sources that it cites; of anything else one stretch."""
    numbers = {str(source["n"]) for source in sources if source.get("n") is not None}
    return cited_text.sentences(str(content.get("body", "")), numbers)


def _place(name: str) -> tuple[int, str]:
    # Postgres keeps the keys of JSON in an order of its own.
    first = ("to", "subject")
    return (first.index(name) if name in first else len(first), name)


def _calls(content: dict[str, Any]) -> list[dict[str, Any]]:
    calls = content.get("calls")
    return calls if isinstance(calls, list) else []


def source(source: Any) -> dict[str, Any]:
    """A source in the words of the page; retrieval sources of a team may carry other keys."""
    if not isinstance(source, dict):
        return {"title": str(source)}
    url = str(source.get("url") or "")
    quote = source.get("text") or source.get("quote") or source.get("passage") or ""
    return {
        "n": source.get("n"),
        "title": source.get("title") or source.get("id") or "untitled",
        "heading": source.get("heading", ""),
        "origin": _origin(source),
        "quote": quote,
        # Sources may come from anywhere: nothing but a web address becomes a link.
        "url": url if url.startswith(("https://", "http://")) else "",
    }


def _origin(source: dict[str, Any]) -> str:
    origin = str(source.get("source", ""))
    return f"{origin}, read from a text of others" if origin == "memories" and not source.get("trusted") else origin


# A draft that no revision has made good enough, and one that rests on no source.
BELOW = ("revise", "unfounded")


def evaluation(approval: Approval) -> dict[str, Any]:
    """Score, critique and verdict; `below` when even the last revision stayed below the score. `is_of_draft`: it says
    nothing about this text, which was edited or has changed since."""
    found = approval.evaluation if isinstance(approval.evaluation, dict) else {}
    score = found.get("score")
    return {
        "score": None if isinstance(score, str) else bounds.number(score, most=1),
        "critique": found.get("critique", ""),
        "below": found.get("verdict") in BELOW,
        "is_unfounded": found.get("verdict") == "unfounded",
        "is_of_draft": approval.content != approval.draft,
        "rest": {name: value for name, value in found.items() if name not in {"score", "critique", "verdict"}},
    }
