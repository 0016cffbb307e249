"""A body asks a person: what it asks, and what was decided about it. [G2] [G3]"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from agentapp import conf, redaction
from agentapp.errors import AsksPerson, NotApproved, PermanentError
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval
from agentapp.models.workflow import RISKS
from agentapp.policies import sentences, storable
from agentapp.policies.content import canonical_sha256
from agentapp.states import ApprovalState

Json = dict[str, Any]
LONGEST_KEY = 100
LONGEST_SUMMARY = 300
MOST_WAIT_S = 365 * 86_400
# Of one job. A body that asks something else at each run would go on without an end: none of its attempts counts.
MOST_QUESTIONS = 1_000


@dataclass(frozen=True)
class Question:
    """What a body asks; see JobContext.ask."""

    key: str
    content: Json
    summary: str
    risk: str | None
    sources: Sequence[Json]
    evaluation: Json | None
    expires_in_s: float | None


@dataclass(frozen=True)
class Answer:
    """What was approved. `content` are the bytes that a person has approved, perhaps after an edit, and `sha256` their
    hash; `reason` is what was said."""

    approval_id: UUID
    content: Json
    sha256: str
    reason: str


def answer(job: Claimed, question: Question) -> Answer:
    """Return what was approved of exactly this question.

    Raises:
        AsksPerson: it is not decided yet, or what stands there is no longer what was approved.
        NotApproved: it was rejected, or nobody decided in time.
        PermanentError: it cannot be asked so, or the job has asked too often.
    """
    asked = _asked(job, question)
    rows = Approval.objects.filter(
        job_id=job.id, tenant_id=job.tenant_id, ask_key=asked["key"], asked_sha256=asked["content_sha256"]
    )
    found = rows.order_by("-pk").first()
    if found is not None and found.state == ApprovalState.APPROVED:
        sha256 = canonical_sha256(found.content)
        if sha256 == found.approved_sha256:
            return Answer(found.pk, found.content, sha256, found.reason)
    if found is not None and _is_refused(found, job):
        raise NotApproved(
            f"{job.type} asked a person ({asked['key']}): {found.state}. "
            f"{found.reason or 'No reason was given.'}",
            decision=found.state, reason=found.reason, approval_id=found.pk,
        )  # fmt: skip
    if Approval.objects.filter(job_id=job.id).count() >= MOST_QUESTIONS:
        raise PermanentError(
            f"{job.type} has asked a person {MOST_QUESTIONS} times. Build what it asks from its payload, or else "
            "each run asks anew."
        )
    raise AsksPerson(f"{job.type} asks a person: {asked['key']}", question=asked)


def _is_refused(found: Approval, job: Claimed) -> bool:
    """A no stands. What nobody has decided in time is asked again where a person has replayed the job since."""
    if found.state == ApprovalState.EXPIRED:
        return found.asked_replay == job.replay
    return found.state == ApprovalState.REJECTED


def _asked(job: Claimed, question: Question) -> Json:
    """The question as it is kept. Raises PermanentError."""
    problem = _problem(question)
    if problem:
        raise PermanentError(f"{job.type}: {problem}")
    content = redaction.redacted_json(question.content)
    return {
        "key": question.key, "content": content, "content_sha256": canonical_sha256(content),
        "summary": storable.text(question.summary, most=LONGEST_SUMMARY), "risk": question.risk,
        **redaction.redacted_json({"sources": list(question.sources), "evaluation": question.evaluation}),
        "expires_in_s": question.expires_in_s,
    }  # fmt: skip


def _problem(question: Any) -> str:
    """Why a person cannot be asked this; empty where one can."""
    if not isinstance(question.key, str) or not 1 <= len(question.key) <= LONGEST_KEY:
        return f"ctx.ask needs a key of 1 to {LONGEST_KEY} characters."
    if not isinstance(question.content, dict) or not question.content:
        return "ctx.ask needs a content: an object with what the person approves."
    if any(not isinstance(name, str) for name in question.content):
        return "ctx.ask needs a content whose names are texts."
    if not isinstance(question.summary, str):
        return "The summary must be a text."
    if not all(isinstance(source, dict) for source in question.sources):
        return "sources must be a list of objects."
    if question.evaluation is not None and not isinstance(question.evaluation, dict):
        return "The evaluation must be an object."
    if question.risk is not None and question.risk not in list(dict(RISKS)):
        return f"The risk {question.risk!r} is none of {', '.join(dict(RISKS))}."
    wait_s = 1 if question.expires_in_s is None else question.expires_in_s
    if not isinstance(wait_s, int | float) or not 1 <= wait_s <= MOST_WAIT_S:
        return f"expires_in_s must be a number from 1 to {MOST_WAIT_S}."
    kept = {"content": question.content, "sources": list(question.sources), "evaluation": question.evaluation}
    try:
        json.dumps(kept, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        return f"what it asks is not JSON: {error}"
    if found := sentences.entries(storable.problems(kept | {"key": question.key})):
        return f"What it asks cannot be stored. {sentences.detail(found)}"
    if (size := storable.json_bytes(kept)) > conf.max_output_bytes():
        return (
            f"it asks about {size} bytes; at most {conf.max_output_bytes()} may be (AGENTAPP_MAX_OUTPUT_BYTES). "
            "Ask about long content by its artifact and hash."
        )
    return _calls_problem(question.content)


def _calls_problem(content: Json) -> str:
    calls = content.get("calls")
    if "calls" in content and not (isinstance(calls, list) and calls and all(_is_call(call) for call in calls)):
        return 'calls must be a list of {"tool": a name, "arguments": an object}.'
    return ""


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and isinstance(call.get("tool"), str) and isinstance(call.get("arguments"), dict)
