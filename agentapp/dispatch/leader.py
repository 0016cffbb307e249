"""One of many dispatchers leads: the one whose session holds an advisory lock."""

from __future__ import annotations

import psycopg

from agentapp.lifecycle import database, leadership
from agentapp.observability import events


class Leader:
    """Holds a direct connection of its own, because the lock lives as long as its session."""

    def __init__(self) -> None:
        self._session: psycopg.Connection | None = None
        self._leading = False

    def leads(self) -> bool:
        """Tell whether this process leads now, trying to become the leader if nobody does.

        Raises:
            OSError: Postgres does not answer.
        """
        try:
            if self._session is None:
                self._session = database.session()
                self._leading = False
            if self._leading:
                leadership.still_there(self._session)
                return True
            self._leading = leadership.try_lead(self._session)
        except psycopg.Error as error:
            raise self._lost(error) from error
        if self._leading:
            events.emit("dispatcher.leads")
        return self._leading

    def wait(self, seconds: float) -> bool:
        """Sleep until somebody wakes the leader, at most so many seconds; tell whether somebody did.

        Raises:
            OSError: like `leads`.
        """
        try:
            return self._session is not None and leadership.woken(self._session, within_s=seconds)
        except psycopg.Error as error:
            raise self._lost(error) from error

    def _lost(self, error: psycopg.Error) -> ConnectionError:
        self.resign()
        return ConnectionError(f"Postgres does not answer: {error}")

    def resign(self) -> None:
        """Let somebody else lead."""
        if self._session is not None:
            self._session.close()
        self._session = None
        self._leading = False
