"""What became due is made available, and what waits is published as far as there is room."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from agentapp import conf
from agentapp.dispatch import publisher
from agentapp.lifecycle import admit
from agentapp.lifecycle import make_due as move
from agentapp.policies import admission
from agentapp.policies.backlog import Backlog, Turns

BATCH = 200
ACTOR = "dispatcher"
# A lane shows so many jobs: what one decision may admit of it.
HEADS = 64
# A worker that was silent for so many heartbeats serves nobody.
ALIVE_HEARTBEATS = 5
# A look at a long backlog takes longer, and so does the rest after it: a third of the time is spent looking.
REST_TIMES = 2


def make_due() -> int:
    """Make jobs available whose time has come, publish those that there is room for, and return how many."""
    made = [move.make_due(job, actor=ACTOR) for job in move.due(limit=BATCH)]
    for opened in made:
        publisher.publish(opened)
    return len([opened for opened in made if opened])


@dataclass
class Stager:
    """Admits from the backlog. `next_s`: after how many seconds a meter lets the next job pass, None: nobody knows.
    `look_s`: how long the last look took."""

    turns: Turns = field(default_factory=Turns)
    next_s: float | None = None
    look_s: float = 0.0

    def look(self) -> Backlog:
        """Return what waits, what is under way, and what all keys are held to."""
        return admit.backlog(heads=HEADS, alive_s=conf.heartbeat_s() * ALIVE_HEARTBEATS)

    def admit(self) -> int:
        """Publish the jobs that are next, as policies.admission decides, and return how many."""
        began_s = time.monotonic()
        # What is published lasts for the next look and its rest.
        ahead_s = max(admission.RUNWAY_S, (1 + REST_TIMES) * self.look_s)
        decision = admission.decide(self.look(), self.turns, ageing_s=conf.ageing_s(), ahead_s=ahead_s)
        admitted = admit.admit(decision)
        for opened in admitted:
            publisher.publish(opened)
        self.turns, self.next_s = decision.turns, decision.next_s
        self.look_s = time.monotonic() - began_s
        return len(admitted)


def promote() -> int:
    """Publish once more what more urgent work has overtaken in the broker for too long, and return how many."""
    promoted = admit.promote(after_s=conf.ageing_s(), limit=BATCH)
    for opened in promoted:
        publisher.publish(opened)
    return len(promoted)
