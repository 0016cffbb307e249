"""Model calls of an agent framework within a body: asked once, kept, and found again when the job runs again. [C11]

A request is known by what it says. The first with the same words gets the first answer that was kept for them, the
second the second, so a body that asks the same questions again gets the same answers, also of calls that it makes side
by side. What was never asked is asked now.

The first failure that ends the attempt ends all further calls of it, and is what the attempt ends with, whatever the
framework makes of the exception.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable
from functools import cached_property
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

from agentapp import llm
from agentapp.errors import (
    BudgetUsedUp,
    Cancelled,
    HandedBack,
    LostLease,
    ModelRefused,
    QuotaExhausted,
)
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed
from agentapp.llm.relayed import Request
from agentapp.models import ModelCall
from agentapp.observability import events
from agentapp.policies import budgets
from agentapp.runtime import asked_budget, spending
from agentapp.runtime.asked_budget import AskedBudget
from agentapp.runtime.patience import BodyPatience
from agentapp.runtime.process import this

Json = dict[str, Any]


class Asks(Protocol):
    """How the model is asked: the answer as it was kept."""

    def __call__(self, request: Request, *, at_most: int | None, preview: bool) -> Json: ...


class Relay:
    """Of one attempt; all of its clients share it."""

    def __init__(
        self, job: Claimed, ask: Asks, price: budgets.Price, check: Callable[[], None], patience: BodyPatience
    ) -> None:
        self._job = job
        self._ask = ask
        self._price = price
        self._check = check
        self._patience = patience
        # A job is counted once at its gates, so it makes one call at a time.
        self._one_at_a_time = threading.Lock()
        # Records of calls with a kept answer, by the hash of what was asked.
        self._kept: dict[str, deque[UUID]] | None = None
        self._turns = 0
        self.stopped_by: BaseException | None = None

    def answer(self, request: Request, *, budget: Json | None, preview: bool) -> Json:
        """Return the kept answer to a request, or that of the model.

        Raises:
            AgentappError: as `Model.converse`, or the error by which this attempt was stopped before.
            BudgetUsedUp: the budget does not allow the call.
        """
        with self._one_at_a_time, _Noted(self):
            if self.stopped_by is not None:
                raise self.stopped_by
            self._check()
            kept = self._find(request)
            if kept is not None:
                return kept
            if this.draining:
                # All answers so far are kept: another worker goes on from here.
                raise HandedBack(f"{self._job.type} {self._job.id}: this worker ends.")
            at_most = self._within(budget, request) if budget else None
            found = self._ask(request, at_most=at_most, preview=preview)
            self._turns += 1
            return found

    def answer_in_thread(self, request: Request, *, budget: Json | None, preview: bool) -> Json:
        """As `answer`, in a thread that ends without giving its database connection back."""
        try:
            return self.answer(request, budget=budget, preview=preview)
        finally:
            database.leave()

    @cached_property
    def asked_budget(self) -> AskedBudget:
        """What a person was asked about the budget before."""
        return self._patience(lambda: asked_budget.read(self._job))

    def decisive(self, error: BaseException | None) -> BaseException | None:
        """Return the error that the attempt ends with, where its body ended with this one, or with none."""
        if isinstance(error, Cancelled | LostLease | SystemExit | KeyboardInterrupt):
            return error
        if self.stopped_by is not None:
            return self.stopped_by
        return error and (llm.framework_clients().error_behind(error) or error)

    def _find(self, request: Request) -> Json | None:
        if self._kept is None:
            self._kept = self._patience(self._read)
            self._turns = sum(len(answers) for answers in self._kept.values())
        if answers := self._kept.get(request.sha256):
            return self._patience(ModelCall.objects.values_list("answer", flat=True).filter(pk=answers.popleft()).get)
        if unused := sum(len(answers) for answers in self._kept.values()):
            events.emit(
                "model.asked_otherwise", job=self._job.id, job_type=self._job.type, attempt=self._job.attempt,
                unused=unused,
            )  # fmt: skip
        return None

    def _read(self) -> dict[str, deque[UUID]]:
        jobs = [self._job.id, *self.asked_budget.rounds]
        rows = ModelCall.objects.filter(job_id__in=jobs, answer__isnull=False).order_by("started_at", "id")
        found: dict[str, deque[UUID]] = defaultdict(deque)
        for sha256, id in rows.values_list("request_sha256", "id"):
            found[sha256].append(id)
        return dict(found)

    def _within(self, budget: Json, request: Request) -> int:
        spent = self._patience(lambda: spending.of_run(self._job, turns=self._turns))
        may = budgets.decide(
            budgets.of(budget, self.asked_budget.raised), spent, prompt_tokens=budgets.tokens_of(request.texts),
            max_tokens=request.max_tokens or budgets.DEFAULT_ANSWER_TOKENS, price=self._price,
        )  # fmt: skip
        if isinstance(may, budgets.Ask):
            sentence = f"The budget does not allow another call of the model. {budgets.used_up(may)}"
            raise BudgetUsedUp(sentence, content=may.content)
        return may.max_tokens


class _Noted:
    """Around a call: what stops the attempt is kept, whatever it is, because a framework may swallow it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A refused request is the framework's to handle: it may ask otherwise.
        is_refusal = isinstance(error, ModelRefused) and not isinstance(error, QuotaExhausted)
        if error is not None and not is_refusal and self._relay.stopped_by is None:
            self._relay.stopped_by = error
