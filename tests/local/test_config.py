"""What the environment says, and what is said about it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from agentapp.local import ports
from agentapp.local.stack import CHECKOUT
from config import addresses, env, env_models, extensions, secret_key
from config.setting import SETTINGS


def test_every_setting_has_a_name_of_its_own_a_sentence_and_an_example_that_can_be_read():
    assert len({setting.name for setting in SETTINGS}) == len(SETTINGS)
    for setting in SETTINGS:
        assert setting.sentence.endswith(".")
        setting.read({setting.name: setting.example})


def test_a_time_says_its_unit_in_its_name():
    assert all(setting.name.endswith("_S") for setting in SETTINGS if setting.unit == "seconds")


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
def test_an_empty_variable_counts_as_unset(name):
    setting = next(setting for setting in SETTINGS if setting.name == name)

    assert setting.read({name: " "}) == setting.default


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (env.LEASE_S, "soon"),
        (env.DEBUG, "maybe"),
        (env.LOG_LEVEL, "verbose"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_an_example(setting, value):
    with pytest.raises(ImproperlyConfigured, match=rf"{setting.name}={setting.example}\. "):
        setting.read({setting.name: value})


@pytest.mark.parametrize(
    "value",
    ["-1", "nan", "inf", "1e400", "1e308", "9" * 30, "9" * 5_000, "\u0663", "1_000", "0x10", "1\n2", "a\0b", "-0x"],
)
@pytest.mark.parametrize(
    "setting", [each for each in SETTINGS if type(each.default) in (int, float)], ids=lambda setting: setting.name
)
def test_a_number_out_of_its_range_is_refused_with_the_range(setting, value):
    with pytest.raises(ImproperlyConfigured) as refusal:
        setting.read({setting.name: value})

    assert str(refusal.value).startswith(f"{setting.name} ")
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize(
    "setting", [env.LEASE_S, env.HEARTBEAT_S, env.DISPATCH_TICK_S], ids=lambda setting: setting.name
)
def test_a_time_that_must_pass_is_not_zero(setting):
    with pytest.raises(ImproperlyConfigured, match=r"must be a number from 0\.01"):
        setting.read({setting.name: "0"})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (env.ALLOWED_HOSTS, "a.example, .b.example, 10.0.0.1, [::1], *"),
        (env.TRUSTED_ORIGINS, "https://a.example, http://10.0.0.1:8000, https://*.b.example"),
        (env.DEFAULT_FROM_EMAIL, "Support of Sample <support@example.org>"),
        (env.DATABASE_URL, "postgresql:///name?host=/run/postgresql&sslmode=verify-full&connect_timeout=3"),
        (env.REDIS_URL, "redis://h"),
        (env.REDIS_URL, "redis://h:6380/15"),
    ],
)
def test_what_deployments_write_is_read(setting, value):
    assert setting.read({setting.name: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (env.HOME, "~nobody-of-that-name/x"),
        (env.HOME, "a\nb"),
        (env.ARTIFACT_STORAGE_OPTIONS, "[" * 100_000),
        (env.ARTIFACT_STORAGE, "storages.nowhere.Storage"),
        (env.ARTIFACT_STORAGE, "FileSystemStorage"),
        (env.ARTIFACT_STORAGE, "..Storage"),
        (env.ALLOWED_HOSTS, "http://x"),
        (env.ALLOWED_HOSTS, "a.example:8000"),
        (env.ALLOWED_HOSTS, ","),
        (env.TRUSTED_ORIGINS, "nothing"),
        (env.TRUSTED_ORIGINS, "https://a.example/path"),
        (env.TRUSTED_ORIGINS, "https://a.example, b.example"),
        (env.DEFAULT_FROM_EMAIL, "rubbish"),
        (env.DEFAULT_FROM_EMAIL, "a@example.org, b@example.org"),
        (env.DEFAULT_FROM_EMAIL, "Name\n <a@example.org>"),
        (env.DATABASE_URL, "postgresql://h/name?sslmode=foo"),
        (env.DATABASE_URL, "postgresql://h/name?connect_timeout=x"),
        (env.DATABASE_URL, "postgresql://a%20b/name"),
        (env.REDIS_URL, "redis://h/\u0663"),
        (env.REDIS_URL, "redis://h/999999999999"),
        (env.REDIS_URL, "redis://h\u2028h/0"),
        (env.EMAIL_URL, "smtps://h/?tls=1"),
        (env_models.MODEL_BASE_URL, "https://a.example/v1?version=1"),
        (env_models.EMBEDDING_URL, "https://a b.example/v1"),
    ],
)
def test_rubbish_of_other_kinds_is_a_sentence(setting, value):
    with pytest.raises(ImproperlyConfigured, match=f"^{setting.name} "):
        setting.read({setting.name: value})


@pytest.mark.parametrize(
    "given",
    [
        {"AGENTAPP_LEASE_S": "5", "AGENTAPP_HEARTBEAT_S": "5"},
        {"AGENTAPP_EMBEDDING_MODEL": "", "AGENTAPP_EMBEDDING_URL": "http://127.0.0.1:9/v1", "OPENAI_API_KEY": "sample"},
        {"AGENTAPP_EMBEDDING_URL": "", "AGENTAPP_EMBEDDING_MODEL": "sample", "OPENAI_API_KEY": "sample"},
    ],
)
def test_settings_that_contradict_one_another_stop_the_start(given):
    asked = [sys.executable, "manage.py", "check"]
    ended = subprocess.run(asked, cwd=CHECKOUT, env=os.environ | given, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith("Configuration: ")
    assert all(name in ended.stderr for name in list(given)[:2])
    assert "Traceback" not in ended.stderr


def test_a_secret_is_not_repeated_in_the_refusal():
    with pytest.raises(ImproperlyConfigured) as refusal:
        env.ARTIFACT_STORAGE_OPTIONS.read({"AGENTAPP_ARTIFACT_STORAGE_OPTIONS": "hunter2"})

    assert "hunter2" not in str(refusal.value)


def test_a_pool_and_lasting_connections_exclude_each_other():
    url = "postgresql://user:p%40ss@host:5433/name"
    pooled, lasting = (addresses.database(url, pool_max=size, pool_wait_s=30) for size in (10, 0))

    assert pooled["OPTIONS"]["pool"] == {"min_size": 0, "max_size": 10, "timeout": 30, "reconnect_timeout": 2.0}
    assert pooled["CONN_MAX_AGE"] == 0
    assert lasting["CONN_MAX_AGE"] is None
    assert (lasting["PASSWORD"], lasting["PORT"]) == ("p@ss", 5433)


def test_without_an_address_mails_are_files():
    assert addresses.mail("") == {"EMAIL_BACKEND": "agentapp.delivery.outbox.EmailBackend"}


def test_an_smtp_address_is_read_with_its_credentials():
    settings = addresses.mail("smtp://user%40example.org:p%3Aw@mail.example.org:587/?tls=1")

    assert settings["EMAIL_HOST_USER"] == "user@example.org"
    assert settings["EMAIL_HOST_PASSWORD"] == "p:w"
    assert (settings["EMAIL_PORT"], settings["EMAIL_USE_TLS"], settings["EMAIL_USE_SSL"]) == (587, True, False)


def test_the_signing_key_is_made_once_for_its_owner_alone(tmp_path):
    key = secret_key.kept(tmp_path / "home")

    assert secret_key.kept(tmp_path / "home") == key
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["secret_key"]
    assert (tmp_path / "home" / "secret_key").stat().st_mode & 0o777 == 0o600


def test_a_package_that_is_named_twice_is_a_sentence():
    with pytest.raises(ImproperlyConfigured, match=r"AGENTAPP_EXTENSIONS names tests\.agents more than once"):
        extensions.found(["tests.agents", "tests.agents"])


def test_a_package_that_is_not_there_is_a_sentence(tmp_path, monkeypatch):
    with pytest.raises(ImproperlyConfigured, match=r"names nobodys\.agents, which Python does not find"):
        extensions.found(["tests.agents", "nobodys.agents"])

    (tmp_path / "somebodys" / "agents").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert extensions.found(["somebodys.agents"]) == ["somebodys.agents"]


def test_a_process_has_the_broker_of_its_own_address_and_not_that_of_the_stack(tmp_path):
    """Of a stack whose processes are users of the broker, that is another user's."""
    (tmp_path / "stack.json").write_text('{"redis_url": "redis://:of-all@h/0", "broker_url": "redis://:of-all@h/0"}')
    given = {"AGENTAPP_HOME": str(tmp_path), "BROKER_URL": "", "REDIS_URL": "redis://worker:own@h/0"}
    asked = "from django.conf import settings; print(settings.BROKER_URL, repr(settings.REDIS_URL), end='')"
    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", asked],
        cwd=CHECKOUT, env=os.environ | given, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert said.stdout == "redis://worker:own@h/0 ''"


def test_a_database_that_is_not_there_is_a_sentence_without_the_password():
    url = f"postgresql://user:hunter2@127.0.0.1:{ports.free(1)[0]}/name"
    asked = [sys.executable, "manage.py", "create_tenant", "acme"]
    env = {**os.environ, "DATABASE_URL": url}
    ended = subprocess.run(asked, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith("The database of DATABASE_URL cannot be reached: ")
    assert "Traceback" not in ended.stderr
    assert "hunter2" not in ended.stderr


def test_a_python_without_our_packages_is_told_which_one_to_use():
    asked = [sys.executable, "-I", "-S", "manage.py", "ask", "two words"]
    ended = subprocess.run(asked, cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ".venv/bin/python manage.py ask 'two words'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_celery_command_finds_our_packages():
    command = [str(Path(sys.executable).with_name("celery")), "-A", "config", "report"]
    ended = subprocess.run(command, cwd=CHECKOUT, env=os.environ, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stderr
    assert "agentapp.dispatch.backend" in ended.stdout
