"""The static files are looked for once: each client of a test makes the middleware anew, and WhiteNoise lists them all.

That is most of what a request of a test costs: two hundred files, each found, looked at and given its headers.
"""

from __future__ import annotations

from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware

_look_for_them = WhiteNoiseMiddleware.add_files_from_finders
_found: dict[str, dict[str, Any]] = {}


def look_once() -> None:
    """Let all middleware of this process share what the first one of its prefix has found."""
    WhiteNoiseMiddleware.add_files_from_finders = _share


def _share(middleware: WhiteNoiseMiddleware) -> None:
    prefix = middleware.static_prefix
    if prefix not in _found:
        _look_for_them(middleware)
        _found[prefix] = dict(middleware.files)
    middleware.files.update(_found[prefix])
