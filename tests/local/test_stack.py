import json
import os
import shutil
import signal
import socket
import stat
import urllib.request
from pathlib import Path

import psycopg
import pytest
import redis

from agentapp.local.problem import StackProblem
from tests.local.conftest import COMMANDS, is_gone, pool_child_of, until


def read_stack_file(home):
    return json.loads((home / "stack.json").read_text())


def test_a_running_stack_says_where_everything_is_to_its_owner_alone(home, make_stack):
    with make_stack() as stack:
        about = read_stack_file(home)
        mode = stat.S_IMODE((home / "stack.json").stat().st_mode)
        with urllib.request.urlopen(about["url"]) as answer:
            assert answer.status == 200

    assert about == about | {"mail_dir": str(home / "outbox"), "admin_user": "admin"}
    assert set(about) == {
        *("url", "api_key", "approver_api_key", "admin_url", "admin_user", "admin_password", "flower_url"),
        *("database_url", "redis_url", "broker_url", "model_url", "mail_dir", "mail_is_sent", "pids"),
    }
    assert set(about["pids"]) == set(COMMANDS)
    assert mode == 0o600
    assert stack.stack == {}


def test_a_stopped_stack_leaves_no_process_and_no_stack_file(home, make_stack):
    with make_stack():
        pids = read_stack_file(home)["pids"]
        pool_child = pool_child_of(pids["worker_b"])

    assert all(is_gone(pid) for pid in [*pids.values(), pool_child])
    assert not (home / "stack.json").exists()


def test_credentials_are_made_once(make_stack):
    first, second = make_stack(), make_stack()
    with first:
        password, was_new = first.stack["admin_password"], first.is_first_start
    with second:
        assert (second.stack["admin_password"], second.is_first_start) == (password, False)
    assert was_new


def test_a_killed_process_comes_back_and_the_stack_file_names_the_new_one(home, make_stack):
    with make_stack():
        before = read_stack_file(home)["pids"]
        pool_child = pool_child_of(before["worker_b"])
        os.kill(before["worker_b"], signal.SIGKILL)
        until(lambda: read_stack_file(home)["pids"]["worker_b"] != before["worker_b"], "a new worker_b")

        after = read_stack_file(home)["pids"]
        assert {name for name in before if before[name] != after[name]} == {"worker_b"}
        assert is_gone(pool_child)
        assert not is_gone(after["worker_b"])


def test_killed_servers_come_back_with_what_they_held(home, make_stack):
    with make_stack(own_servers=True) as stack:
        about = dict(stack.stack)
        with psycopg.connect(about["database_url"], autocommit=True) as connection:
            connection.execute("create table kept as select 42 as answer")
        for name in ("postgres", "valkey"):
            os.kill(about["pids"][name], signal.SIGKILL)

        until(lambda: answers(about), "both servers answer again")
        with psycopg.connect(about["database_url"]) as connection:
            assert connection.execute("select answer from kept").fetchone() == (42,)


def answers(about):
    try:
        with psycopg.connect(about["database_url"]), redis.Redis.from_url(about["redis_url"]) as client:
            return client.ping() and read_stack_file_pids_differ(about)
    except (psycopg.OperationalError, redis.RedisError):
        return False


def read_stack_file_pids_differ(about):
    return all(is_gone(about["pids"][name]) for name in ("postgres", "valkey"))


def test_a_process_that_cannot_stay_up_ends_the_start_with_its_own_words(home, make_stack):
    stack = make_stack(commands={"web": "echo the port is on fire >&2; exit 3"})

    with pytest.raises(StackProblem, match="web does not stay up") as refusal:
        stack.start()

    assert "the port is on fire" in str(refusal.value)
    assert not (home / "stack.json").exists()


def test_a_taken_port_is_a_sentence_and_nothing_is_started(home, make_stack):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(StackProblem, match=rf"Port {port} cannot be used .*PORT=0"):
            make_stack(port=port).start()

    assert not (home / "logs").exists()


def test_a_second_stack_on_the_same_home_is_told_of_the_first(make_stack):
    with make_stack() as first, pytest.raises(StackProblem, match=first.stack["url"]):
        make_stack().start()


def test_a_stack_that_is_killed_leaves_nothing_in_the_way_of_the_next(home, make_stack, stack_process):
    about = read_stack_file(home)
    pool_child = pool_child_of(about["pids"]["worker_b"])
    stack_process.kill()
    stack_process.wait()

    with make_stack(own_servers=True) as stack:
        assert all(is_gone(pid) for pid in [*about["pids"].values(), pool_child])
        with psycopg.connect(stack.stack["database_url"]) as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_stack_under_a_long_path_with_spaces_has_its_socket_elsewhere(home, make_stack):
    stack = make_stack(own_servers=True)
    stack.home = home / "a directory with spaces" / ("x" * 120)
    stack.home.mkdir(parents=True)
    stack._logs = stack.home / "logs"

    with stack, psycopg.connect(stack.stack["database_url"]) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
        socket_directory = Path(connection.info.host)
    shutil.rmtree(socket_directory)
