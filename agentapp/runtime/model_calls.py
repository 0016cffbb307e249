"""What is told of each call of a model in an attempt: to the gates, to the usage, and as a record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from agentapp import clock
from agentapp.errors import AgentappError, QuotaExhausted, TransientError
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.switch_model import Passed
from agentapp.models import ModelCall
from agentapp.policies import storable
from agentapp.runtime import meters
from agentapp.runtime.day_budget import DayBudget
from agentapp.runtime.usage import AttemptUsage


class ModelCalls:
    """Of one attempt. A gate charges a job in advance; the first call behind it uses that up."""

    def __init__(self, job: Claimed, usage: AttemptUsage, day: DayBudget) -> None:
        self._job = job
        self._usage = usage
        self._day = day
        # Where no gate of a model was passed, none was charged.
        self.charged, self._count = job.tokens if job.model else 0, 0

    def begin(self, passed: Passed) -> None:
        """The gate of another model was passed."""
        self.charged, self._count = passed.tokens, 0
        self._day.holds = self._day.holds or passed.is_budgeted

    def failed(self, key: str, error: AgentappError) -> AgentappError:
        """Tell the gates of a call that failed; return the error as which its job hears of it."""
        meters.failed(key, error, job_type=self._job.type, **self._charge(0))
        if isinstance(error, QuotaExhausted) and not meters.pause(key, error):
            # Another job has told a person already: this one waits at the gate with all others.
            return TransientError(storable.message(error))
        return error

    def answered(self, key: str, *, used: int, cost_usd: Any, is_priced: bool, closed_s: float | None = None) -> None:
        """Tell the gates and the usage of a call that was answered."""
        meters.report(key, "ok", job_type=self._job.type, used=used, closed_s=closed_s, **self._charge(used))
        self._usage.spent(tokens=used, cost_usd=cost_usd, is_priced=is_priced)

    def give_back(self, key: str) -> None:
        """Return what a gate has charged in advance, if no call has used it."""
        if self.charged:
            meters.report(key, "refused", job_type=self._job.type, **self._charge(0))

    def record(self, started: datetime, *, model: str, error: str = "", is_known: bool = True, **more: Any) -> None:
        """Keep a call; `more` are fields of ModelCall. `is_known`: what it has used."""
        call = ModelCall(
            tenant_id=self._job.tenant_id, workflow_id=self._job.workflow_id, job_id=self._job.id,
            attempt=self._job.attempt, model=storable.text(model, most=100), error_class=error, started_at=started,
            latency_s=(clock.now() - started).total_seconds(), **more,
        )  # fmt: skip
        # It was paid for: a database that is away for a while must not cost it once more.
        self._day.record(call, is_known=is_known)

    def _charge(self, used: int) -> dict[str, int]:
        """What a call used beyond what was charged in advance: tokens, and every request after the first."""
        charged, self.charged = self.charged, 0
        self._count += 1
        return {"tokens": used - charged, "requests": int(self._count > 1)}
