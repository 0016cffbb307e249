"""What became due is made available and published."""

from __future__ import annotations

from agentapp.dispatch import publisher
from agentapp.lifecycle import mend

BATCH = 200
ACTOR = "dispatcher"


def make_due() -> int:
    """Make jobs available whose back-off is over, publish what remains of their workflows, and return how many."""
    made = [mend.make_due(job, actor=ACTOR) for job in mend.due(limit=BATCH)]
    for opened in made:
        publisher.publish(opened)
    return len([opened for opened in made if opened])
