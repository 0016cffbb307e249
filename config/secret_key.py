"""Django's signing key: made once, kept under the home, readable by its owner alone."""

import contextlib
import os
import secrets
import time
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def kept(home: Path) -> str:
    """Return the key of this home, which the first caller makes.

    Raises:
        ImproperlyConfigured: the home cannot be written, or the key file is not ours to read.
    """
    path = home / "secret_key"
    try:
        home.mkdir(parents=True, exist_ok=True)
        # Linked into place when complete: of two processes that start together one wins, and both read its key.
        draft = home / f"secret_key.{os.getpid()}.{time.monotonic_ns()}"
        if not path.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(64))
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The signing key {path} cannot be kept ({error.strerror}): set DJANGO_SECRET_KEY, or AGENTAPP_HOME to a "
            "directory that this process may write."
        ) from error
