"""A session with an MCP server that is a program on this machine (stdio): a line is a message.

The program is one that a setting names, runs for one session, and is given nothing of this process's environment but
the key that its row names. What is written in whole counts as taken.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from agentapp import conf
from agentapp.delivery.guarded_http import NoAnswer
from agentapp.errors import CannotBeSent, NotSentYet
from agentapp.tools.servers import watch
from agentapp.tools.servers.messages import Awaited
from agentapp.tools.servers.session import END_SESSION_S, MOST_BYTES, Address, Session, UnreadableAnswer, key_of

Json = dict[str, Any]
SCHEME = "stdio:"
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
_CHUNK = 65_536


def is_command(url: str) -> bool:
    """Whether this address is the name of a program."""
    return url.startswith(SCHEME)


def of(url: str) -> Sequence[str]:
    """Return the program and its arguments. Raises CannotBeSent: the setting names none so."""
    name = url.removeprefix(SCHEME)
    command = conf.tool_commands().get(name)
    if command is None:
        raise CannotBeSent(f"AGENTAPP_TOOL_COMMANDS names no program {name[:60]!r}.")
    return command


class CommandSession(Session):
    """With a program that is started for it, and ended with all that it has started, also when this process is killed:
    a process beside it watches over both."""

    def __init__(self, address: Address, left_s: Callable[[], float]) -> None:
        super().__init__(left_s)
        key = key_of(address)
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        self._process, self._line = _started(of(address.url), env | ({address.key_variable: key} if key else {}))
        self._in, self._out = _pipes(self._process)
        self._lines: deque[bytes] = deque()
        # What stands behind the last whole line.
        self._begun = bytearray()

    def end(self) -> None:
        """Close its input, which tells it to end; what does not is killed."""
        with suppress(OSError):
            self._in.close()
        os.close(self._line)
        try:
            self._process.wait(timeout=END_SESSION_S + watch.END_S)
        except subprocess.TimeoutExpired:
            # Whatever holds up the process that watches: its end ends the program.
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=END_SESSION_S)
        self._out.close()

    def _post(self, message: Json, awaited: Awaited | None) -> None:
        ends_s = time.monotonic() + self._left_s()
        self._write(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace") + b"\n", ends_s)
        if awaited is not None:
            self._read_until(awaited, ends_s)

    def _write(self, line: bytes, ends_s: float) -> None:
        while line:
            try:
                if not _is_ready(self._in, selectors.EVENT_WRITE, ends_s):
                    raise NotSentYet("The program of the tool server does not read what it is told.")
                line = line[os.write(self._in.fileno(), line[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError:
                # Without its last character a line is no message.
                raise NotSentYet(f"The program of the tool server has ended ({self._end()}).") from None

    def _read_until(self, awaited: Awaited, ends_s: float) -> None:
        taken = 0
        while True:
            while self._lines:
                awaited.take(self._lines.popleft())
                if awaited.found is not None:
                    return
                if time.monotonic() > ends_s:
                    break
            if not _is_ready(self._out, selectors.EVENT_READ, ends_s):
                raise NoAnswer("The program of the tool server did not answer in time.")
            more = os.read(self._out.fileno(), _CHUNK)
            taken += len(more)
            if taken > MOST_BYTES:
                raise UnreadableAnswer(f"The tool server says more than {MOST_BYTES:,} bytes, which are not read.")
            if not more and not self._begun:
                raise NoAnswer(f"The program of the tool server ended without an answer ({self._end()}).")
            # The last line of a program that ends may have no end.
            self._take(more or b"\n")

    def _take(self, more: bytes) -> None:
        first, *others = more.split(b"\n")
        self._begun += first
        for line in others:
            self._lines.append(bytes(self._begun))
            self._begun = bytearray(line)

    def _end(self) -> str:
        """How it ended, in words."""
        try:
            return f"exit code {self._process.wait(timeout=END_SESSION_S)}"
        except subprocess.TimeoutExpired:
            return "it still runs"


def _started(command: Sequence[str], env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], int]:
    """The process that watches over the program, and the end of the line that tells it so long that it is wanted."""
    program = shutil.which(str(Path("/", command[0])) if "/" in command[0] else command[0], path=env.get("PATH"))
    if program is None:
        raise CannotBeSent("The program of the tool server cannot be started: there is no such program.")
    pipe: tuple[int, ...] = ()
    try:
        pipe = theirs, ours = os.pipe()
        watched = [sys.executable, "-I", "-S", watch.__file__, str(theirs), program, *command[1:]]
        process = subprocess.Popen(
            watched, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=dict(env),
            cwd="/", start_new_session=True, bufsize=0, pass_fds=(theirs,),
        )  # fmt: skip
    except OSError as error:
        for end in pipe:
            os.close(end)
        # This machine has no processes, files or memory left; the program has not begun.
        raise NotSentYet(f"The program of the tool server cannot be started now: {error.strerror}.") from None
    os.close(theirs)
    return process, ours


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert process.stdin is not None and process.stdout is not None  # noqa: S101 - both are pipes
    os.set_blocking(process.stdin.fileno(), False)
    return process.stdin, process.stdout


def _is_ready(pipe: IO[bytes], event: int, ends_s: float) -> bool:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        # One that says something all the time is always ready.
        return False
    with selectors.PollSelector() as selector:
        selector.register(pipe, event)
        return bool(selector.select(left_s))
