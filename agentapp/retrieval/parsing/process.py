"""Read a file in a process of its own: whatever the file does to that one, this one goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from agentapp import conf
from agentapp.errors import TimedOut, TransientError
from agentapp.policies.counting import count
from agentapp.policies.file_types import FileType
from agentapp.retrieval.parsing.limits import Limits, Unreadable

ROOT = Path(__file__).resolve().parents[3]
LOOK_S = 0.2
LONGEST_TEXT = 1_000_000
EXPANDED_BYTES = 200_000_000
# By the clock many times as long as by the processor: a busy machine is no fault of the file.
WALL_PER_CPU = 4


@dataclass(frozen=True)
class Parsed:
    """What a file says: the title that it gives itself, which may be empty, and its text as Markdown."""

    title: str
    text: str


def limits() -> Limits:
    return Limits(
        memory_mb=conf.parse_memory_mb(), cpu_s=conf.parse_cpu_s(), wall_s=conf.parse_cpu_s() * WALL_PER_CPU,
        pages=conf.parse_max_pages(), expanded_bytes=EXPANDED_BYTES, characters=LONGEST_TEXT,
    )  # fmt: skip


def parse(
    data: bytes, *, file_type: FileType, charset: str = "", within: Limits | None = None,
    check: Callable[[], None] = lambda: None,
) -> Parsed:  # fmt: skip
    """Return what a file says. `check` is called while it is read, and may raise to stop it.

    Raises:
        Unreadable: with a sentence about the file.
        TransientError: the process was killed from outside, or the machine was too busy to read it in time.
    """
    own = within or limits()
    with TemporaryFile() as source, TemporaryFile() as sink:
        source.write(data)
        source.seek(0)
        code = _run(source, sink, file_type, charset, own, check)
        sink.seek(0)
        return _understood(code, sink.read(), own)


def _run(
    source: IO[bytes], sink: IO[bytes], file_type: FileType, charset: str, own: Limits, check: Callable[[], None]
) -> int:
    command = [sys.executable, "-m", "agentapp.retrieval.parsing", file_type, charset, own.dump(), str(os.getpid())]
    # An environment of its own: no credentials are handed to what reads a file. (Who takes the process over may still
    # read what its user may read.)
    process = subprocess.Popen(
        command, stdin=source, stdout=sink, stderr=subprocess.DEVNULL, cwd=ROOT,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    ends_s = time.monotonic() + own.wall_s
    try:
        while True:
            try:
                return process.wait(timeout=LOOK_S)
            except subprocess.TimeoutExpired:
                check()
                if time.monotonic() > ends_s:
                    raise TimedOut(f"The file could not be read within {own.wall_s:g} seconds.") from None
    finally:
        process.kill()
        process.wait()


def _understood(code: int, answer: bytes, own: Limits) -> Parsed:
    if code == -signal.SIGXCPU:
        raise Unreadable(f"Reading it takes more than {count(own.cpu_s, 'second')} of processor time. Split it.")
    if code in (-signal.SIGKILL, -signal.SIGTERM):
        raise TransientError("The process that read the file was ended from outside.")
    if code != 0:
        raise Unreadable(f"It is damaged: the process that read it crashed (exit code {code}).")
    found = json.loads(answer)
    if "unreadable" in found:
        raise Unreadable(found["unreadable"])
    return Parsed(found["title"], found["text"])
