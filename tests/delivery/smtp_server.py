"""A mail server on loopback that takes one mail, or breaks off where a test tells it to."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import BinaryIO, cast


class MailServer:
    """`answers` overrides the reply to a command (EHLO, MAIL, RCPT, DATA, `.` for the end of the mail, QUIT).

    An empty answer closes the connection without a word. What arrived as mail is in `mails`, commands in `seen`.
    """

    def __init__(self, **answers: str) -> None:
        self.answers = {"EHLO": "250 sample.test", "DATA": "354 go on", "QUIT": "221 bye", **answers}
        self.mails: list[str] = []
        self.seen: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> MailServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A shutdown, because closing alone does not wake a thread that waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=120)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._talk(cast("BinaryIO", stream))

    def _talk(self, stream: BinaryIO) -> None:
        if not self._reply(stream, "GREETING", "220 sample.test"):
            return
        while line := stream.readline().decode():
            command = line.split(maxsplit=1)[0].upper()
            if not self._reply(stream, command, "250 ok"):
                return
            if command == "DATA" and self.answers["DATA"].startswith("354"):
                lines = []
                while (part := stream.readline().decode()) not in (".\r\n", ""):
                    lines.append(part)
                self.mails.append("".join(lines))
                if not self._reply(stream, ".", "250 taken"):
                    return
            if command == "QUIT":
                return

    def _reply(self, stream: BinaryIO, command: str, usual: str) -> bool:
        self.seen.append(command)
        answer = self.answers.get(command, usual)
        if answer:
            stream.write(f"{answer}\r\n".encode())
            stream.flush()
        return bool(answer)
