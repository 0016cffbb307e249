"""Addresses with special characters: read as they are meant, or refused in words that repeat no password."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import quote

import pytest
from django.core.exceptions import ImproperlyConfigured
from kombu.utils.url import parse_url as read_by_kombu
from redis.connection import parse_url as read_by_redis

from agentapp.lifecycle.postgresql.client import DatabaseClient
from agentapp.local.stack import CHECKOUT
from config import addresses, env, env_models
from config.setting import Setting

SPECIAL = "# % @ / : ? ; & = + [ ] ' \" \\ é €"
ENCODED = quote(SPECIAL, safe="")
WITH_ACCOUNT = (
    (env.DATABASE_URL, "postgresql://user:{}@db.example.org:5433/name"),
    (env.REDIS_URL, "redis://user:{}@broker.example.org:6380/2"),
    (env.EMAIL_URL, "smtp://user:{}@mail.example.org:587/?tls=1"),
    (env_models.MODEL_BASE_URL, "https://user:{}@models.example.org/v1"),
)
each_address = pytest.mark.parametrize(("setting", "url"), WITH_ACCOUNT, ids=[item[0].name for item in WITH_ACCOUNT])


def read(setting: Setting[str], url: str) -> str:
    return setting.read({setting.name: url})


def test_a_database_gets_the_password_that_was_meant():
    url = read(env.DATABASE_URL, f"postgresql://user:{ENCODED}@db.example.org:5433/name")
    entry = addresses.database(url, pool_max=0, pool_wait_s=0)

    assert (entry["USER"], entry["PASSWORD"], entry["HOST"], entry["PORT"]) == ("user", SPECIAL, "db.example.org", 5433)


def test_a_server_that_says_nothing_is_noticed_within_half_a_minute_unless_the_address_says_otherwise():
    entry = addresses.database("postgresql://db.example.org/name", pool_max=0, pool_wait_s=0)
    named = addresses.database(
        "postgresql://db.example.org/name?connect_timeout=60&keepalives_idle=7", pool_max=0, pool_wait_s=0
    )

    options = entry["OPTIONS"]
    gives_up_after_s = options["keepalives_idle"] + options["keepalives_interval"] * options["keepalives_count"]
    assert 0 < options["connect_timeout"] <= 30 and 0 < gives_up_after_s <= 30
    assert 0 < options["tcp_user_timeout"] <= 30_000 and options["target_session_attrs"] == "read-write"
    assert named["OPTIONS"] == options | {"connect_timeout": 60, "keepalives_idle": 7}


def test_several_servers_of_a_database_are_tried_in_their_order():
    url = read(env.DATABASE_URL, f"postgresql://user:{ENCODED}@pg1.example.org,[2001:db8::1]:5433/name?sslmode=require")
    entry = addresses.database(url, pool_max=0, pool_wait_s=0)

    assert (entry["USER"], entry["PASSWORD"], entry["HOST"], entry["NAME"]) == ("user", SPECIAL, "", "name")
    options = {name: entry["OPTIONS"][name] for name in ("host", "port", "sslmode", "target_session_attrs")}
    assert options == {
        "host": "pg1.example.org,2001:db8::1", "port": "5432,5433", "sslmode": "require",
        "target_session_attrs": "read-write",
    }  # fmt: skip
    assert read(env.DATABASE_URL, "postgresql://user:a,b@db.example.org/name") == (
        "postgresql://user:a%2Cb@db.example.org/name"
    )
    with pytest.raises(ImproperlyConfigured, match="several servers"):
        read(env.DATABASE_URL, "postgresql://pg1.example.org,:5432/name")


def test_the_shell_of_the_database_goes_to_the_server_that_the_query_names():
    for url, host, port in (
        ("postgresql://user:x@/name?host=%2Frun%2Fpg&port=5433", "/run/pg", "5433"),
        (
            "postgresql://user:x@pg1.example.org,pg2.example.org:5433/name",
            "pg1.example.org,pg2.example.org",
            "5432,5433",
        ),
        ("postgresql://user:x@pg1.example.org:5433/name", "pg1.example.org", "5433"),
    ):
        entry = addresses.database(read(env.DATABASE_URL, url), pool_max=0, pool_wait_s=0)
        args, variables = DatabaseClient.settings_to_cmd_args_env(entry, ["-c", "select 1"])

        assert args == ["psql", "-U", "user", "-h", host, "-p", port, "-c", "select 1", "name"]
        assert variables == {"PGPASSWORD": "x", "PGTARGETSESSIONATTRS": "read-write"}


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_kombu_and_redis_py_get_the_same_account_of_a_broker(scheme):
    url = read(env.REDIS_URL, f"{scheme}://user:{ENCODED}@broker.example.org:6380/2")
    kombu, redis = read_by_kombu(url), read_by_redis(url)

    assert (kombu["userid"], kombu["password"], kombu["hostname"]) == ("user", SPECIAL, "broker.example.org")
    assert (redis["username"], redis["password"], redis["host"]) == ("user", SPECIAL, "broker.example.org")
    assert (kombu["port"], kombu["virtual_host"], redis["port"], redis["db"]) == (6380, "2", 6380, 2)


def test_a_mail_server_gets_the_password_that_was_meant():
    settings = addresses.mail(read(env.EMAIL_URL, f"smtp://user%40example.org:{ENCODED}@mail.example.org:587/?tls=1"))

    assert (settings["EMAIL_HOST_USER"], settings["EMAIL_HOST_PASSWORD"]) == ("user@example.org", SPECIAL)
    assert (settings["EMAIL_HOST"], settings["EMAIL_PORT"]) == ("mail.example.org", 587)


@each_address
@pytest.mark.parametrize("raw", [":", "@", "'", '"', "é", " ", "&", "=", "+", "~"])
def test_what_can_be_meant_in_one_way_only_needs_no_encoding(setting, url, raw):
    assert read(setting, url.format(f"1{raw}2")) in {url.format(f"1{raw}2"), url.format(f"1{quote(raw, safe='')}2")}


@each_address
@pytest.mark.parametrize("raw", ["#", "%", "%zz", "/", "?", "[", "\N{ACCOUNT OF}", "\t", "%00", "%ff"])
def test_what_can_be_meant_in_two_ways_is_refused_without_the_password(setting, url, raw):
    with pytest.raises(ImproperlyConfigured) as refusal:
        read(setting, url.format(f"hunter{raw}seven"))

    words = str(refusal.value)
    assert words.startswith(f"{setting.name} ")
    assert setting.example in words
    assert "hunter" not in words
    assert "seven" not in words
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


@each_address
@pytest.mark.parametrize("raw", ["#", "%", "/", "?"])
def test_the_refusal_says_how_to_write_such_a_character(setting, url, raw):
    with pytest.raises(ImproperlyConfigured, match="Percent-encode") as refusal:
        read(setting, url.format(f"a{raw}b"))

    assert f"{raw} is {quote(raw, safe='')}" in str(refusal.value)


@pytest.mark.parametrize(
    ("setting", "url", "why"),
    [
        (env.DATABASE_URL, "mysql://h/d", "must start with postgresql://"),
        (env.DATABASE_URL, "postgresql://h:port/d", "no host and port that can be read"),
        (env.DATABASE_URL, "postgresql://h/d?ssl=true", "does not know: ssl"),
        (env.REDIS_URL, "amqp://h", "must start with redis:// or rediss://"),
        (env.REDIS_URL, "localhost:6379", "must start with redis://"),
        (env.REDIS_URL, "redis:///0", "names no host"),
        (env.REDIS_URL, "redis://h:70000/0", "no host and port that can be read"),
        (env.REDIS_URL, "redis://h:0/0", "port 0"),
        (env.REDIS_URL, "redis://h/db", "number of a database"),
        (env.REDIS_URL, "redis://h/0;redis://i/0", "more than one server"),
        (env.REDIS_URL, "redis://h:1,i:1/0", "no host and port|more than one server"),
        (env.REDIS_URL, "redis://h?db=1", "parameters"),
        (env.REDIS_URL, "redis://h?ssl_cert_reqs=required", "need rediss://"),
        (env.REDIS_URL, "rediss://h?ssl_cert_reqs=perhaps", "none of required, optional, none"),
        (env.REDIS_URL, "rediss://h?ssl_check_hostname=perhaps", "none of true"),
        (env.REDIS_URL, "rediss://h?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs that is no file"),
        (env.REDIS_URL, "rediss://h?socket_timeout=1", "unknown parameter"),
        (env.REDIS_URL, "sentinel://h:26379/0", "neither Sentinel nor sockets"),
        (env.REDIS_URL, "redis+socket:///run/redis.sock", "neither Sentinel nor sockets"),
        (env.REDIS_URL, "unix:///run/redis.sock", "neither Sentinel nor sockets"),
        (env.EMAIL_URL, "imap://h", "must start with smtp://"),
        (env.EMAIL_URL, "smtp://", "names no host"),
        (env.EMAIL_URL, "smtp://h/?starttls=1", "only one is tls=1"),
        (env_models.MODEL_BASE_URL, "api.example.org/v1", "must start with https://"),
        (env_models.EMBEDDING_URL, "ftp://h/v1", "must start with https://"),
        (env.FLOWER_URL, "flower.example.org", "must start with https://"),
        (env_models.MODEL_API_KEY, "sk-two words", "holds a blank"),
        (env_models.EMBEDDING_KEY, "“sk-quoted”", "not ASCII"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_in_words(setting, url, why):
    with pytest.raises(ImproperlyConfigured, match=rf"^{setting.name} .*({why})"):
        read(setting, url)


@pytest.mark.parametrize(
    ("url", "known_as"),
    [
        ("redis://h/1", "redis://h/1"),
        ("valkey://:pw@h:1/0", "redis://:pw@h:1/0"),
        ("valkeys://h", "rediss://h?ssl_cert_reqs=required"),
        ("rediss://[::1]:6380/0?ssl_cert_reqs=CERT_NONE", "rediss://[::1]:6380/0?ssl_cert_reqs=none"),
        ("rediss://h?ssl_check_hostname=0", "rediss://h?ssl_cert_reqs=required&ssl_check_hostname=false"),
    ],
)
def test_a_broker_is_known_under_the_name_that_the_libraries_know(url, known_as):
    assert read(env.REDIS_URL, url) == known_as


COMMANDS = {
    "celery": ["-m", "celery", "-A", "config", "worker", "-P", "threads", "-Q", "send"],
    "worker": ["-m", "config.worker", "-P", "threads", "-Q", "send"],
    "uvicorn": ["-m", "uvicorn", "config.asgi:application", "--port", "0"],
    "manage.py": ["manage.py", "run_dispatcher"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("setting", ["EMAIL_URL=smtp://user:hunter#7@h", "REDIS_URL=redis://:hunter#7@h/0"])
def test_a_process_with_a_wrong_address_ends_at_once_with_a_sentence(command, setting):
    name, _, value = setting.partition("=")
    ended = subprocess.run(
        [sys.executable, *command], cwd=CHECKOUT, env={**os.environ, name: value}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert ended.returncode != 0
    assert ended.stderr.startswith(f"Configuration: {name} holds a character")
    assert "Traceback" not in ended.stderr
    assert "hunter" not in ended.stdout + ended.stderr
