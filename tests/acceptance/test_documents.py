"""Files that are taken in by the workers of a running deployment, also while these are killed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from tests.acceptance.deployment import Deployment, is_running, until
from tests.documents.files import bomb_word, pdf

pytestmark = pytest.mark.acceptance

# Reading it takes a while, and what is read is short.
LONG = b"<html>" + b"<b></b>" * 1_000_000 + b"<p>We are open from nine to five."
READER = "agentapp.retrieval.parsing"


def upload(deployment: Deployment, source: str, data: bytes, media_type: str) -> str:
    headers = {"Authorization": f"Bearer {deployment.about['api_key']}", "Content-Type": media_type}
    answer = deployment.web.post(f"/documents?source={source}", content=data, headers=headers)
    assert answer.status_code == 202, answer.text
    return f"/documents/{answer.json()['id']}"


def state(deployment: Deployment, address: str) -> str:
    return str(deployment.ask("GET", address).json()["state"])


def readers(deployment: Deployment) -> list[psutil.Process]:
    below = psutil.Process(deployment.pid("worker_documents")).children(recursive=True)
    return [each for each in below if is_running(each) and READER in each.cmdline()]


def test_a_worker_that_is_killed_while_it_reads_a_file_loses_nothing(deployment: Deployment) -> None:
    address = upload(deployment, "long.html", LONG, "text/html")
    found: list[psutil.Process] = []

    def is_read() -> bool:
        found[:] = readers(deployment)
        return bool(found)

    until(is_read, "a file is being read")
    reader = found[0]
    child = reader.parent()
    assert child is not None

    os.kill(child.pid, signal.SIGKILL)

    until(lambda: not is_running(reader), "its reader ends with it")
    until(lambda: state(deployment, address) != "processing", "the file is taken in")
    assert state(deployment, address) == "ready"
    deployment.ask("DELETE", address)


def test_files_made_to_break_their_reader_leave_the_workers_well(deployment: Deployment) -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    parent = psutil.Process(deployment.pid("worker_documents"))
    before = {child.pid for child in parent.children()}
    broken = [
        upload(deployment, "bomb.docx", bomb_word(201), word),
        upload(deployment, "half.pdf", pdf("A line.")[:200], "application/pdf"),
    ]
    good = upload(deployment, "good.pdf", pdf("A line."), "application/pdf")
    until(lambda: "processing" not in [state(deployment, each) for each in [*broken, good]], "each file is answered")

    assert [state(deployment, address) for address in [*broken, good]] == ["failed", "failed", "ready"]
    assert {child.pid for child in parent.children()} == before
