"""A store of artifacts under which a process dies, or which is away."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.files.storage import FileSystemStorage


class DeadlyStorage(FileSystemStorage):
    """Kills its process where the environment's DIE_AT says: at the second file, or when a folder is looked at."""

    deleted = 0

    def delete(self, name: str) -> None:
        self.deleted += 1
        if self.deleted == 2:
            self._die_at("second file")
        super().delete(name)

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        self._die_at("folder")
        return super().listdir(path)

    def _die_at(self, place: str) -> None:
        if os.environ.get("DIE_AT") == place:
            os.kill(os.getpid(), signal.SIGKILL)


class StorageAway(FileSystemStorage):
    def delete(self, name: str) -> Any:
        raise OSError("the store of artifacts does not answer")
