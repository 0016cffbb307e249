"""Write the pages of the documentation that are made of code: states, settings, metrics, kinds, and the API."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template.loader import render_to_string

from agentapp import flows, registry, states
from agentapp.api import openapi
from agentapp.observability import metrics
from agentapp.states import Moves

# Where the kinds of this project lie.
KINDS = "tasks"
# Last, because readers and the knowledge base take the first line for the title.
MADE = "<!-- Made by `manage.py write_docs`. Change {source} instead. -->\n"


class Command(BaseCommand):
    help = "Write the pages in docs/ that are made of the code that they describe."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
        parser.add_argument("--folder", type=Path, default=Path(settings.BASE_DIR) / "docs", help="where the pages lie")

    def handle(self, *, check: bool, folder: Path, **options: Any) -> None:
        stale = [name for name, text in pages().items() if not is_current(folder / name, text)]
        if check and stale:
            raise CommandError(f"Out of date: {', '.join(stale)}. Run manage.py write_docs")
        for name in stale:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(pages()[name], encoding="utf-8")
        self.stdout.write(f"Written: {', '.join(stale)}." if stale else "Everything is up to date.")


def pages() -> dict[str, str]:
    """Return the generated pages by their file names."""
    # The table belongs to the composition root, which agentapp does not import: the settings in use lead to it.
    table = import_module(settings.SETTINGS_MODULE).setting.SETTINGS
    return {
        "states.md": states_page(),
        "settings.md": settings_page(table),
        "openapi.json": json.dumps(openapi.current(), indent=2, ensure_ascii=False) + "\n",
        "metrics.md": metrics_page(),
        "kinds.md": kinds_page(shipped()),
    } | {f"kinds/{flow.kind}.svg": drawing(flow) for flow in shipped()}


def is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def states_page() -> str:
    """Return the state machines as Markdown: a diagram and a table of moves for each noun."""
    effect = ", ".join(f"`{value}`" for value in states.EffectState.values)
    outcome = ", ".join(f"`{value}`" for value in states.AttemptOutcome.values)
    delivery = ", ".join(f"`{value}`" for value in states.DeliveryState.values)
    return "\n".join(
        [
            "# States",
            "",
            "Only `agentapp/lifecycle/` moves a record from one state to another. Each move below is one guarded",
            "UPDATE with one history row in the same transaction; a move that is not in these tables does not exist.",
            "",
            *_machine("Task", states.WORKFLOW_MOVES, final=states.WORKFLOW_FINAL),
            *_machine("Job", states.JOB_MOVES, final=states.JOB_FINAL),
            *_machine("Approval", states.APPROVAL_MOVES, final=_dead_ends(states.APPROVAL_MOVES)),
            *_machine("Document", states.DOCUMENT_MOVES, final=_dead_ends(states.DOCUMENT_MOVES)),
            "## Effect, attempt and webhook delivery",
            "",
            f"An effect is {effect}: see [the ledger of effects](architecture.md#effects-happen-once).",
            f"An attempt that is over has one of the outcomes {outcome}.",
            f"A webhook delivery has no state of its own: {delivery} follow from its workflow and its log.",
            "",
            MADE.format(source="agentapp/states.py"),
        ]
    )


def _dead_ends(moves: Moves) -> frozenset[str]:
    return frozenset(goal for goals in moves.values() for goal in goals) - set(moves)


def _machine(noun: str, moves: Moves, *, final: Iterable[str]) -> list[str]:
    ends = sorted(final)
    rows = [(before, to, why) for before, goals in moves.items() for to, why in goals.items()]
    return [
        f"## {noun}",
        "",
        "```mermaid",
        "stateDiagram-v2",
        *(f"    {before or '[*]'} --> {to}" for before, to, _ in rows),
        *(f"    {end} --> [*]" for end in ends),
        "```",
        "",
        "| From | To | When |",
        "| --- | --- | --- |",
        *(f"| {f'`{before}`' if before else '(new)'} | `{to}` | {why} |" for before, to, why in rows),
        "",
        f"Nothing follows {', '.join(f'`{end}`' for end in ends)}.",
        "",
    ]


def settings_page(table: Iterable[Any]) -> str:
    """Return the settings as a Markdown table; `table` holds the entries of config/env.py."""
    rows = [
        f"| `{item.name}` | {_shown(item.default)}{f' {item.unit}' if item.unit else ''} | `{item.example}` "
        f"| {item.sentence}{' Secret.' if item.secret else ''} |"
        for item in table
    ]
    return (
        "# Settings\n\n"
        "Every setting is an environment variable; unset and empty mean the default. A value that cannot be read\n"
        "stops the start with a sentence that names the setting and an example. Names carry their unit: `_S` is\n"
        "seconds.\n\n"
        "In the address of a server, special characters of a name or password are percent-encoded: `#` is `%23`,\n"
        "`%` is `%25`, `/` is `%2F`, `@` is `%40`, `?` is `%3F`.\n\n"
        "`rediss://` is TLS, and checks the server's certificate and host name. For an authority of your own write\n"
        "`rediss://host:6379/0?ssl_ca_certs=/etc/ssl/ca.pem`; for a client certificate add `ssl_certfile` and\n"
        "`ssl_keyfile`; `ssl_cert_reqs=none` switches the check off. Sentinel and Unix sockets are not supported.\n\n"
        "| Name | Default | Example | What it does |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\n"
        + MADE.format(source="config/env.py")
    )


def shipped() -> list[flows.Flow]:
    """The kinds that come with this project, by name; those of packages and tests are not documented here."""
    known = (flow for flow in registry.flows.values() if flow.input.__module__.startswith(f"{KINDS}."))
    newest = {flow.kind: flow for flow in sorted(known, key=lambda flow: flow.version)}
    return [newest[kind] for kind in sorted(newest)]


def drawing(flow: flows.Flow) -> str:
    return render_to_string("agentapp/plan.svg", {"drawing": flows.drawn(flow)})


def kinds_page(shown: Iterable[flows.Flow]) -> str:
    """Return the workflow kinds as Markdown, each with the drawing of its plan."""
    return (
        "# Workflow kinds\n\n"
        "The kinds that come with the project, and how a task of each goes. A box is a stage: one job, one job for\n"
        "each element of a list (two edges), a decision of a person (round), or a task of its own (a thick edge). A\n"
        "stage with a broken edge may be skipped. [How to add one](howto/add_a_workflow_kind.md).\n\n"
        + "\n".join(_kind(flow) for flow in shown)
        + MADE.format(source="tasks/flows")
    )


def _kind(flow: flows.Flow) -> str:
    said = [
        flow.title + "." if flow.title else "",
        flow.description,
        "For the platform itself." if flow.internal else "",
    ]
    return f"## {flow.kind}\n\n{' '.join(filter(None, said))}\n\n![{flows.drawn(flow).title}](kinds/{flow.kind}.svg)\n"


def metrics_page() -> str:
    """Return the metrics as a Markdown table."""
    rows = [
        f"| `{metric.name}{'_total' if metric.kind == metrics.COUNTER else ''}` | {metric.kind} "
        f"| {', '.join(f'`{label}`' for label in metric.labels)} | {metric.words}. |"
        for metric in metrics.CATALOGUE.values()
    ]
    return (
        "# Metrics\n\n"
        "What `GET /metrics` shows. [How to scrape it](howto/scrape_metrics.md).\n\n"
        "| Name | Kind | Labels | What it is |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\n"
        + MADE.format(source="agentapp/observability/metrics.py")
    )


def _shown(default: object) -> str:
    """Return a default as somebody would write it; a path below the checkout without the checkout's own place."""
    if isinstance(default, Path):
        return f"`{default.relative_to(settings.BASE_DIR)}` in the checkout"
    if isinstance(default, bool):
        return f"`{default:d}`"
    if isinstance(default, dict) and default:
        return f"`{','.join(f'{name}={value:g}' for name, value in default.items())}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, list):
        default = ",".join(default)
    return f"`{default}`" if default or default == 0 else "none"
