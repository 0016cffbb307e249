"""Which model an attempt asks: the chosen one, and its fallback from the first call on that it cannot answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from agentapp import conf
from agentapp.errors import AgentappError, TransientError
from agentapp.lifecycle import switch_model
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.switch_model import Passed
from agentapp.observability import events
from agentapp.policies import model_choices
from agentapp.policies.model_choices import AskedModel
from agentapp.runtime.patience import BodyPatience


class ChosenModel:
    """`asked` is the model that is called now; `fallback_of` the name of the one in whose place, or empty.

    A claim takes the fallback at once where it finds that the first model is out.
    """

    def __init__(self, job: Claimed, deadline_s: Callable[[], float], patience: BodyPatience) -> None:
        self._job = job
        self._deadline_s = deadline_s
        self._patience = patience
        settings = AskedModel(conf.model_name(), job.model or conf.model_name())
        choice = model_choices.of_row(job.choice, otherwise=settings)
        self.asked = choice.first
        self.fallback_of = ""
        self.parameters: dict[str, Any] = choice.parameters
        self._fallback = choice.fallback
        if self._fallback is not None and job.model == self._fallback.limit_name:
            self._become(self._fallback)
        # Empty: no gate of a model was passed, as by a tool. A claim whose answer was lost is told the choice anew, and
        # that one may have changed.
        self._counted_as = job.model

    @property
    def key(self) -> str:
        """The key of the gate that counts this job."""
        return f"model:{self._counted_as}"

    @property
    def is_counted(self) -> bool:
        """Whether that is the gate of the model that is called."""
        return self._counted_as == self.asked.limit_name

    def is_counted_as(self, limit_name: str) -> bool:
        """Whether the gate that counts this job is that of this model."""
        return self._counted_as == limit_name

    def be_counted(self, limit_name: str = "") -> Passed:
        """Pass the gate of the model that is called, by default of the chosen one.

        Raises:
            Cancelled, LostLease: the job is no longer this attempt's.
            TransientError: the gate is closed.
        """
        name = limit_name or self.asked.limit_name
        passed = self._patience(lambda: switch_model.switch(self._job, name))
        if passed is None:
            raise TransientError(f"the gate of the model {name} is closed now")
        self._counted_as = name
        return passed

    def may_answer(self) -> list[AskedModel]:
        """The models of which one answers the next call."""
        return [self.asked, *([self._fallback] if self._fallback else [])]

    def most_told(self, *, answer_tokens: int) -> int:
        """How many tokens a prompt may have beside such an answer; 0: nobody has said."""
        windows = [asked.context_tokens for asked in self.may_answer()]
        return model_choices.most_told(windows, answer_tokens=answer_tokens, otherwise=conf.compact_at_tokens())

    def timeout_s(self) -> float:
        """How long a call may take. As long as there is a fallback, that one keeps a third of the time that is left."""
        left_s = self._deadline_s()
        return min(conf.model_timeout_s(), left_s if self._fallback is None else left_s * 2 / 3)

    def fall_back(self, error: AgentappError) -> Passed | None:
        """Go on with the fallback, if there is one, its gate lets it pass and that may help.

        None: the error stands. The rest of the attempt stays with the fallback.

        Raises:
            Cancelled, LostLease: the job is no longer this attempt's.
        """
        fallback = self._fallback
        if fallback is None or not model_choices.another_may_answer(error):
            return None
        if self._deadline_s() < model_choices.LEAST_LEFT_S:
            return None
        passed = self._patience(lambda: switch_model.switch(self._job, fallback.limit_name))
        events.emit(
            "model.fallback", level=logging.WARNING, job=self._job.id, job_type=self._job.type,
            model=self.asked.limit_name, fallback=fallback.limit_name, is_asked=passed is not None, error=error,
        )  # fmt: skip
        if passed is not None:
            self._become(fallback)
            self._counted_as = fallback.limit_name
        return passed

    def _become(self, fallback: AskedModel) -> None:
        self.fallback_of, self.asked, self._fallback = self.asked.model, fallback, None
