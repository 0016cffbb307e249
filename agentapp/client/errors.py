"""What a client can meet."""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Root of the errors of the client."""


class Unreachable(ClientError):
    """Nothing answers at the address, or not in time. Whether a request was handled is not known."""

    @classmethod
    def at(cls, url: object, error: Exception) -> Unreachable:
        """Say that nothing answers at this address, and why."""
        return cls(f"Nothing answers at {url}: {str(error) or type(error).__name__}.")


class Refused(ClientError):
    """The API answered with a problem document; its detail is the message.

    `retry_after_s` is what the service asks for, in seconds, or None.
    """

    def __init__(self, problem: dict[str, Any], *, retry_after_s: float | None = None) -> None:
        super().__init__(problem.get("detail") or problem.get("title") or "The request was refused.")
        self.status: int = problem["status"]
        self.problem = problem
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """The last part of the problem's type, such as `invalid-input`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]

    @property
    def errors(self) -> list[dict[str, str]]:
        """What is wrong with single fields: {"field", "message"}."""
        found: list[dict[str, str]] = self.problem.get("errors", [])
        return found


class NotInTime(ClientError):
    """A task was not where it was waited for in time; `task` is how it was seen last."""

    def __init__(self, task: dict[str, Any]) -> None:
        super().__init__(f"The task {task['id']} is {task['state']}.")
        self.task = task
