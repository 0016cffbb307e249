"""Import a package without what it imports where that happens to be installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def modules(*names: str) -> Iterator[None]:
    """Around imports at start: these modules cannot be imported, unless they are loaded already."""
    hidden = [name for name in names if name not in sys.modules]
    # What Python takes for a module that is not there.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
