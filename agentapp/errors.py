"""What can go wrong, as classes that say what happens next."""

from __future__ import annotations

from typing import Any
from uuid import UUID


class AgentappError(Exception):
    """Root of every error that agentapp raises on purpose."""


class TransientError(AgentappError):
    """It may work next time: the retry policy decides when.

    `retry_after_s` is what the other side asked for, in seconds, or None.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(TransientError):
    """A provider answered 429."""


class InvalidModelOutput(TransientError):
    """The model answered with something that is not what the schema asks for."""


class DatabaseBusy(TransientError):
    """Postgres answered, and gave up: a lock was not free in time, or the statement took too long."""


class TimedOut(TransientError):
    """A body did not come back within its timeout."""


class PermanentError(AgentappError):
    """Trying again cannot help: the job becomes a dead letter."""


class ModelRefused(PermanentError):
    """The provider refused the request itself (a 4xx that is not about load)."""


class PromptTooLong(ModelRefused):
    """The model cannot read so much at once: a conversation is summarized and told again."""


class QuotaExhausted(ModelRefused):
    """The account at the model provider has no money or quota left: the gate of the model is paused with it."""


class InvalidPayload(PermanentError):
    """A payload does not fit the signature of its job type."""


class InvalidPlan(PermanentError):
    """A workflow kind is not what it must be: an unknown stage, a binding that leads nowhere."""


class PermissionDenied(AgentappError):
    """The principal, the tenant or the worker may not do this. Never retried."""


class PolicyBlocked(PermanentError):
    """A rule of the platform forbids it."""


class BudgetUsedUp(PermanentError):
    """The budget that a body gave to its model client does not allow another call.

    `content` is what a person is asked, where the plan has a decision about it.
    """

    def __init__(self, message: str, *, content: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.content = content


class ToolFailed(PermanentError):
    """A tool cannot do what it was asked to: the model is told so, and goes on. A tool that writes has not written."""


class NotSent(AgentappError):
    """A call to the outside has certainly changed nothing there, so its effect may be begun again.

    Raise one of its two kinds, and only with proof. Whatever else a call raises leaves its effect in doubt.
    """


class NotSentYet(NotSent, TransientError):
    """Nothing was sent, and it may work next time."""


class CannotBeSent(NotSent, PermanentError):
    """Nothing was sent, and sending the same again cannot help."""


class LostLease(AgentappError):
    """Another worker owns the job now: throw the result away."""


class Cancelled(AgentappError):
    """The task was cancelled while the body ran: stop, what was saved stays. A body lets it pass."""


class HandedBack(AgentappError):
    """The worker ends: another one goes on from the checkpoint, in the same attempt. A body lets it pass."""


class ContentChanged(AgentappError):
    """What would be sent is not what was approved: the approval is opened again.

    `content` is what stands there now and `sha256` its hash: the new question to a person.
    """

    def __init__(self, message: str, *, approval_id: UUID, content: dict[str, Any], sha256: str) -> None:
        super().__init__(message)
        self.approval_id = approval_id
        self.content = content
        self.sha256 = sha256


class AsksPerson(AgentappError):
    """A job asks a person, and waits without a worker and without an attempt that counts. A body lets it pass.

    `question` is what `lifecycle.ask_person` takes.
    """

    def __init__(self, message: str, *, question: dict[str, Any]) -> None:
        super().__init__(message)
        self.question = question


class NotApproved(PermanentError):
    """A person has rejected what a job asked, or nobody decided in time. A body may catch it and go on without.

    `decision` is "rejected" or "expired", and `reason` what was said.
    """

    def __init__(self, message: str, *, decision: str, reason: str, approval_id: UUID) -> None:
        super().__init__(message)
        self.decision = decision
        self.reason = reason
        self.approval_id = approval_id


class EffectUnknown(PermanentError):
    """An effect may or may not have happened and its provider cannot be asked: a person decides.

    `effect_id` is set by the ledger; another job of the same line of forks may have begun it.
    """

    effect_id: UUID | None = None


class IllegalMove(AgentappError):
    """The record is no longer in a state that allows this move; nothing was changed."""


class AskedBefore(AgentappError):
    """A request with this name was made already, and made this task."""

    def __init__(self, workflow_id: UUID) -> None:
        super().__init__(f"This request has made the task {workflow_id}.")
        self.workflow_id = workflow_id


class BeingAsked(AgentappError):
    """A request with this name is being made at this moment; send it again in a moment to learn what it made."""


class KeyUsedOtherwise(AgentappError):
    """The name of a request stands for another request."""


class NotFound(AgentappError):
    """No such record for this tenant."""


class ContentMissing(AgentappError):
    """A record is there, and what it names in the store of files is not."""


class InvalidInput(AgentappError):
    """A client's input cannot be accepted.

    `errors` is a list of {"field": dotted path, "message": sentence}.
    """

    def __init__(self, message: str, *, errors: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.errors = errors or []

    @classmethod
    def at(cls, field: str, sentence: str) -> InvalidInput:
        """Return the error of one field."""
        return cls(sentence, errors=[{"field": field, "message": sentence}])


class Overloaded(AgentappError):
    """Too many tasks wait already: one more is accepted in about `retry_after_s` seconds. Nothing was stored.

    `most` tasks of the tenant may wait, and `left` of them still may.
    """

    def __init__(self, message: str, *, retry_after_s: int, most: int, left: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.most = most
        self.left = left


class Unavailable(AgentappError):
    """A store that we need does not answer; try again after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ReceiverBusy(Unavailable):
    """As many requests as may go to one receiver are under way: this job waits, without an attempt that counts."""


class DayUsedUp(Unavailable):
    """The budget of a tenant's day is used or reserved: this job waits, without an attempt that counts."""


class TaskIsOpen(Unavailable):
    """A job waits for the end of a task that it runs, without an attempt that counts."""


class BeingSent(Unavailable):
    """Another job sends the same effect now, or an earlier send may still arrive: this job waits until it is known what
    becomes of that.
    """

    effect_id: UUID | None = None
