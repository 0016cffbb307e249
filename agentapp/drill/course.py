"""The questions in their order, and one run through them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from agentapp import clock
from agentapp.drill import failing, limiting, messaging, permission, tracing
from agentapp.drill.answers import Answer, NotAvailable, Question, Red, Verdict, passed
from agentapp.drill.ground import Ground, TooLate
from agentapp.errors import AgentappError
from agentapp.models import DrillReport
from agentapp.policies import faults
from agentapp.policies.faults import Fault

QUESTIONS = (
    Question("worker crash", failing.worker_crash),
    Question("duplicates", messaging.duplicates),
    Question("retry cap", failing.retry_cap),
    Question("dead letter visible", failing.dead_letter_visible),
    Question("trace from job to outcome", tracing.trace),
    Question("broker flush", messaging.broker_flush),
    Question("rate limit", limiting.rate_limit),
    Question("priority", limiting.priority),
    Question("permission at execution", permission.at_execution),
)


def names() -> list[str]:
    return [question.name for question in QUESTIONS]


@dataclass(frozen=True)
class Watcher:
    """Hears of each question before it is asked, and of its answer."""

    asking: Callable[[str], None]
    answered: Callable[[Answer], None]


def run(ground: Ground, *, skip: Collection[str], watcher: Watcher) -> DrillReport:
    """Ask one question after the other and store the report; what is left of the drill is cancelled at the end."""
    started_at, answers = clock.now(), []
    try:
        for question in QUESTIONS:
            watcher.asking(question.name)
            if question.name in skip:
                answers.append(Answer(question.name, Verdict.SKIPPED, "left out on demand", 0.0))
            else:
                answers.append(answer(question, ground))
            watcher.answered(answers[-1])
    finally:
        ground.leave()
    return DrillReport.objects.create(
        started_at=started_at,
        finished_at=clock.now(),
        passed=passed(answers),
        answers=[item.as_json() for item in answers],
    )


def answer(question: Question, ground: Ground) -> Answer:
    """Ask one question."""
    started = time.monotonic()
    ground.begin()
    try:
        verdict, evidence = Verdict.RED, "a store does not answer"
        with faults.caught(Fault.OUTAGE) as caught:
            verdict, evidence = Verdict.GREEN, question.ask(ground)
        if caught.error is not None:
            verdict, evidence = Verdict.RED, f"a store does not answer: {caught.error}"
    except NotAvailable as reason:
        verdict, evidence = Verdict.NOT_AVAILABLE, str(reason)
    except (Red, TooLate, AgentappError) as problem:
        verdict, evidence = Verdict.RED, str(problem)
    return Answer(question.name, verdict, evidence, time.monotonic() - started)
