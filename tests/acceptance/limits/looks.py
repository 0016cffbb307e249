"""What the dispatcher published at each of its looks, as the rows themselves told it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from tests.acceptance.deployment import Deployment

# Admission gives all jobs of a look one moment; a claim takes it away again.
WRITE_DOWN = """
CREATE TABLE looks (at timestamptz, job uuid, task uuid, available_at timestamptz);
CREATE FUNCTION looks_write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO looks VALUES (NEW.published_at, NEW.id, NEW.workflow_id, NEW.available_at);
  RETURN NULL;
END $$;
CREATE TRIGGER looks AFTER UPDATE OF published_at ON agentapp_job FOR EACH ROW
  WHEN (OLD.published_at IS NULL AND NEW.published_at IS NOT NULL AND OLD.state = NEW.state)
  EXECUTE FUNCTION looks_write_down();
"""
FORGET = "DROP TRIGGER looks ON agentapp_job; DROP FUNCTION looks_write_down(); DROP TABLE looks"


@dataclass(frozen=True)
class Published:
    at: datetime
    job: UUID
    task: UUID
    available_at: datetime


@dataclass
class Looks:
    """`published` in the order of the looks."""

    published: list[Published] = field(default_factory=list)

    def begun_before_last(self, tasks: Collection[UUID], *, others: Collection[UUID]) -> int:
        """How many tasks were published, first job first, at looks before that at which the last of others was."""
        first: dict[UUID, datetime] = {}
        for item in self.published:
            first.setdefault(item.task, item.at)
        last = max(first[task] for task in others)
        return sum(first[task] < last for task in tasks if task in first)

    def overtaken(self) -> list[Published]:
        """The jobs that were published while one of an older task, which the same look had seen, stayed behind.

        A look has seen what was available at the one before.
        """
        looks: dict[datetime, list[Published]] = defaultdict(list)
        for item in self.published:
            looks[item.at].append(item)
        moments, found = sorted(looks), []
        for before, now in itertools.pairwise(moments):
            stayed = [item.task for item in self.published if item.at > now and item.available_at < before]
            found += [item for item in looks[now] if stayed and item.task > min(stayed)]
        return found


@contextmanager
def written_down(deployment: Deployment) -> Iterator[Looks]:
    """Write down, while the block runs, what is published from the backlog; to be read after it."""
    looks = Looks()
    with deployment.sql() as session:
        session.execute(WRITE_DOWN)
        try:
            yield looks
            rows = session.execute("SELECT at, job, task, available_at FROM looks ORDER BY at").fetchall()
            looks.published = [Published(*row) for row in rows]
        finally:
            session.execute(FORGET)
