"""How a process starts: a wrong setting ends it with a sentence, not with a traceback; imports are no garbage."""

import gc
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


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports of a process: what they make stays until its end, and is no garbage.

    The garbage collector looked through all of it again and again while it grew, and once more at the end of the
    process: a third of the CPU time of a short command.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
