"""Where the servers and stacks of tests keep their files: in memory, where there is room for all of them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")
# What a whole run writes, several times over.
_ROOM_BYTES = 4_000_000_000


def make(prefix: str = "agentapp-test-") -> Path:
    """Make a directory with a short name: the path of a socket must be short. The caller removes it."""
    has_room = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES
    return Path(tempfile.mkdtemp(prefix=prefix, dir=_MEMORY if has_room else None))
