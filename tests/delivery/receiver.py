"""A receiver of webhooks over real HTTP, which answers well or as badly as a test wants it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Answer = Callable[["Receiver", socket.socket], None]
LONGEST_S = 30.0


@dataclass
class Request:
    """What arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Listens on a free port of a loopback address. `answers` are given in turn, the last one again and again."""

    answers: list[Answer]
    host: str = "127.0.0.1"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    # How many connections were open at the same time, at most.
    most_at_once: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server((self.host, 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hooks"

    def serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._handle, args=(link, self.connections), daemon=True).start()

    def close(self) -> None:
        self.stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _handle(self, link: socket.socket, number: int) -> None:
        link.settimeout(LONGEST_S)
        try:
            with link, self._counted(link):
                self.requests.append(_read(link))
                self.answers[min(number, len(self.answers)) - 1](self, link)
        except OSError:
            # The other side has left.
            return

    @contextmanager
    def _counted(self, link: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(link)
            self.most_at_once = max(self.most_at_once, sum(map(_is_open, self._open)))
        try:
            yield
        finally:
            with self._lock:
                self._open.remove(link)


def _is_open(link: socket.socket) -> bool:
    """Whether the other side is still there: the thread of this one may not have heard of its end yet."""
    try:
        return not select.select([link], [], [], 0)[0] or bool(link.recv(1, socket.MSG_PEEK))
    except (OSError, ValueError):
        return False


def _read(link: socket.socket) -> Request:
    file = link.makefile("rb")
    line = file.readline().decode().strip()
    headers: dict[str, str] = {}
    while text := file.readline().decode().strip():
        name, _, value = text.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, file.read(int(headers.get("content-length", "0"))))


@contextmanager
def receiving(*answers: Answer, host: str = "127.0.0.1") -> Iterator[Receiver]:
    receiver = Receiver(list(answers), host)
    threading.Thread(target=receiver.serve, daemon=True).start()
    try:
        yield receiver
    finally:
        receiver.close()


def status(code: int, *, headers: str = "", content: bytes = b"ok") -> Answer:
    """Answer as HTTP should."""

    def answer(receiver: Receiver, link: socket.socket) -> None:
        head = f"HTTP/1.1 {code} Word\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
        link.sendall(head.encode() + content)

    return answer


def hang(receiver: Receiver, link: socket.socket) -> None:
    """Say nothing until the other side leaves."""
    link.recv(1)


def drip_head(receiver: Receiver, link: socket.socket) -> None:
    """Send a header that never ends, a letter at a time."""
    link.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not receiver.stop.wait(0.05):
        link.sendall(b"a")


def drip_content(receiver: Receiver, link: socket.socket) -> None:
    """Send a content that never ends, a letter at a time."""
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while not receiver.stop.wait(0.05):
        link.sendall(b"a")


def flood(receiver: Receiver, link: socket.socket) -> None:
    """Answer ten megabytes."""
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(100):
        link.sendall(b"x" * 100_000)


def flood_head(receiver: Receiver, link: socket.socket) -> None:
    """Send headers without end."""
    link.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        link.sendall(f"X-{number}: {'y' * 5_000}\r\n".encode())


def close_in_the_middle(receiver: Receiver, link: socket.socket) -> None:
    """Leave in the middle of the status line."""
    link.sendall(b"HTTP/1.1 2")


def cut_content(receiver: Receiver, link: socket.socket) -> None:
    """Promise more than is sent."""
    link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort")


def nul(receiver: Receiver, link: socket.socket) -> None:
    """Answer with a character that no database keeps."""
    link.sendall(b"HT\x00TP \xff\r\n\r\n")


def no_http(receiver: Receiver, link: socket.socket) -> None:
    link.sendall(b"220 mail.example.org ESMTP\r\n")
