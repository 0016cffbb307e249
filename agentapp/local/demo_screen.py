"""What the demo shows: a table that lives in a terminal, plain lines where there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentapp.local.demo import Asked

STEPS = {
    "classify_ticket": "classify",
    "retrieve_context": "retrieve",
    "generate_draft": "draft",
    "evaluate_answer": "evaluate",
    "request_approval": "approval",
    "send_approved_message": "send",
}
MARKS = {
    "completed": ("●", "green"),
    "running": ("◐", "yellow"),
    "retryable": ("↻", "magenta"),
    "dead_lettered": ("✗", "red"),
    "cancelled": ("-", "dim"),
}
WAITS = ("○", "dim")
STATE_STYLE = {
    "completed": "green",
    "awaiting_approval": "bold cyan",
    "needs_attention": "bold red",
    "failed": "red",
    "running": "yellow",
}


class Screen:
    """Shows progress: redrawn in place in a terminal, each change once as a line elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._said: set[tuple[str, str]] = set()

    @contextmanager
    def open(self) -> Iterator[Screen]:
        if not self._console.is_terminal:
            yield self
            return
        with Live(console=self._console, auto_refresh=False) as self._live:
            yield self
        self._live = None

    def show(self, asked: list[Asked]) -> None:
        if self._live:
            self._live.update(table(asked), refresh=True)
        for item in asked if not self._live else ():
            self._say_changes(item)

    def _say_changes(self, item: Asked) -> None:
        for job in item.jobs:
            if job["state"] in ("pending", "available", "scheduled"):
                continue
            attempt = f" (attempt {job['attempt']})" if job["attempt"] > 1 else ""
            self._say_once(item, job["id"] + job["state"] + attempt, f"{job['type']} {job['state']}{attempt}")
        self._say_once(item, item.state, f"task {item.state.replace('_', ' ')}")

    def _say_once(self, item: Asked, key: str, line: str) -> None:
        if (item.id, key) not in self._said:
            self._said.add((item.id, key))
            self._console.print(f"  question {item.number}: {line}", highlight=False)


def table(asked: list[Asked]) -> Table:
    """One row per question, one column per step; a step that was done again shows every round."""
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    grid.add_column("")
    grid.add_column("question", max_width=48, no_wrap=True, overflow="ellipsis")
    for title in STEPS.values():
        grid.add_column(title)
    grid.add_column("state", no_wrap=True)
    for item in asked:
        state = Text(item.state.replace("_", " "), style=STATE_STYLE.get(item.state, ""))
        grid.add_row(str(item.number), item.question, *(_marks(item, step) for step in STEPS), state)
    return grid


def _marks(item: Asked, step: str) -> Text:
    text = Text()
    for job in item.jobs:
        if job["type"] == step:
            text.append(*MARKS.get(job["state"], WAITS))
    return text
