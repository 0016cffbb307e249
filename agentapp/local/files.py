"""Files that only their owner may read, replaced as a whole."""

import os
from pathlib import Path


def write_private(path: Path, content: str) -> None:
    """Write a file of mode 0600; a reader sees the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
    draft.replace(path)
