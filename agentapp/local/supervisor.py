"""Keep programs running: start, restart with back-off when one dies, stop in order."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path

from agentapp.local.child import Child, Program

POLL_S = 0.05
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
STEADY_S = 10.0  # a program that lived this long starts again without waiting for its earlier deaths
STOP_GRACE_S = 10.0


class _Watched:
    """A program, its present life, and how often it died young."""

    def __init__(self, program: Program, child: Child) -> None:
        self.program = program
        self.child = child
        self.early_deaths = 0
        self.start_again_at: float | None = None


class Supervisor:
    """Runs programs from one thread of its own, so that callers may come from any thread.

    Both callbacks are called in that thread: `on_change(children)` after each start of a program, with all that run, by
    name; `on_death(name, exit_code, wait_s)` when one has ended by itself and starts again after that wait.
    """

    def __init__(
        self,
        *,
        logs: Path,
        on_change: Callable[[dict[str, Child]], None] = lambda children: None,
        on_death: Callable[[str, int, float], None] = lambda name, exit_code, wait_s: None,
    ) -> None:
        self._logs = logs
        self._on_change = on_change
        self._on_death = on_death
        self._watched: dict[str, _Watched] = {}
        self._lock = threading.RLock()
        self._requests: queue.SimpleQueue[tuple[Program, Future[Child]]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)
        self._thread.start()

    def start(self, program: Program) -> Child:
        """Start a program and keep it running.

        Raises:
            OSError: it cannot be started at all.
        """
        started: Future[Child] = Future()
        self._requests.put((program, started))
        return started.result()

    def deaths(self, name: str) -> int:
        """How often this program has died young since it was last steady."""
        with self._lock:
            return self._watched[name].early_deaths

    def children(self) -> dict[str, Child]:
        with self._lock:
            return {name: watched.child for name, watched in self._watched.items()}

    def stop(self, names: Iterable[str], *, grace_s: float = STOP_GRACE_S) -> None:
        """Stop these programs side by side: ask, wait `grace_s` in all, kill what is left."""
        with self._lock:
            stopping = [self._watched.pop(name).child for name in names if name in self._watched]
            for child in stopping:
                child.ask_to_stop()
        deadline = time.monotonic() + grace_s
        for child in stopping:
            child.wait(timeout_s=deadline - time.monotonic())
            child.kill()

    def close(self) -> None:
        """End the thread, and with it whatever still runs."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(queue.Empty):
                program, started = self._requests.get(timeout=POLL_S)
                self._start_new(program, started)
            self._look_after()
        self.stop(list(self.children()))

    def _start_new(self, program: Program, started: Future[Child]) -> None:
        try:
            child = Child(program, log=self._log(program))
        except OSError as error:
            started.set_exception(error)
            return
        with self._lock:
            self._watched[program.name] = _Watched(program, child)
            self._on_change(self.children())
        started.set_result(child)

    def _look_after(self) -> None:
        with self._lock:
            restarted = [name for name, watched in self._watched.items() if self._revive(watched)]
            if restarted:
                self._on_change(self.children())

    def _revive(self, watched: _Watched) -> bool:
        """Start a dead program again when its wait is over; return whether it was started."""
        exit_code = watched.child.exit_code()
        if exit_code is None:
            if watched.child.lived_s() > STEADY_S:
                watched.early_deaths = 0
            return False
        if watched.start_again_at is None:
            self._bury(watched, exit_code)
        if watched.start_again_at is None or time.monotonic() < watched.start_again_at:
            return False
        try:
            watched.child = Child(watched.program, log=self._log(watched.program))
        except OSError:  # out of memory or processes: as if it had died at once
            watched.start_again_at = time.monotonic() + BACKOFF_MAX_S
            return False
        watched.start_again_at = None
        return True

    def _bury(self, watched: _Watched, exit_code: int) -> None:
        watched.child.kill()  # its pool children must not work beside its successor's
        wait_s = min(BACKOFF_FIRST_S * 2**watched.early_deaths, BACKOFF_MAX_S)
        watched.start_again_at = time.monotonic() + wait_s
        watched.early_deaths += 1
        self._on_death(watched.program.name, exit_code, wait_s)

    def _log(self, program: Program) -> Path:
        return self._logs / f"{program.name}.log"
