"""What usually causes a failure, and what helps: for the person who looks at a dead letter. [F3]

A class that we raise or name ourselves has words of its own; others are told by what `faults` says of them, and what
nobody has classified by the kind that its record carries.
"""

from __future__ import annotations

from dataclasses import dataclass

from agentapp import errors
from agentapp.policies import faults
from agentapp.policies.classify import ErrorKind
from agentapp.policies.faults import Fault


@dataclass(frozen=True)
class Hint:
    """Two sentences: what is the usual cause, and what to do."""

    cause: str
    remedy: str


_WAIT = "Wait until it answers again, then replay."
_BY_CLASS = {
    "BudgetUsedUp": Hint("The job used up the budget of model calls that it had.", "Raise the budget, then replay."),
    "CannotBeSent": Hint(
        "The receiver or the mail server refused this for good, and nothing was sent.",
        "Check the recipient and the content. Edit the payload, or replay from the stage that wrote it.",
    ),
    "CleanUpFailed": Hint("The clean-up of a cancelled job failed for a day.", "Look at the log, then cancel."),
    "ContentChanged": Hint(
        "What would be sent is not what was approved.", "Replay from the stage that asks for the approval."
    ),
    "ContentMissing": Hint("A file that the job needs is not in the store.", "Restore the file, then replay."),
    "CustomerHasReplied": Hint("The customer replied before the follow-up was sent.", "Cancel the task."),
    "EffectUnknown": Hint(
        "The connection broke while it was sent, and the provider cannot be asked.",
        "Find out whether it arrived, and say which of the two holds.",
    ),
    "EmbeddingsNotConfigured": Hint("No embedding model is set up.", "Set one up, then replay."),
    "InvalidModelOutput": Hint(
        "The model's answers did not fit the schema that the job asks for, in every attempt.",
        "Choose another model for this job type, or replay: the next answer may fit.",
    ),
    "InvalidPayload": Hint(
        "The payload does not fit the parameters of this job type, often after a release changed them.",
        "Edit the payload and replay, or replay from an earlier stage.",
    ),
    "InvalidPlan": Hint(
        "The job type or workflow kind is not known to this release.",
        "Deploy the release that has it, then replay.",
    ),
    "ModelRefused": Hint(
        "The model provider refused the request: a parameter that the model does not take, or its content.",
        "Read the message. Choose another model, or edit the payload, then replay.",
    ),
    "NotApproved": Hint(
        "A person rejected what the job asked, or nobody decided in time.",
        "Read what was said. Edit the payload and replay: what differs is asked anew. Or finish it by hand.",
    ),
    "NotClaimed": Hint(
        "No worker took the job, although it was published again and again.",
        "See that workers of its queue run, then replay.",
    ),
    "NotDelivered": Hint(
        "The endpoint did not accept the webhook.", "See that the receiver answers with 2xx, then replay."
    ),
    "OutputNotUsable": Hint(
        "The job returned something that its next stage cannot use.",
        "Fix the job type and replay, or finish it by hand with an output that fits.",
    ),
    "PermissionDenied": Hint(
        "A key was revoked or has expired, the tenant is suspended, or the worker may not do this.",
        "Restore the permission, then replay. Otherwise cancel.",
    ),
    "PolicyBlocked": Hint("A rule of the platform forbids it.", "Edit the payload so that it is allowed, or cancel."),
    "PromptTooLong": Hint(
        "The prompt has more tokens than the model can be told.",
        "Choose a model with a larger context for this job type, or shorten the payload, then replay.",
    ),
    "QuotaExhausted": Hint(
        "The account at the model provider has no money or quota left.",
        "Pay or raise the quota, resume the key of the model under Limits, then replay.",
    ),
    "RateLimited": Hint(
        "The model provider allowed no more requests in every attempt.",
        "Lower the gate of the model or wait, then replay.",
    ),
    "StageNotOpened": Hint(
        "The next stage could not be made from what the earlier ones returned.",
        "Replay from an earlier stage, or cancel.",
    ),
    "TimedOut": Hint(
        "The job did not end within its timeout, in every attempt.",
        "See whether the service that it calls is slow. Make its work smaller, or replay.",
    ),
    "ToolFailed": Hint("The tool refused what it was asked to do.", "Read the message, edit the payload, then replay."),
    "Unrecordable": Hint("The failure itself could not be stored.", "Look at the worker's log, then replay."),
    "WorkerLost": Hint(
        "The worker ended before the job did, again and again: often out of memory, or killed during a deploy.",
        "Look at the worker's log and memory. Replay, or edit a payload that is too large.",
    ),
}  # fmt: skip
_BY_FAULT = {
    Fault.OUTAGE: Hint("A store or service did not answer, or could not write, in every attempt.", _WAIT),
    Fault.CONTENTION: Hint("Transactions met each other in every attempt.", "Replay."),
    Fault.LIMIT: Hint("A service outside failed, was slow or was overloaded in every attempt.", _WAIT),
}
_BY_KIND = {
    ErrorKind.TRANSIENT: _BY_FAULT[Fault.LIMIT],
    ErrorKind.PERMISSION: _BY_CLASS["PermissionDenied"],
    ErrorKind.CONTENT_CHANGED: _BY_CLASS["ContentChanged"],
}
_OF_NOTHING_KNOWN = Hint(
    "A bug of this job type, or a payload that it does not expect.",
    "Read the trace. Deploy a fix or edit the payload, then replay.",
)


def of(error_class: str, kind: str = "") -> Hint:
    """Say what usually causes an error of this class, by its name, and what to do about it."""
    if known := _BY_CLASS.get(error_class):
        return known
    if (fault := _fault(error_class)) in _BY_FAULT:
        return _BY_FAULT[fault]
    found = next((each for each in ErrorKind if each.value == kind), ErrorKind.PERMANENT)
    return _BY_KIND.get(found, _OF_NOTHING_KNOWN)


def _fault(name: str) -> Fault | None:
    """What `faults` says of a class of this name. Records keep the name without its module."""
    ours = getattr(errors, name, None)
    if isinstance(ours, type):
        return next((fault for kind, fault in faults.OURS if issubclass(ours, kind)), None)
    known = (faults.CLASSES | faults.ADDED_CLASSES).items()
    return next((fault for path, fault in known if path.rpartition(".")[2] == name), None)
