"""What a person decides by: the sources and the evaluation of a content, in the words of the pages."""

from __future__ import annotations

from typing import Any

from agentapp.models import Approval
from agentapp.policies import bounds


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
        "origin": source.get("source", ""),
        "quote": quote,
        # Sources may come from anywhere: nothing but a web address becomes a link.
        "url": url if url.startswith(("https://", "http://")) else "",
    }


def evaluation(approval: Approval) -> dict[str, Any]:
    """Score, critique and verdict; `below` when even the last revision stayed below the bar."""
    found = approval.evaluation or {}
    score = found.get("score")
    return {
        "score": None if isinstance(score, str) else bounds.number(score, most=1),
        "critique": found.get("critique", ""),
        "below": found.get("verdict") == "revise",
        "rest": {name: value for name, value in found.items() if name not in {"score", "critique", "verdict"}},
    }
