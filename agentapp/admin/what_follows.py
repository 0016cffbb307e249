"""What happens after each decision, in words: which stage follows, what is sent to whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from agentapp import registry
from agentapp.models import Approval, Stage
from agentapp.services import approvals, deciders
from agentapp.states import StageKind

# Of a long plan the next stages are named, the others counted.
MOST_NAMED = 4


@dataclass(frozen=True)
class Follows:
    """A sentence for each decision; empty where the plan does not allow it."""

    approve: str
    request_changes: str
    reject: str


def of(approval: Approval, content: dict[str, Any]) -> Follows:
    """`content` is what would be approved: that of an edit is another one than was shown."""
    if approval.job_id is not None:
        return _of_job(approval)
    spec = approval.stage.spec
    # Those that a later round has replaced are behind this one.
    stages = list(
        Stage.objects.filter(workflow_id=approval.workflow_id, position__gt=approval.stage.position).order_by(
            "position"
        )
    )
    told = _told(approval)
    back_to = spec.get("back_to")
    again = f"Nothing is sent. {back_to} runs again with your remark, and you are asked about the new text."
    if spec.get("on_reject") == "continue":
        rejected = f"Nothing of this is done. The task goes on with {_names(stages)}, which is told why."
    else:
        rejected = f"Nothing is sent. The task ends with the outcome rejected{told}."
    return Follows(_approved(approval, content, stages, told), again if back_to else "", rejected)


def _of_job(approval: Approval) -> Follows:
    """What the job does that has asked; its body says more of it in the summary."""
    job_type = approval.job.type if approval.job else "The job"
    held = f" in {hold_s:g} s, unless it is withdrawn" if (hold_s := approvals.hold_s(approval)) else ""
    return Follows(
        f"{_others(approval)}{job_type} goes on with exactly this content{held}.",
        "",
        f"{job_type} is told so, and does not go on with this content. If it has no other way, it is a dead letter.",
    )


def _approved(approval: Approval, content: dict[str, Any], stages: list[Stage], told: str) -> str:
    if content.get("budget"):
        does = "The task goes on, with the budget that is shown."
    elif content.get("calls"):
        does = "The tools are called with exactly these arguments."
    elif (sender := _sender(stages)) and content.get("to"):
        held = f" It is sent in {hold_s:g} s unless withdrawn." if (hold_s := approvals.hold_s(approval)) else ""
        does = f"{sender.name} sends exactly this text to {content['to']}, once.{held}"
    else:
        does = "The task goes on with exactly this content."
    does = f"{_others(approval)}{does}"
    if len(stages) <= 1:
        return f"{does} Then the task ends{told}."
    return f"{does} The next stages: {_names(stages)}."


def _others(approval: Approval) -> str:
    others = deciders.votes_missing(approval) - 1
    return f"{others} more {'person' if others == 1 else 'people'} must approve it too. Then: " if others > 0 else ""


def _sender(stages: list[Stage]) -> Stage | None:
    return next((stage for stage in stages if _sends(stage)), None)


def _sends(stage: Stage) -> bool:
    known = registry.job_types.get(stage.job_type)
    return known is not None and any(scope.endswith(":send") for scope in known.scopes)


def _names(stages: list[Stage]) -> str:
    if not stages:
        return "the end of the task"
    named = [f"{stage.name}, where a person decides again" if stage.kind == StageKind.DECISION else stage.name
             for stage in stages[:MOST_NAMED]]  # fmt: skip
    more = len(stages) - len(named)
    return ", then ".join(named) + (f", and {more} more" if more else "")


def _told(approval: Approval) -> str:
    """Who is told by the task itself. Its host alone: an address may hold a secret."""
    host = urlsplit(approval.workflow.callback_url).hostname if approval.workflow.callback_url else ""
    return f", and {host} is told" if host else ""
