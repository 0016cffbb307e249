"""Words of the reference page."""

from __future__ import annotations

import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

register = template.Library()


@register.filter
def with_code(text: str) -> SafeString:
    """Set what stands between backticks as code."""
    parts = re.split(r"`([^`]+)`", text)
    return format_html_join("", "{}", ((_part(place, part),) for place, part in enumerate(parts)))


def _part(place: int, part: str) -> str | SafeString:
    return format_html("<code>{}</code>", part) if place % 2 else part
