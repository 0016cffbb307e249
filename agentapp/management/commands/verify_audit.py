"""Check the audit chain."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from agentapp import checks
from agentapp.policies import bounds
from agentapp.policies.counting import count
from agentapp.services import auditing
from agentapp.services.auditing import Head

MOST_SHOWN = 50


def head(text: str) -> Head:
    number, _, link = text.partition(":")
    known = bounds.whole(number, most=bounds.LARGEST_BIGINT)
    if known is None or len(link) != 64:
        raise argparse.ArgumentTypeError("give it as NUMBER:LINK, as the log of a dispatcher says it")
    return Head(known, link)


class Command(BaseCommand):
    requires_system_checks = checks.OF_COMMANDS
    help = (
        "Check that nothing in the audit chain, or in the records that it tells of, was changed, removed or put in. "
        "Ends with 1 where something was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--head", type=head, metavar="NUMBER:LINK", help="an end of the chain that a log knows: it must be there"
        )

    def handle(self, *args: Any, head: Head | None, **options: Any) -> None:
        report = auditing.verify(expected=head)
        for finding in report.findings[:MOST_SHOWN]:
            self.stderr.write(finding)
        if len(report.findings) > MOST_SHOWN:
            self.stderr.write(f"... and {len(report.findings) - MOST_SHOWN} more")
        self.stdout.write(
            f"{report.entries} entries are sealed, of which {report.erased} were erased; {report.not_sealed} wait for "
            f"the dispatcher. The head is {report.head.number}:{report.head.link}"
        )
        if report.findings:
            raise CommandError(f"The audit chain does not hold: {count(len(report.findings), 'finding')}.")
