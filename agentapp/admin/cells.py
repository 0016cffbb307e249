"""How single values read in lists and on pages: states, durations, ages, money, JSON."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from agentapp import clock
from agentapp.policies.counting import count

# A tone says what a state asks of the reader; the stylesheet gives it a colour, the badge always carries the word too.
_TONES = {
    "waiting": "pending available scheduled retryable prepared",
    "active": "running sent",
    "person": "awaiting_approval needs_attention changes_requested reopened unknown",
    "good": "completed approved confirmed",
    "bad": "failed dead_lettered lost rejected expired",
    "quiet": "cancelled",
}
_TONE_OF = {state: tone for tone, states in _TONES.items() for state in states.split()}
# Postgres orders the keys of JSON by their length: the first one is not what the client put first.
_TITLES = ("subject", "title", "question", "topic")
_SHORT_LIST = 80
_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
# Of every moment: as DATETIME_FORMAT in config/formats.
FORM = "%Y-%m-%d %H:%M:%S"
# What a key is counted by, in the order in which a person is asked.
SCOPES = {
    "global": "the whole installation",
    "job_type": "job type",
    "tenant": "tenant",
    "model": "model",
    "tool": "tool",
    "budget": "budget",
}


def key(scope: str, name: str) -> str:
    """A key, or what a gate is for, in words: "model gpt-5"."""
    words = SCOPES.get(scope, scope.replace("_", " "))
    return words if scope == "global" else f"{words} {name}"


def badge(state: str, tone: str = "") -> SafeString:
    """A state as a coloured word; `tone` where its noun gives it another meaning (a pending approval asks a person)."""
    tone = tone or _TONE_OF.get(state, "quiet")
    return format_html('<span class="badge tone-{}">{}</span>', tone, state.replace("_", " "))


def duration(seconds: float) -> str:
    """Say a length of time with its two largest units: "340 ms", "12 s", "3 min 20 s", "2 d 5 h"."""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    (size, unit), *smaller = [each for each in _UNITS_S if each[0] <= whole]
    small = whole % size // smaller[0][0] if smaller else 0
    return f"{whole // size} {unit}" + (f" {small} {smaller[0][1]}" if small else "")


def age(moment: datetime | None) -> str:
    """How long ago a moment was; a dash when there is none."""
    return duration((clock.now() - moment).total_seconds()) if moment else "-"


def until_words(moment: datetime | None) -> str:
    """How far away a moment is, or that it has passed; a dash when there is none. For sentences."""
    if moment is None:
        return "-"
    left_s = (moment - clock.now()).total_seconds()
    return f"in {duration(left_s)}" if left_s > 0 else f"{duration(-left_s)} ago"


def until(moment: datetime | None) -> SafeString:
    """How far away a moment is, with the exact moment behind it."""
    return _timed(moment, until_words(moment)) if moment else SafeString("-")


def when(moment: datetime | None) -> SafeString:
    """An age with the exact moment behind it, for machines and for the pointer."""
    return _timed(moment, f"{age(moment)} ago") if moment else SafeString("-")


def at(moment: datetime) -> SafeString:
    """The exact moment, with its microseconds behind it."""
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment, f"{FORM}.%f"), exact(moment)
    )


def _timed(moment: datetime, words: str) -> SafeString:
    return format_html('<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), words)


def exact(moment: datetime, form: str = FORM) -> str:
    """A moment by the clock, in the time zone that the reader has chosen: "2026-11-27 03:44:10 UTC"."""
    return f"{moment.astimezone(timezone.get_current_timezone()):{form} %Z}"


def cut(text: str) -> SafeString:
    """A text that a list ends with an ellipsis where it is long, with the whole of it behind."""
    return format_html('<span class="cut" title="{0}">{0}</span>', text)


def usd(amount: Decimal | float) -> str:
    """Money in US dollars, with as many digits as small amounts need."""
    if not amount:
        return "-"
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}"


def cost(usd_known: Decimal | float, unpriced_calls: int) -> str:
    """What calls have cost, and how many have a price that is not known."""
    unknown = count(unpriced_calls, "unpriced call") if unpriced_calls else ""
    return " and ".join(filter(None, (usd(usd_known) if usd_known or not unknown else "", unknown)))


def progress(done: int, total: int) -> SafeString:
    """Jobs done of all jobs that are planned so far, as a bar and as numbers."""
    bar = '<span class="progress"><progress max="{}" value="{}" aria-label="jobs done"></progress> {}/{}</span>'
    return format_html(bar, max(total, 1), done, done, total)


def amount(number: float) -> str:
    """A number with its thousands apart and no more digits than it has: "12,000", "0.5"."""
    return f"{number:,.4f}".rstrip("0").rstrip(".")


def share(running: int, limit: int | None) -> SafeString:
    """What runs of what may run, as a bar and as numbers; without a limit the number alone."""
    if limit is None:
        return format_html('<span class="progress">{}</span>', f"{running:,}")
    bar = '<span class="progress{}"><progress max="{}" value="{}" aria-label="running"></progress> {}/{}</span>'
    return format_html(
        bar, " full" if running >= limit else "", max(limit, 1), min(running, limit) or 0, f"{running:,}", f"{limit:,}"
    )


def breakable(name: str) -> SafeString:
    """A name that may be broken into lines behind its joints, as a narrow column needs it."""
    joints = re.split(r"(?<=[/:.-])", name)
    return format_html_join(SafeString("<wbr>"), "{}", ((part,) for part in joints))


def pretty(value: Any) -> str:
    """JSON for people, in its own letters: indented, except for a short list."""
    line = json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, list) and len(line) <= _SHORT_LIST:
        return line
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def headline(value: Any, *, limit: int = 70) -> str:
    """What a JSON value is about, in at most `limit` characters: its title, or the first text inside it."""
    if isinstance(value, dict):
        texts = [value.get(name) for name in _TITLES] + list(value.values())
        value = next((text for text in texts if isinstance(text, str) and text.strip()), "")
    line = " ".join(str(value).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
