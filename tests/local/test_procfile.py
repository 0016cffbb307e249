import os
import re
import subprocess
from pathlib import Path

import pytest

from agentapp.local import procfile
from agentapp.local.problem import StackProblem
from agentapp.local.stack import CHECKOUT


def write(directory: Path, content: str) -> Path:
    path = directory / "Procfile"
    path.write_text(content)
    return path


def test_a_procfile_is_commands_by_name_in_order(tmp_path):
    path = write(tmp_path, "# about\n\nweb: exec run --port ${PORT:-8000}\nworker_2:a: b\n")

    assert list(procfile.read(path).items()) == [("web", "exec run --port ${PORT:-8000}"), ("worker_2", "a: b")]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("web: a\nrun the worker", "line 2: write `name: command`"),
        ("web:", "line 1: write `name: command`"),
        ("web: a\nweb: b", "the name web comes twice"),
    ],
)
def test_a_line_that_makes_no_sense_is_named(tmp_path, content, sentence):
    with pytest.raises(StackProblem, match=sentence):
        procfile.read(write(tmp_path, content))


def test_a_missing_procfile_is_a_sentence(tmp_path):
    with pytest.raises(StackProblem, match="cannot be read"):
        procfile.read(tmp_path / "Procfile")


@pytest.mark.parametrize(
    ("credential", "holders"),
    [
        ("EMAIL_URL", {"worker_send"}),
        ("DATABASE_REPLICA_URL", {"web"}),
        ("OPENAI_API_KEY", {"worker_model", "worker_documents"}),
        ("AGENTAPP_EMBEDDING_KEY", {"web", "worker_model", "worker_documents"}),
        ("AGENTAPP_EMBEDDING_OLD_KEY", {"web", "worker_model", "worker_documents"}),
    ],
)
def test_only_the_processes_that_use_a_credential_keep_it(credential, holders):
    commands = procfile.read(CHECKOUT / "Procfile")

    assert {name for name, command in commands.items() if f"-u {credential} " not in command} == holders


@pytest.mark.parametrize(
    ("prefix", "holder"),
    [("MODEL_KEY", "worker_model"), ("TOOL_SECRET", "worker_send"), ("MCP_KEY", "worker_webhooks")],
)
def test_secrets_that_are_referred_to_stay_with_the_workers_that_may_hold_them(prefix, holder):
    names = {f"{prefix}_ACME", f"{prefix}_2", f"{prefix}_3_FILE"}
    kept = set()
    for name, command in procfile.read(CHECKOUT / "Procfile").items():
        begun = command.partition("exec ")[2].partition(" python ")[0]
        shell = subprocess.run(
            ["/bin/sh", "-c", f"{begun} env"],
            env={"PATH": os.environ["PATH"], **dict.fromkeys(names, "a=b c")},
            capture_output=True,
            check=True,
        )
        found = set(re.findall(rf"^{prefix}_\w+", shell.stdout.decode(), re.MULTILINE))
        assert found in (set(), names)
        kept |= {name} if found else set()

    assert kept == {holder}


def test_the_web_knows_that_mails_are_sent_without_the_credentials(client, settings):
    command = procfile.read(CHECKOUT / "Procfile")["web"].partition(" exec ")[0]
    told = "printf '%s' \"$AGENTAPP_MAIL_IS_SENT\""
    for email_url, flag in (("smtp://user:password@mail.example.org", "1"), ("", "")):
        shell = subprocess.run(
            ["/bin/sh", "-c", f"export {command}; {told}"],
            env={"EMAIL_URL": email_url},
            capture_output=True,
            check=True,
        )
        assert shell.stdout.decode() == flag

    for is_sent, words in ((True, "sent by the mail server"), (False, "written as files")):
        settings.AGENTAPP_MAIL_IS_SENT = is_sent
        assert words in client.get("/").content.decode()
