"""Untrusted text inside the tags of a prompt: it must not close a tag or open one."""

from __future__ import annotations

import re

# An ampersand that could begin an entity, so that the reader's unescaping gives back exactly what was written.
_ENTITY = re.compile(r"&(?=[#A-Za-z])")


def inert(text: str) -> str:
    """Return the text without a living `<`; unescaping it as HTML gives the text back.

    Only what could be markup is escaped: a model reads and quotes everything else as it stands.
    """
    return _ENTITY.sub("&amp;", text).replace("<", "&lt;")


def inert_attribute(text: str) -> str:
    """Return the text on one line, fit to stand between double quotes in a tag."""
    return inert(" ".join(text.split())).replace('"', "&quot;").replace(">", "&gt;")
