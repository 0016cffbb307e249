"""kombu's transport for SQLAlchemy, on its tables, with the queue that a worker needs.

kombu's own keeps each message that was taken as a row that is marked, for good; its workers wait for the lock of the
one who is just taking; and all messages of a queue have one priority. Here a message is deleted when it is taken,
locked rows are passed over, and each priority is a queue of its own, like the lists of Redis.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport import sqlalchemy as kombu_sql
from kombu.transport import virtual
from kombu.transport.sqlalchemy.models import metadata
from sqlalchemy import create_engine, delete, func, literal, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError

from agentapp.dispatch.brokers import entries

CONNECTIONS, ANSWER_S = 5, 5
# Apart from every name of a queue.
SEPARATOR = "\x16"
_engines: dict[tuple[int, str], Any] = {}
_lock = threading.Lock()


class QoS(virtual.QoS):
    channel: Any

    def can_consume(self) -> bool:
        """A message is gone from its queue when it is taken: only free slots count."""
        return int(self.channel.free_slots()) > 0


class Channel(kombu_sql.Channel):
    QoS = QoS
    connection: Any
    queue_cls: Any
    message_cls: Any
    free_slots: Callable[[], int] = staticmethod(lambda: 1)

    def oldest(self, queue: str, priority: int, count: int) -> list[str]:
        """Return the messages of a queue and priority that are next."""
        messages, queues = self._tables()
        wanted = (
            select(messages.c.payload).join(queues, queues.c.id == messages.c.queue_id)
            .where(queues.c.name == _name(queue, priority)).order_by(messages.c.id).limit(count)
        )  # fmt: skip
        with self._engine().connect() as connection:
            return list(connection.execute(wanted).scalars())

    def _engine(self) -> Any:
        """One for each process: a child of a fork must not use the connections of its parent."""
        address = str(self.connection.client.hostname)
        with _lock:
            if (engine := _engines.get((os.getpid(), address))) is None:
                engine = _engines[os.getpid(), address] = create_engine(
                    address, isolation_level="AUTOCOMMIT", pool_size=CONNECTIONS, pool_timeout=ANSWER_S,
                    connect_args={"connect_timeout": ANSWER_S, "application_name": "agentapp queues"},
                )  # fmt: skip
                metadata.create_all(engine)
            return engine

    def _tables(self) -> tuple[Any, Any]:
        return self.message_cls.__table__, self.queue_cls.__table__

    def _new_queue(self, queue: str, **_: Any) -> None:
        _, queues = self._tables()
        rows = [{"name": _name(queue, step)} for step in entries.PRIORITY_STEPS]
        with self._engine().connect() as connection:
            connection.execute(insert(queues).values(rows).on_conflict_do_nothing(index_elements=[queues.c.name]))

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]  # kombu has two names
        messages, queues = self._tables()
        name = _name(queue, payload["properties"].get("priority") or 0)
        row = select(queues.c.id, *_values(payload)).where(queues.c.name == name)
        put = insert(messages).from_select(["queue_id", "payload", "visible", "version"], row)
        with self._engine().connect() as connection:
            if not connection.execute(put).rowcount:
                self._new_queue(queue)
                connection.execute(put)

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        messages, queues = self._tables()
        names = [_name(queue, step) for step in entries.PRIORITY_STEPS]
        first = (
            select(messages.c.id).join(queues, queues.c.id == messages.c.queue_id).where(queues.c.name.in_(names))
            .order_by(queues.c.name.collate("C"), messages.c.id).limit(1).with_for_update(of=messages, skip_locked=True)
        )  # fmt: skip
        take = delete(messages).where(messages.c.id == first.scalar_subquery()).returning(messages.c.payload)
        with self._engine().connect() as connection:
            payload = connection.execute(take).scalar()
        if payload is None:
            raise Empty
        found: dict[str, Any] = json.loads(payload)
        return found

    def _of(self, queue: str) -> Any:
        messages, queues = self._tables()
        names = [_name(queue, step) for step in entries.PRIORITY_STEPS]
        return messages.c.queue_id.in_(select(queues.c.id).where(queues.c.name.in_(names)))

    def _size(self, queue: str) -> int:
        messages, _ = self._tables()
        with self._engine().connect() as connection:
            found = connection.execute(select(func.count()).select_from(messages).where(self._of(queue)))
            return int(found.scalar() or 0)

    def _purge(self, queue: str) -> int:
        messages, _ = self._tables()
        with self._engine().connect() as connection:
            return int(connection.execute(delete(messages).where(self._of(queue))).rowcount)


class Transport(kombu_sql.Transport):
    Channel = Channel
    connection_errors = (OperationalError, InterfaceError, OSError)


def _values(payload: dict[str, Any]) -> tuple[Any, ...]:
    return literal(json.dumps(payload)).label("payload"), true().label("visible"), literal(1).label("version")


def _name(queue: str, priority: int) -> str:
    return f"{queue}{SEPARATOR}{priority}"
