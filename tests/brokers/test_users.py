"""What each user of Redis or Valkey may do, and what it is refused, on a server that has them. [H4]"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.core.management import CommandError, call_command
from kombu.transport import redis as kombu_redis
from redis import AuthenticationError, Redis, ResponseError
from redis.exceptions import NoPermissionError

from agentapp.dispatch import previews, publisher, teller
from agentapp.dispatch.broker_pool import BrokerPool
from agentapp.dispatch.brokers import entries
from agentapp.dispatch.brokers.redis import PROBE_KEY, SENTINEL
from agentapp.dispatch.publisher import Batch
from agentapp.ids import uuid7
from agentapp.lifecycle.opened import Link, Opened
from agentapp.local.valkey import EmbeddedValkey
from tests import homes
from tests.brokers import valkey

QUEUES = {"model", "retrieval", "tools", "documents", "send", "webhooks"}
PUTS = {
    "web": QUEUES, "dispatcher": QUEUES, "worker_model": {"model", "retrieval", "tools", "documents"},
    "worker_send": {"send", "model"}, "worker_webhooks": {"webhooks", "tools", "model"},
    "worker_documents": {"documents", "model", "retrieval"}, "flower": set(),
}  # fmt: skip
TAKES = {
    "worker_model": {"model", "retrieval"}, "worker_send": {"send"}, "worker_webhooks": {"webhooks", "tools"},
    "worker_documents": {"documents"},
}  # fmt: skip
# The stubs leave its scripts out.
KOMBU: Any = kombu_redis
TEXT = previews.key(str(uuid7()), 1)
# Statements by who may make them; all others are refused.
PURPOSES: dict[tuple[Any, ...], set[str]] = {
    ("SUBSCRIBE", teller.CHANNEL): {"web"},
    ("SUBSCRIBE", previews.CHANNEL): {"web"},
    ("PSUBSCRIBE", "/0.celery.pidbox"): {name for name in PUTS if name.startswith("worker")},
    ("PSUBSCRIBE", "/0.celeryev/*"): {"flower"},
    ("LLEN", "send@host.celery.pidbox"): {name for name in PUTS if name.startswith("worker")},
    ("DEL", "send@host.celery.pidbox"): {name for name in PUTS if name.startswith("worker")},
    ("PEXPIRE", "send@host.celery.pidbox\x06\x163", "9"): {name for name in PUTS if name.startswith("worker")},
    ("PUBLISH", "/0.celery.pidbox", "{}"): {"flower"},
    ("PUBLISH", "/0.celeryev/task.multi", "{}"): {name for name in PUTS if name.startswith("worker")},
    ("PUBLISH", teller.CHANNEL, "[]"): set(PUTS) - {"flower"},
    ("PUBLISH", previews.CHANNEL, "[]"): {"worker_model"},
    ("EVAL", previews.TELL, 1, TEXT, "[]", "12345678", 0, "text", 1): {"worker_model"},
    ("EVAL", previews.READ, 1, TEXT, 8, 0): {"web", "worker_model"},
    ("SET", SENTINEL, "1"): {"dispatcher"},
    ("GET", SENTINEL): {"dispatcher"},
    ("SET", PROBE_KEY, "1", "EX", 60): {"web", "dispatcher"},
    ("ZADD", "agentapp:looks:x", 1, "anna"): {"web"},
    ("SADD", "_kombu.binding.send", "x"): {"web", "dispatcher", "worker_send"},
}
FORBIDDEN: tuple[tuple[Any, ...], ...] = (
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("SCAN", 0), ("RANDOMKEY",), ("DBSIZE",), ("SWAPDB", 0, 1),
    ("CONFIG", "GET", "*"), ("CONFIG", "SET", "dir", "/tmp"), ("CONFIG", "REWRITE"), ("INFO",), ("MONITOR",),
    ("ACL", "LIST"), ("ACL", "SETUSER", "friend", "on", "nopass", "~*", "+@all"), ("ACL", "WHOAMI"), ("ACL", "LOG"),
    ("CLIENT", "LIST"), ("CLIENT", "KILL", "TYPE", "normal"), ("CLIENT", "PAUSE", 1), ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "192.0.2.1", 6379), ("SAVE",), ("BGSAVE",), ("BGREWRITEAOF",),
    ("MODULE", "LIST"), ("FUNCTION", "LIST"), ("FUNCTION", "FLUSH"), ("SCRIPT", "FLUSH"), ("SCRIPT", "KILL"),
    ("SLOWLOG", "GET"), ("LATENCY", "RESET"), ("MEMORY", "DOCTOR"), ("PUBSUB", "CHANNELS"), ("COMMAND",),
    ("EVAL", "return redis.call('FLUSHALL')", 0), ("EVAL", "return redis.call('RPOP', KEYS[1])", 1, "send2"),
    ("EVAL", "return redis.call('KEYS', '*')", 0), ("SORT", "send"), ("DUMP", "send"), ("OBJECT", "ENCODING", "send"),
    ("RENAME", "send", "model"), ("COPY", "send", "model"), ("LMOVE", "send", "model", "LEFT", "LEFT"),
    ("RPOPLPUSH", "send", "model"), ("DEL", "send"), ("UNLINK", "send"), ("LTRIM", "send", 1, 0),
    ("LINDEX", "send", 0), ("LSET", "send", 0, ""), ("EXPIRE", "send", 1), ("TYPE", "send"),
    ("LPUSH", "sending", "x"), ("LPUSH", "sendxx3", "x"),
    ("LPUSH", "anything", "x"), ("SET", "anything", "x"), ("GET", "anything"), ("PUBLISH", "anything", "x"),
    ("ZADD", "_kombu.binding.celery.pidbox", 1, "x"), ("SADD", "_kombu.binding_deadlines", "x"),
    ("LPUSH", "_kombu.binding.reply.celery.pidbox", "x"),
    ("SUBSCRIBE", "anything"), ("PSUBSCRIBE", "*"), ("SADD", "_kombu.binding.anything", "x"), ("HGETALL", "unacked"),
    ("XADD", "anything", "*", "a", "b"), ("MIGRATE", "192.0.2.1", 6379, "send", 0, 10),
)  # fmt: skip


@dataclass
class Users:
    server: EmbeddedValkey
    file: Path
    run: Callable[..., str]

    def addresses(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.file.read_text().splitlines())

    @contextmanager
    def session(self, process: str) -> Iterator[Redis]:
        # By the older protocol, what answers to SUBSCRIBE is an answer.
        with Redis.from_url(self.addresses()[f"REDIS_URL_{process.upper()}"], protocol=2) as client:
            yield client


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedValkey]:
    home = homes.make()
    try:
        with valkey.started(home) as started:
            yield started
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def users(server: EmbeddedValkey, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Users:
    settings.BROKER_URL, settings.REDIS_URL = server.url, ""
    monkeypatch.setenv("REDIS_URL", server.url)
    monkeypatch.delenv("BROKER_URL", raising=False)
    file = server.home / "users.env"

    def run(*arguments: str) -> str:
        said = StringIO()
        call_command("broker_users", *arguments, stdout=said)
        return said.getvalue()

    made = Users(server, file, run)
    made.run("--apply", "--addresses", str(file))
    return made


def test_channels_of_workers_are_those_of_the_database_that_celery_uses(settings: Any) -> None:
    """Beside it another one may hold previews. A worker that may not listen to its channel does not start."""
    settings.BROKER_URL, settings.REDIS_URL = "redis://here.test:6379/2", "redis://there.test:6379/1"
    said = StringIO()
    call_command("broker_users", stdout=said)

    assert "&/2.celery.pidbox" in said.getvalue() and "&/1." not in said.getvalue()


def is_refused(client: Redis, *command: Any) -> bool:
    """Whether the server refuses a command to the user. It forgets what it subscribes to."""
    try:
        client.execute_command(*command)
    except NoPermissionError:
        return True
    except ResponseError as error:
        # Within a script.
        return "ACL failure" in str(error)
    finally:
        if "SUBSCRIBE" in command[0]:
            client.connection_pool.disconnect()
    return False


def lists(queue: str) -> list[str]:
    return [f"{queue}\x06\x16{step}" if step else queue for step in entries.PRIORITY_STEPS]


def test_a_user_puts_and_takes_messages_of_its_own_queues_alone(users: Users) -> None:
    wrong = []
    for process in PUTS:
        with users.session(process) as client:
            for queue, name in [(each, name) for each in sorted(QUEUES) for name in lists(each)]:
                commands = (("LPUSH", name, "x"), ("BLMPOP", 0.001, 1, name, "LEFT"), ("LRANGE", name, -8, -1))
                found = [not is_refused(client, *command) for command in commands]
                if found != [queue in PUTS[process], queue in TAKES.get(process, ()), process == "dispatcher"]:
                    wrong.append((process, name, found))
    assert not wrong


def test_a_user_is_refused_what_it_is_not_there_for(users: Users) -> None:
    wrong = []
    for process in PUTS:
        with users.session(process) as client:
            wrong += [(process, command) for command in FORBIDDEN if not is_refused(client, *command)]
            wrong += [
                (process, command) for command, allowed in PURPOSES.items()
                if is_refused(client, *command) == (process in allowed)
            ]  # fmt: skip
    assert not wrong


def test_who_takes_part_in_remote_control_keeps_its_bindings(users: Users) -> None:
    table, deadlines = "_kombu.binding.celery.pidbox", "_kombu.binding_deadlines"
    for process in ("worker_send", "flower"):
        with users.session(process) as client:
            client.register_script(KOMBU.REFRESH_BINDING)(keys=[table, deadlines], args=["queue", "celery.pidbox", -1])
            prefixes = ["_kombu.binding.", "_kombu.binding_permanent."]
            assert client.register_script(KOMBU.SWEEP_BINDINGS)(keys=[deadlines], args=[*prefixes, 100]) == 1
            assert client.smembers(table) == set()
            answers = f"{uuid4()}.reply.celery.pidbox"
            assert is_refused(client, "LPUSH", answers, "{}") is (process == "flower")
            assert is_refused(client, "BRPOP", answers, 0.001) is (process != "flower")


def test_a_message_for_a_queue_that_is_refused_is_left_to_the_dispatcher(
    db: None, users: Users, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf: Any = current_app.conf
    monkeypatch.setattr(conf, "broker_write_url", users.addresses()["REDIS_URL_WORKER_MODEL"])
    monkeypatch.setattr(publisher, "pool", BrokerPool())
    monkeypatch.setattr(publisher, "_refused", publisher.Refused())

    def sent(*queues: str) -> bool:
        batch = Batch()
        for queue in queues:
            batch.add(Opened((Link(str(uuid7()), "probe_part", queue, 0),)))
        return batch.send()

    with Redis.from_url(users.server.url) as owner:
        owner.delete("model", "send")
        assert [sent("model"), sent("send", "model")] == [True, False]
        owner.execute_command("ACL", "LOG", "RESET")
        assert [sent("send"), sent("model")] == [False, True]

        assert (owner.llen("send"), owner.llen("model")) == (0, 3)
        # What was refused a moment ago is not asked for again.
        assert not owner.acl_log()


def test_passwords_change_without_a_moment_in_which_none_holds(users: Users) -> None:
    def holds(address: str) -> bool:
        with suppress(AuthenticationError), Redis.from_url(address) as client:
            return bool(client.ping())
        return False

    arguments = ("--apply", "--addresses", str(users.file))
    first = users.addresses()["REDIS_URL_WEB"]
    said = users.run(*arguments)
    assert users.addresses()["REDIS_URL_WEB"] == first
    users.run(*arguments, "--rotate")
    second = users.addresses()["REDIS_URL_WEB"]
    assert second != first
    users.run(*arguments)
    assert (holds(first), holds(second)) == (True, True)
    users.run(*arguments, "--only-these")
    assert (holds(first), holds(second)) == (False, True)

    assert users.file.stat().st_mode & 0o777 == 0o600
    password = re.search(r":([^:@]+)@", second)
    assert password and password[1] not in said + users.run("--addresses", str(users.file))
    with pytest.raises(CommandError, match="without a password"):
        users.run("--apply", "--only-these")
    with pytest.raises(CommandError, match="another user"):
        users.run("--prefix", "mine", "--addresses", str(users.file))


def test_the_lines_that_it_prints_are_those_of_a_file_that_the_server_reads(users: Users) -> None:
    with Redis.from_url(users.server.url) as owner:
        applied = sorted(owner.acl_list())
        users.server.program()  # as a restart begins
        kept = (users.server.data / "users.acl").read_text().splitlines()
        assert sorted(kept) == applied

        default = next(line for line in kept if line.startswith("user default "))
        printed = users.run("--addresses", str(users.file))
        (users.server.data / "users.acl").write_text(f"{default}\n{printed}")
        owner.execute_command("ACL", "LOAD")
        assert sorted(owner.acl_list()) == applied
