"""What a body may use: its job's identity, the model, artifacts, prompts, effects."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from agentapp import conf, redaction
from agentapp.errors import AsksPerson, BudgetUsedUp, Cancelled, HandedBack, LostLease, PermanentError, PermissionDenied
from agentapp.lifecycle import checkpoint, database
from agentapp.lifecycle.opened import Claimed
from agentapp.policies import facts, storable
from agentapp.policies.budgets import Spent
from agentapp.runtime import (
    approved,
    asked_budget,
    asking,
    earlier,
    effects,
    grants,
    prompts,
    server_tools,
    spending,
)
from agentapp.runtime.approved import ApprovedContent
from agentapp.runtime.artifacts import Artifacts
from agentapp.runtime.asking import Answer
from agentapp.runtime.earlier import Conversation, EarlierStage
from agentapp.runtime.heartbeat import Held
from agentapp.runtime.model import Model
from agentapp.runtime.other_tasks import OtherTasks
from agentapp.runtime.patience import BodyPatience
from agentapp.runtime.process import this
from agentapp.runtime.prompts import Prompt
from agentapp.runtime.usage import AttemptUsage
from agentapp.tools.registry import Tool

Json = dict[str, Any]


class JobContext(OtherTasks):
    """Handed to every body. It computes and returns; only the runtime moves states."""

    def __init__(self, job: Claimed) -> None:
        self._job = job
        self._started = time.monotonic()
        self.usage = AttemptUsage()
        self._patience = BodyPatience(left_s=self.deadline_s, check=self.check)
        # What the heartbeat knows of this job; None outside of an attempt.
        self.held: Held | None = None

    @property
    def job_id(self) -> UUID:
        return self._job.id

    @property
    def workflow_id(self) -> UUID:
        return self._job.workflow_id

    @property
    def root_id(self) -> UUID:
        """The first task of a line of forks, for keys of effects: a fork must not do again what its origin did."""
        return self._job.root_id

    @property
    def tenant_id(self) -> int:
        return self._job.tenant_id

    @property
    def attempt(self) -> int:
        """1 is the first run."""
        return self._job.attempt

    @property
    def is_last_attempt(self) -> bool:
        """A failure of this one makes a dead letter."""
        return self._job.attempt >= self._job.max_attempts

    @property
    def queue(self) -> str:
        """The worker class that runs it."""
        return self._job.queue

    def deadline_s(self) -> float:
        """Seconds that are left of the job's timeout, at least a tenth."""
        return max(0.1, self._job.timeout_s - (time.monotonic() - self._started))

    @property
    def saved(self) -> Json | None:
        """What an earlier attempt gave to `checkpoint`, or None."""
        return self._job.checkpoint

    def checkpoint(self, state: Json) -> None:
        """Keep how far the body has come, in one commit; the next attempt finds it in `saved`.

        Raises:
            HandedBack: the worker ends; another one goes on from here, in the same attempt.
            Cancelled, LostLease: as `check`.
            PermanentError: it is too large to be kept with the job.
        """
        if (size_bytes := storable.json_bytes(state)) > conf.max_output_bytes():
            raise PermanentError(
                f"{self._job.type}: a checkpoint of {size_bytes} bytes; at most {conf.max_output_bytes()} may be "
                "(AGENTAPP_MAX_OUTPUT_BYTES). Keep long state as an artifact."
            )
        kept = redaction.redacted_json(state)
        self._patience(lambda: checkpoint.save(self._job, kept))
        if this.draining:
            raise HandedBack(f"{self._job.type} {self._job.id}: this worker ends.")
        self.check()

    def check(self) -> None:
        """Stop here if the job is no longer this attempt's. Costs nothing: call it within long loops.

        Raises:
            Cancelled: the task was cancelled.
            LostLease: another worker owns the job.
        """
        gone = self.held.gone if self.held else ""
        if gone == "cancelled":
            raise Cancelled(f"{self._job.type} {self._job.id}: its task was cancelled.")
        if gone:
            raise LostLease(f"{self._job.type} {self._job.id}: attempt {self._job.attempt} no longer owns it ({gone}).")

    @cached_property
    def model(self) -> Model:
        return Model(self._job, self.usage, self.deadline_s, self.check, self._patience)

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts(self._job, self._patience)

    def earlier(self, *names: str, most: int | None = None) -> list[EarlierStage]:
        """Return the closed stages of these names before this one, oldest first, with what their jobs have stored."""
        return self._patience(lambda: earlier.read(self._job, names, most=most))

    def is_planned(self, name: str) -> bool:
        """Whether the plan of the task has a stage of this name."""
        return self._patience(lambda: earlier.is_planned(self._job, name))

    def is_interrupted_by_messages(self) -> bool:
        """Whether what is said to the task comes before what it was about to do."""
        return self._patience(lambda: earlier.is_interrupted_by_messages(self._job))

    def sent(self) -> Json:
        """Return the input of the task, as its client sent it; a body reads its own parameters where it can."""
        return self._patience(lambda: earlier.sent(self._job))

    def customer(self) -> str:
        """Return whom the task is about, as facts name them: the `customer_email` of its input. Empty where it names
        nobody."""
        return facts.about(str(self.sent().get("customer_email") or ""))

    def conversation(self, *names: str) -> Conversation:
        """Return the same of all tasks of this conversation, and what clients have said to them."""
        return self._patience(lambda: earlier.conversation(self._job, names))

    def spent(self, *, turns: int) -> Spent:
        """Return what this task has spent so far; `turns` is for the caller to count."""
        return self._patience(lambda: spending.of_run(self._job, turns=turns))

    def granted(self) -> Collection[str]:
        """Return the scopes that the key or the person behind the task holds now.

        Raises:
            PermissionDenied: the person is no longer a member of the tenant.
        """
        return self._patience(lambda: grants.scopes_of(self._job))

    def server_tools(self, names: Sequence[str] | None) -> list[Tool]:
        """Return the tools of the tenant's tool servers that this run may be offered: those that are named, or else all
        that only read."""
        return self._patience(lambda: server_tools.of_run(self._job, names))

    def server_tool(self, name: str, *, pin: str) -> Tool | None:
        """Return one as it is now, None where the name is no server's."""
        return self._patience(lambda: server_tools.at_run(self._job, name, pin=pin))

    def require(self, scope: str) -> None:
        """Go on only where the key or the person behind the task holds a scope now. Ask it in the job that reads:
        days may lie between two jobs of a task.

        Raises:
            PermissionDenied: it does not.
        """
        if scope not in self.granted():
            raise PermissionDenied(f"Who asks for this does not hold the scope {scope}.")

    def render(self, template: str, **values: Any) -> Prompt:
        """Fill a prompt template of templates/; nothing is escaped, prompts are not HTML. A call of the model that is
        given the result as it is records which version of the template that was."""
        return prompts.render(template, values)

    def approved(self, approval_id: str) -> ApprovedContent:
        """Return approved content, re-read now.

        Raises:
            ContentChanged: it is not, byte for byte, what was approved; the approval is opened again.
        """
        return self._patience(lambda: approved.read(self._job, approval_id))

    def ask(
        self,
        key: str,
        content: Json,
        *,
        summary: str = "",
        risk: str | None = None,
        sources: Sequence[Json] = (),
        evaluation: Json | None = None,
        expires_in_s: float | None = None,
    ) -> Answer:
        """Ask a person to approve `content` before the body goes on, and return what was approved.

        The first call ends the attempt: the job waits without a worker, a slot or a message, and the attempt does not
        count. Once somebody has decided, the body runs again, and the same call returns. The answer belongs to `key`
        and to exactly these bytes, within this job: the same is never asked twice, and other content is asked anew. So
        build the content from the payload or from a checkpoint, not from a clock or a model's answer that may change.
        Go on with `content` of the answer: a person may have edited it. Secrets in it are masked.

        What `content` holds says what it is: `{"calls": [{"tool", "arguments"}]}` are arguments of tools, `to`,
        `subject` and `body` a mail; anything else is shown as it is. `summary` is the question in a sentence; `risk`
        (low, medium, high) is that of the task by default. Policies say who decides, how many, and by when;
        `expires_in_s` holds where they name no deadline.

        Raises:
            AsksPerson: nobody has decided yet. A body lets it pass.
            NotApproved: a person has rejected it, or nobody decided in time. A job that does not handle that is a dead
                letter.
            PermanentError: the content cannot be shown or kept.
        """
        self._go_on()
        wanted = asking.Question(key, content, summary, risk, tuple(sources), evaluation, expires_in_s)
        try:
            return self._patience(lambda: asking.answer(self._job, wanted))
        except AsksPerson as error:
            # A body that swallows it has asked all the same.
            self._asks = error
            raise

    def effect(
        self,
        key: str,
        call: Callable[[str], Json],
        *,
        type: str,
        request: Any,
        ask: Callable[[str], Json | None] | None = None,
        is_idempotent: bool = False,
        late_s: float = effects.LATE_S,
        ask_restored: Callable[[str], Json | None] | None = None,
    ) -> Json:
        """Do something to the outside world once per (tenant, key), and return the provider's answer.

        `call(effect_id)` does it: it returns the answer, or raises NotSentYet or CannotBeSent with proof that nothing
        was sent. Whatever else it raises leaves the effect in doubt. `ask(effect_id)` tells whether an earlier call has
        arrived, for providers that can be asked. `request` is the JSON that is sent; its hash is kept. While another
        job sends under the same key, or an earlier send may still arrive, this one waits, and its attempt does not
        count. `late_s` is how long after the end of its call, or of the job's timeout, a send may still arrive.
        `is_idempotent`: the provider itself does nothing twice under one effect id, so no send is waited for.
        `ask_restored(effect_id)` tells whether a call has arrived under another id with the same end (from its 15th
        character on): after a backup was restored that lacks it. Without it, a person is asked then.

        Raises:
            EffectUnknown: an earlier call may have arrived and the provider cannot be asked.
            BeingSent: it is being sent, or may still arrive. A body lets it pass.
            AsksPerson: the body has asked a person, and swallowed that.
            LostLease: the job is somebody else's now.
        """
        self._go_on()
        attempt = effects.Attempt(self._job, self.usage, self.held, self._patience)
        provider = effects.Provider(call, ask, is_idempotent, late_s, ask_restored)
        return effects.once(attempt, key, provider, type=type, request=request)

    def decisive(self, error: BaseException | None) -> BaseException | None:
        """Return the error with which the attempt ends, where its body ended with this one, or with none: a framework
        may have swallowed what a model call met, and so may a body that it asks a person."""
        if self._asks is not None:
            return self._asks
        return self.model.decisive(error) if "model" in self.__dict__ else error

    def asks_instead(self, error: BaseException) -> Json | None:
        """Return what the job stores in the place of its result where its plan asks a person about its budget; None:
        the error stands."""
        if not isinstance(error, BudgetUsedUp):
            return None
        asked = self.model.asked_budget
        return self._patience(lambda: asked_budget.question(error, asked, self._job, self.artifacts))

    def close(self) -> None:
        """The attempt is over: what its gates were charged in advance and no model call has used is given back."""
        if self._job.tokens:
            self.model.give_back()

    def release(self) -> None:
        """Give the database connection back before something slow. The model does it by itself."""
        database.release()
