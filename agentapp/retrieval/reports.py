"""A report as a Markdown text: statements with their citations, and what it rests on. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentapp.policies.counting import count
from agentapp.retrieval import ranges
from agentapp.retrieval.statements import Statement, as_json


def written(
    title: str,
    statements: Sequence[Statement],
    *,
    documents: Sequence[Mapping[str, str]],
    coverage: Mapping[str, Any],
) -> str:
    """Return the text of a report. `documents` says which chunks are of which document."""
    said = [f"- {one.text} [{ranges.written(one.rests_on)}]" for one in statements]
    sources = [f"- Chunks {one['chunks']}: {_line(one['title'])}" for one in documents]
    parts = [f"# {title}", "\n".join(said), "## What this report rests on", " ".join(_read(coverage)),
             "\n".join(_reasons(coverage)), "\n".join(sources)]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _read(coverage: Mapping[str, Any]) -> list[str]:
    of_all = f"{coverage['summarized']:,} of {count(coverage['found'], 'chunk')} read"
    said = [f"{of_all}; the policy asks for {coverage['needed']:,}."]
    if coverage["silent"]:
        said.append(f"Nothing about what was asked stands in {coverage['silent']}.")
    if coverage["not_cited"]:
        said.append(f"Read, and not cited above: {coverage['not_cited']}.")
    if coverage["failed"]:
        said.append(f"Not read: {coverage['failed']}.")
    return said


def _reasons(coverage: Mapping[str, Any]) -> list[str]:
    return [f"- Chunks {one['chunks']}: {_line(one['reason'])}" for one in coverage["reasons"]]


def _line(text: str) -> str:
    """A title of others must not begin lines of its own."""
    return " ".join(text.split())


def citations(statements: Sequence[Statement], documents: Sequence[Mapping[str, str]]) -> str:
    """Return as JSON what each statement rests on, and which chunks are of which document."""
    return json.dumps({"statements": as_json(statements), "documents": documents}, ensure_ascii=False)
