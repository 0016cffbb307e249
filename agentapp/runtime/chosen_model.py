"""Which model an attempt asks: the chosen one, and its fallback from the first call on that it cannot answer."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from agentapp import conf
from agentapp.errors import AgentappError
from agentapp.lifecycle import switch_model
from agentapp.lifecycle.opened import Claimed
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

    @property
    def key(self) -> str:
        """The key of its gate."""
        return f"model:{self.asked.limit_name}"

    def may_answer(self) -> list[str]:
        """The names of the models of which one answers the next call."""
        return [self.asked.model, *([self._fallback.model] if self._fallback else [])]

    def timeout_s(self) -> float:
        """How long a call may take. As long as there is a fallback, that one keeps a third of the time that is left."""
        left_s = self._deadline_s()
        return min(conf.model_timeout_s(), left_s if self._fallback is None else left_s * 2 / 3)

    def fall_back(self, error: AgentappError) -> int | None:
        """Go on with the fallback, if there is one and that may help: return the tokens that its gate charged.

        None: the error stands. The rest of the attempt stays with the fallback.

        Raises:
            Cancelled, LostLease: the job is no longer this attempt's.
        """
        fallback = self._fallback
        if fallback is None or not model_choices.another_may_answer(error):
            return None
        if self._deadline_s() < model_choices.LEAST_LEFT_S:
            return None
        charged = self._patience(lambda: switch_model.switch(self._job, fallback.limit_name))
        events.emit(
            "model.fallback", level=logging.WARNING, job=self._job.id, job_type=self._job.type,
            model=self.asked.limit_name, fallback=fallback.limit_name, is_asked=charged is not None, error=error,
        )  # fmt: skip
        if charged is not None:
            self._become(fallback)
        return charged

    def _become(self, fallback: AskedModel) -> None:
        self.fallback_of, self.asked, self._fallback = self.asked.model, fallback, None
