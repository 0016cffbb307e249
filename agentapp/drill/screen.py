"""How the answers of a drill are printed: a table in a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections import Counter

from rich.table import Table
from rich.text import Text

from agentapp.drill.answers import Answer, Verdict
from agentapp.models import DrillReport

STYLES = {Verdict.GREEN: "green", Verdict.RED: "bold red", Verdict.NOT_AVAILABLE: "yellow", Verdict.SKIPPED: "dim"}


def line(answer: Answer) -> str:
    return f"{answer.verdict.value:<14} {answer.question:<26} {answer.seconds:5.1f} s  {answer.evidence}"


def table(answers: list[Answer]) -> Table:
    grid = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("question", "verdict", "took", "evidence"):
        grid.add_column(title)
    for answer in answers:
        verdict = Text(answer.verdict.value, style=STYLES[answer.verdict])
        grid.add_row(answer.question, verdict, f"{answer.seconds:.1f} s", Text(answer.evidence))
    return grid


def summary(report: DrillReport) -> str:
    """Say in one line how it ended, when it was, and where it is kept."""
    counted = Counter(item["verdict"] for item in report.answers)
    counts = ", ".join(f"{counted[verdict.value]} {verdict.value}" for verdict in Verdict if counted[verdict.value])
    word = "passed" if report.passed else "failed"
    return f"drill {word} on {report.started_at:%Y-%m-%d %H:%M} UTC: {counts}. Report {report.pk}, kept for the admin."
