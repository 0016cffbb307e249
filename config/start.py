"""How a process starts: a wrong setting ends it with a sentence, not with a traceback."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured


@contextmanager
def settings_are_right() -> Iterator[None]:
    """Around whatever reads the settings first. Raises SystemExit."""
    try:
        yield
    except ImproperlyConfigured as error:
        sys.exit(f"Configuration: {error}")
