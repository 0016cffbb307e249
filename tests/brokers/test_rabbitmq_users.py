"""What each user of RabbitMQ may do, and what it is refused, on Debian's server; and a deployment whose processes are
such users. [H4]"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from amqp.exceptions import AccessRefused
from celery import Celery
from django.core.management import CommandError, call_command
from kombu import Connection
from kombu.exceptions import OperationalError

from agentapp.dispatch import celery_conf
from agentapp.dispatch.brokers.base import PROBE
from agentapp.dispatch.brokers.rabbitmq import BROKER, MOST_URGENT, exchange_name
from tests.acceptance.deployment import commands, open_deployment, until
from tests.acceptance.test_flower import QUESTION, administrator, shows_every_tab
from tests.brokers import servers
from tests.brokers.test_users import PUTS, QUEUES, TAKES
from tests.tls import Certificates, TlsGateway

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(600)]

PUBLISHERS = {"web", "dispatcher"}
WORKERS = {name for name in PUTS if name.startswith("worker")}
# As a worker and a publisher declare them; RabbitMQ refuses other arguments.
PRIORITIES = {"x-max-priority": MOST_URGENT}
CONTROL, REPLIES, EVENTS = "celery.pidbox", "reply.celery.pidbox", "celeryev"
MAILBOX, ANSWERS, LISTENS = "send@host.celery.pidbox", f"{uuid4()}.{REPLIES}", f"{EVENTS}.{uuid4()}"
EXCHANGES = {CONTROL: ("fanout", False), REPLIES: ("direct", False), EVENTS: ("topic", True), PROBE: ("fanout", False)}
Ask = Callable[[Any], object]


def publishes(exchange: str, key: str = "") -> Ask:
    return lambda channel: channel.basic_publish(channel.prepare_message(b"{}"), exchange=exchange, routing_key=key)


def takes(queue: str) -> Ask:
    return lambda channel: channel.basic_get(queue, no_ack=True)


def purges(queue: str) -> Ask:
    return lambda channel: channel.queue_purge(queue)


def declares(queue: str, **more: Any) -> Ask:
    return lambda channel: channel.queue_declare(queue, durable=True, auto_delete=False, **more)


def binds(queue: str, exchange: str) -> Ask:
    return lambda channel: channel.queue_bind(queue, exchange, routing_key=queue)


# What only these may do.
PURPOSES: dict[str, tuple[Ask, set[str]]] = {
    "command workers": (publishes(CONTROL), {"flower"}),
    "tell events": (publishes(EVENTS, "task.multi"), WORKERS),
    "answer": (publishes(REPLIES, "x"), WORKERS),
    "show that the broker takes messages": (publishes(PROBE), PUBLISHERS),
    "declare a worker's mailbox": (declares(MAILBOX), {"worker_send"}),
    "bind a worker's mailbox": (binds(MAILBOX, CONTROL), {"worker_send"}),
    "read a worker's mailbox": (takes(MAILBOX), {"worker_send"}),
    "delete a worker's mailbox": (lambda channel: channel.queue_delete(MAILBOX, if_empty=True), {"worker_send"}),
    "declare a queue of answers": (declares(ANSWERS), {"flower"}),
    "bind a queue of answers": (binds(ANSWERS, REPLIES), {"flower"}),
    "read answers": (takes(ANSWERS), {"flower"}),
    "declare a queue of events": (declares(LISTENS), {"flower"}),
    "bind a queue of events": (binds(LISTENS, EVENTS), {"flower"}),
    "read events": (takes(LISTENS), {"flower"}),
}
FORBIDDEN: dict[str, Ask] = {
    "any queue by its name": publishes("", "send"),
    "a built-in exchange": publishes("amq.topic"),
    "another exchange": publishes("anything"),
    "the exchange of no class": publishes("agentapp.sending"),
    "a new queue": declares("anything"),
    "a queue with the name of a part": declares("sen"),
    "a queue with the server's name": declares(""),
    "a new exchange": lambda channel: channel.exchange_declare("anything", "fanout", auto_delete=False),
    "a built-in exchange again": lambda channel: channel.exchange_delete("amq.topic"),
    "the exchange of all logs": binds("send", "amq.rabbitmq.log"),
    "a queue at another exchange": binds("send", "amq.topic"),
}

# A process publishes there without declaring, or leaves it to the dispatcher.
LEFT_TO_OTHERS = {(worker, exchange_name(queue)) for worker in WORKERS for queue in QUEUES - TAKES[worker]}


@dataclass
class Users:
    server: servers.RabbitMQ
    addresses: dict[str, str]

    @contextmanager
    def session(self, process: str) -> Iterator[Connection]:
        """A session of a process; without one, of who may do all."""
        url = self.addresses[f"BROKER_URL_{process.upper()}"] if process else self.server.url
        with Connection(url, transport_options={"confirm_publish": True}) as made:
            yield made


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    folder = tmp_path_factory.mktemp("users")
    with servers.running("rabbitmq") as server, pytest.MonkeyPatch.context() as patch:
        assert isinstance(server, servers.RabbitMQ)
        patch.setattr("django.conf.settings.BROKER_URL", server.url)
        for _ in range(2):
            addresses = define(folder)
        server.control("import_definitions", str(folder / "users.json"))
        yield Users(server, addresses)


def define(folder: Path, *more: str) -> dict[str, str]:
    file = folder / "addresses"
    call_command(
        "broker_users", "--definitions", str(folder / "users.json"), "--addresses", str(file), *more, stdout=StringIO()
    )
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


@pytest.fixture
def declared(users: Users) -> Iterator[None]:
    """What processes declare, and nothing of it afterwards."""
    with users.session("") as owner:
        channel: Any = owner.channel()
        for name, (kind, durable) in EXCHANGES.items():
            channel.exchange_declare(name, kind, durable=durable, auto_delete=False)
        for queue in QUEUES:
            declares(queue, arguments=PRIORITIES)(channel)
            channel.exchange_declare(exchange_name(queue), "direct", durable=True, auto_delete=False)
            binds(queue, exchange_name(queue))(channel)
        for queue in (MAILBOX, ANSWERS, LISTENS):
            declares(queue)(channel)
        yield
        for queue in (*QUEUES, MAILBOX, ANSWERS, LISTENS):
            channel.queue_delete(queue)
        for exchange in (*EXCHANGES, *map(exchange_name, QUEUES)):
            channel.exchange_delete(exchange)


def is_refused(session: Connection, ask: Ask) -> bool:
    channel: Any = session.channel()
    try:
        ask(channel)
    except AccessRefused:
        return True
    channel.close()
    return False


def test_a_user_puts_and_takes_messages_of_its_own_queues_alone(users: Users, declared: None) -> None:
    wrong = []
    for process in PUTS:
        with users.session(process) as session:
            for queue in sorted(QUEUES):
                takes_it = queue in TAKES.get(process, ())
                declares_it = takes_it or process in PUBLISHERS
                asks = {
                    publishes(exchange_name(queue), queue): queue in PUTS[process],
                    takes(queue): takes_it,
                    purges(queue): takes_it,
                    declares(queue, arguments=PRIORITIES): declares_it,
                    binds(queue, exchange_name(queue)): declares_it,
                }
                if [not is_refused(session, ask) for ask in asks] != list(asks.values()):
                    wrong.append((process, queue))
    assert not wrong
    assert {("flower", "agentapp.send"), ("web", "send"), ("worker_model", "send")} <= refused(users.server.log())


def test_a_user_is_refused_what_it_is_not_there_for(users: Users, declared: None) -> None:
    wrong = []
    for process in PUTS:
        with users.session(process) as session:
            wrong += [(process, what) for what, ask in FORBIDDEN.items() if not is_refused(session, ask)]
            wrong += [
                (process, what) for what, (ask, allowed) in PURPOSES.items()
                if is_refused(session, ask) == (process in allowed)
            ]  # fmt: skip
    assert not wrong


def test_a_queue_that_somebody_has_deleted_gets_messages_again_after_a_look(users: Users, declared: None) -> None:
    # Only who may do all throws messages away.
    looks: dict[str, Ask] = {
        "dispatcher": lambda channel: BROKER.waiting(channel, "send", 0),
        "": lambda channel: BROKER.purge(channel, ["send"]),
    }
    for process, look in looks.items():
        with users.session(process) as session:
            channel: Any = session.channel()
            channel.queue_delete("send")
            look(channel)
            publishes(exchange_name("send"), "send")(channel)
            assert channel.queue_declare("send", passive=True).message_count == 1


def test_passwords_are_kept_and_what_would_do_nothing_is_refused(users: Users, tmp_path: Path, settings: Any) -> None:
    first = define(tmp_path)
    assert define(tmp_path) == first
    hashes = (tmp_path / "users.json").read_text()
    assert not any(str(Connection(address).password) in hashes for address in first.values())
    with pytest.raises(CommandError, match="another user"):
        define(tmp_path, "--prefix", "mine")
    with pytest.raises(CommandError, match="--definitions needs --addresses"):
        define(tmp_path, "--rotate")
    settings.BROKER_URL = "redis://h/0"
    with pytest.raises(CommandError, match="BROKER_URL names none"):
        define(tmp_path)


def test_amqps_checks_the_certificate_and_its_name(users: Users, tmp_path: Path, settings: Any) -> None:
    certificates = Certificates(tmp_path)
    plain = Connection(users.addresses["BROKER_URL_WEB"])
    with TlsGateway(("127.0.0.1", plain.port or 0), certificates) as gateway:
        authority = f"ssl_ca_certs={certificates.authority}"
        for host, query, is_accepted in (
            ("localhost", f"?{authority}", True),
            ("localhost", "", False),
            ("127.0.0.1", f"?{authority}", False),
            ("127.0.0.1", f"?{authority}&ssl_check_hostname=false", True),
        ):
            settings.BROKER_URL = f"amqps://{plain.userid}:{plain.password}@{host}:{gateway.port}//{query}"
            app = Celery("tls", set_as_current=False)
            app.conf.update(celery_conf.settings())
            with app.connection() as connection:
                if is_accepted:
                    connection.ensure_connection(max_retries=1, timeout=10)
                    assert not is_refused(connection, declares("send", arguments=PRIORITIES))
                else:
                    with pytest.raises(OperationalError, match="certificate"):
                        connection.ensure_connection(max_retries=1, timeout=1)
            app.close()
        assert not gateway.plain and gateway.refused


def test_each_process_works_as_a_user_of_its_own(users: Users) -> None:
    lines = {name: line for name, line in commands().items() if name != "dispatcher_b"}
    processes, before = set(lines) - {"model"}, len(users.server.log())
    with open_deployment(lines, env={"BROKER_URL": users.server.url, **users.addresses}) as deployment:
        sent = deployment.submit("support_reply", **QUESTION)
        deployment.reach(sent, "awaiting_approval")
        deployment.approve(sent)
        deployment.reach(sent, "completed")
        until(lambda: connected(users.server) >= processes, "all are connected as their users")
        # A worker that ends takes its queue of remote control away.
        pid = deployment.pid("worker_send")
        os.kill(pid, signal.SIGTERM)
        until(lambda: not psutil.pid_exists(pid) and "worker_send" in connected(users.server), "another is connected")
        workers = deployment.flower.get("/api/workers?refresh=true", auth=administrator(deployment))
        assert len(workers.json()) == len(WORKERS), workers.text
        shows_every_tab(deployment, deployment.jobs(sent)[0])

    assert refused(users.server.log()[before:]) <= LEFT_TO_OTHERS


def connected(server: servers.RabbitMQ) -> set[str]:
    return {name.removeprefix("agentapp_") for name in server.control("list_connections", "user").split()}


def refused(log: str) -> set[tuple[str, str]]:
    """Which users were refused which names."""
    found = re.findall(r"(?:exchange|queue) '([^']*)' in vhost '/' refused for user 'agentapp_(\w+)'", log)
    return {(user, name) for name, user in found}
