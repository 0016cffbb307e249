"""The texts that a task has asked about, in their order, and what changed between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agentapp.admin import prose_diff
from agentapp.models import Approval
from agentapp.policies import bounds
from agentapp.states import ApprovalState

MOST = 50


@dataclass(frozen=True)
class Revision:
    """A text as it was drafted, or as a person or a later stage made it. `label` is for people."""

    number: int
    label: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Two revisions that a person chose, or that the page chose for them; `since` says in words which."""

    before: int
    after: int
    since: str
    pieces: list[prose_diff.Piece]


def rounds(approval: Approval) -> list[Approval]:
    """The approvals of the task up to this one, oldest first, with who decided them; of one that a job asked, those of
    the same question."""
    rows = Approval.objects.filter(
        workflow_id=approval.workflow_id, pk__lte=approval.pk, job=approval.job_id, ask_key=approval.ask_key
    )
    rows = rows.select_related("decided_by_user", "decided_by_key").order_by("-pk")
    return list(rows[:MOST])[::-1]


def of(rounds: list[Approval]) -> list[Revision]:
    """Every text once: an approval asks about its draft, unless it was edited or has changed since."""
    found: list[Revision] = []
    for number, each in enumerate(rounds, start=1):
        _add(found, f"draft {number}", each.draft)
        edited = "edited" if each.state == ApprovalState.APPROVED else "as it had become"
        _add(found, f"draft {number}, {edited}", each.content)
    return found


def _add(found: list[Revision], label: str, content: dict[str, Any]) -> None:
    if not found or found[-1].content != content:
        found.append(Revision(len(found) + 1, label, content))


def compare(revisions: list[Revision], rounds: list[Approval], *, before: str, after: str) -> Comparison | None:
    """Compare the revisions of these numbers; without them this text with the draft before an edit, or with what was
    shown the time before. None where there is nothing to compare."""
    if len(revisions) < 2:
        return None
    newest = revisions[-1].number
    first, second = (bounds.whole(number, most=newest) for number in (before, after))
    if first and second and first != second:
        old, new = revisions[first - 1], revisions[second - 1]
        since = f"from {old.label} to {new.label}"
    else:
        old, new = revisions[-2:]
        since = _since(rounds)
    return Comparison(old.number, new.number, since, changes(old.content, new.content))


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[prose_diff.Piece]:
    """What changed from one content to another, as one text with its heading."""
    return prose_diff.compare(as_text(before), as_text(after))


def _since(rounds: list[Approval]) -> str:
    this = rounds[-1]
    if this.content != this.draft:
        return "since the draft"
    return f"since the last time ({rounds[-2].get_state_display().lower()})" if len(rounds) > 1 else "since the draft"


def as_text(content: dict[str, Any]) -> str:
    """A content as one text: its fields as a heading, the body below."""
    head = "".join(f"{name}: {text}\n" for name, text in content.items() if name != "body")
    return f"{head}\n{content.get('body', '')}"
