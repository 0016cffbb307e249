"""A small client of this API, on the standard library alone: what the commands speak to a running stack with."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlencode, urlsplit


class Unreachable(Exception):
    """Nothing answers at the address."""


class Refused(Exception):
    """The API answered with a problem document; its detail is the message."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "The request was refused.")
        self.status: int = problem["status"]
        self.problem = problem


class Client:
    """One address and one key. Each call is a request of its own, with `timeout_s` seconds to answer."""

    def __init__(self, url: str, api_key: str, *, timeout_s: float = 30) -> None:
        self._address = urlsplit(url)
        self._api_key = api_key
        self._timeout_s = timeout_s

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Raises Unreachable or Refused."""
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Raises Unreachable or Refused."""
        return self._ask("POST", path, json.dumps(body).encode())

    def _ask(self, method: str, path: str, body: bytes | None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._api_key}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connection()
        try:
            connection.request(method, self._address.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"Nothing answers at {self._address.geturl()}: {error}.") from error
        finally:
            connection.close()
        return _understood(answer.status, content)

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._address.scheme == "https" else http.client.HTTPConnection
        return kind(self._address.hostname or "", self._address.port, timeout=self._timeout_s)


def _understood(status: int, content: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(content)
    except ValueError:
        answer = {"detail": f"The answer {status} is not JSON; is this address agentapp's?"}
        status = max(status, 400)
    if status >= 400:
        raise Refused({"status": status} | answer)
    return dict(answer)
