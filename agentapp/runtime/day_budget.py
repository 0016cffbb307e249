"""What the models of a tenant may use in a day: reserved before each call, settled with its record. [C5]"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from agentapp.errors import DayUsedUp, PermanentError
from agentapp.ids import uuid7
from agentapp.lifecycle import gates, spending
from agentapp.lifecycle.opened import Claimed
from agentapp.llm.answers import Message, OfferedTool
from agentapp.models import ModelCall
from agentapp.policies import budgets
from agentapp.runtime.patience import BodyPatience
from agentapp.states import KeyMode

# A gate that is closed parks the job at its next claim. Others' calls are over soon, or their processes are dead.
RETRY_AFTER_S, LONGEST_RETRY_AFTER_S = 2, 30


class DayBudget:
    """The budget of the tenant of one job; it says nothing where there is none."""

    def __init__(self, job: Claimed, deadline_s: Callable[[], float], patience: BodyPatience) -> None:
        self.holds = job.budgeted
        self._job = job
        self._deadline_s = deadline_s
        self._patience = patience

    def reserve(self, model: str, *, tokens: int, cost_usd: Decimal | None) -> UUID:
        """Reserve what a call may use at most; return the id under which it is to be recorded. `cost_usd` None: its
        price is not known.

        Raises:
            DayUsedUp: it does not fit, or the budget is one of money and the price is not known (its gate is then
                paused); the job waits, without an attempt that counts.
            PermanentError: it fits into no day.
            Cancelled, LostLease: the job is no longer this attempt's.
        """
        call = uuid7()
        if not self.holds:
            return call
        told = self._patience(
            lambda: spending.reserve(
                self._job.tenant_id, call, tokens=tokens, cost_usd=cost_usd, seconds=self._deadline_s()
            )
        )
        if told.status is spending.Status.TOO_LARGE:
            raise PermanentError(
                f"This call may use {tokens} tokens or {_usd(cost_usd)}, which is more than the budget of a whole day "
                "allows. Raise the budget, or give the call a smaller max_tokens or a shorter prompt."
            )
        if told.status is spending.Status.UNPRICED:
            raise self._unpriced(model)
        if told.status is spending.Status.USED_UP:
            raise DayUsedUp(
                f"the budget of the tenant's day is used up: {told.tokens} tokens and {told.cost_usd:f} US dollars are "
                f"used, and the next call may take {tokens} tokens. Its jobs continue tomorrow (UTC), or when the "
                "budget is raised",
                retry_after_s=RETRY_AFTER_S,
            )
        if told.status is spending.Status.WAIT:
            raise DayUsedUp(
                "calls that are under way have reserved the rest of the budget of the tenant's day",
                retry_after_s=round(min(LONGEST_RETRY_AFTER_S, max(RETRY_AFTER_S, told.wait_s / 10))),
            )
        return call

    def record(self, call: ModelCall, *, is_known: bool = True) -> None:
        """Keep a call, with what it has used of the day; not `is_known`: it was answered, and nobody knows at what
        cost."""
        self._patience(lambda: spending.record(call, is_reserved=self.holds, is_known=is_known))

    def give_back(self, call: UUID) -> None:
        """A call was not made."""
        if self.holds:
            self._patience(lambda: spending.settle(call, tokens=0, cost_usd=Decimal(0)))

    def _unpriced(self, model: str) -> DayUsedUp:
        key = f"budget:{self._job.tenant_id}"
        reason = (
            f"the price of the model {model} is not known, so a budget of money cannot be kept: set tokens_per_day "
            "instead, or choose another model, and resume"
        )
        self._patience(lambda: gates.set_mode(key, KeyMode.PAUSED, actor="budget", reason=reason))
        return DayUsedUp(reason, retry_after_s=RETRY_AFTER_S)


def prompt_tokens(messages: Sequence[Message], tools: Sequence[OfferedTool] = (), schema: Any = None) -> int:
    """Estimate from above what a model is told."""
    texts = [message.content for message in messages]
    texts += [f"{call.name}{call.arguments}" for message in messages for call in message.calls]
    texts += [f"{tool.name}{tool.description}{json.dumps(tool.parameters)}" for tool in tools]
    return budgets.tokens_of([*texts, *([json.dumps(schema)] if schema else [])])


def _usd(cost: Decimal | None) -> str:
    return "an unknown sum" if cost is None else f"{cost:f} US dollars"
