"""Freeze what would be sent, byte for byte, for a person to decide about. [G3]"""

from typing import Any

from agentapp.errors import PermanentError
from agentapp.policies.content import canonical_sha256
from agentapp.runtime import JobContext, job
from tasks.retrieve_context import is_of_another


# It calls no model; on the queue of the job before it the same worker goes on without a trip through the broker.
@job(queue="model", timeout_s=30)
def request_approval(
    ctx: JobContext,
    *,
    to: str,
    subject: str,
    draft_id: str,
    citations: list[dict[str, Any]] | None = None,
    evaluation: dict[str, Any] | None = None,
    risk: str | None = None,
) -> dict[str, Any]:
    if is_of_another(ctx):
        raise PermanentError(
            "This draft was written from facts about another customer. Start at generate_draft: it writes one without."
        )
    content = {"to": to, "subject": reply_subject(subject), "body": ctx.artifacts.read(draft_id)}
    return {
        "content": content,
        "content_sha256": canonical_sha256(content),
        "sources": citations or [],
        "evaluation": evaluation,
        "risk": risk,
    }


def reply_subject(subject: str) -> str:
    """Return the subject of the reply, on one line; a reply to a reply has one `Re:`."""
    line = " ".join(subject.split())
    return line if line.lower().startswith("re:") else f"Re: {line}"
