"""A load balancer as a client of several web processes: requests go round those that are ready."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from tests.acceptance.waiting import until

IS_SENT = "http11.send_request_body.complete"


class Front:
    """Sends a request to the next web that is ready, and to another one where the connection is refused.

    It sends nothing twice: a request whose connection breaks later is lost for its client, who gets the error. A web
    that is removed may be asked to end while it still answers, or, `waits_for_answers`, once it has answered, as after
    the pause that Kubernetes makes before it.
    """

    def __init__(self, webs: dict[str, httpx2.Client], *, waits_for_answers: bool) -> None:
        self._webs = webs
        self._waits_for_answers = waits_for_answers
        self._ready: list[str] = []
        self._waited_for: Counter[str] = Counter()
        self._lock = threading.Lock()

    def ready(self) -> list[str]:
        with self._lock:
            return list(self._ready)

    def add(self, name: str) -> None:
        """Wait until a web says that it is ready, and send it requests from then on."""
        until(lambda: self._is_ready(name), f"{name} is ready")
        with self._lock:
            self._ready.append(name)

    def remove(self, name: str) -> None:
        """Send it nothing more, and return when it has read what it was sent: it may be asked to end then.

        Connections are accepted in their order, so when a new one is answered, all earlier ones are accepted.
        """
        with self._lock:
            self._ready.remove(name)
        until(lambda: not self._waited_for[name], f"the requests to {name} are sent")
        with httpx2.Client(base_url=self._webs[name].base_url, timeout=self._webs[name].timeout) as another:
            assert another.get("/healthz").status_code == 200

    def request(self, method: str, path: str, **more: Any) -> httpx2.Response:
        refused: set[str] = set()
        while True:
            name = self._next(refused)
            try:
                with self._counted(name) as trace:
                    return self._webs[name].request(method, path, extensions={"trace": trace}, **more)
            except httpx2.ConnectError:
                refused.add(name)

    def _next(self, refused: Collection[str]) -> str:
        with self._lock:
            able = [name for name in self._ready if name not in refused]
            assert able, f"nobody takes requests: of {self._ready} refused {sorted(refused)}"
            self._ready.remove(able[0])
            self._ready.append(able[0])
            self._waited_for[able[0]] += 1
            return able[0]

    @contextmanager
    def _counted(self, name: str) -> Iterator[Any]:
        """Wait no longer for a request that `_next` has counted once it is sent, or is answered, or has failed."""
        counted = [name]

        def done() -> None:
            with self._lock:
                self._waited_for[counted.pop()] -= 1

        def trace(event: str, _: object) -> None:
            if event == IS_SENT and counted and not self._waits_for_answers:
                done()

        try:
            yield trace
        finally:
            if counted:
                done()

    def _is_ready(self, name: str) -> bool:
        try:
            return self._webs[name].get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False
