"""Artifacts over a real socket: a large one does not pass through the memory of the web process."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agentapp import clock
from agentapp.local import ports
from agentapp.models import Artifact, Tenant
from agentapp.services import api_keys
from tests.api.live import ANSWER_S, Web, environment, serving
from tests.lifecycle.held_row import until

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 400 * 1024 * 1024
MOST_KB = 100 * 1024


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


@pytest.fixture
def large(tenant: Tenant, tmp_path: Path) -> Artifact:
    """An artifact that is larger than what a process may take for it; its file takes no room on the disk."""
    (tmp_path / "artifacts").mkdir()
    with (tmp_path / "artifacts" / "large").open("wb") as file:
        file.truncate(SIZE)
    return Artifact.objects.create(
        tenant=tenant, name="large.bin", media_type="application/octet-stream", file="large", size=SIZE,
        sha256="0" * 64, created_at=clock.now(),
    )  # fmt: skip


@pytest.fixture
def web(large: Artifact, tmp_path: Path) -> Iterator[Web]:
    with serving(environment() | {"AGENTAPP_HOME": str(tmp_path), "AGENTAPP_DB_POOL_MAX": "1"}) as running:
        yield running


@pytest.fixture
def bearer(tenant: Tenant) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_keys.create(tenant=tenant, name='live', scopes=['tasks:read'])[1]}"}


def begin(web: Web, artifact: Artifact, bearer: dict[str, str]) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(ports.HOST, web.port, timeout=ANSWER_S)
    connection.request("GET", f"/artifacts/{artifact.pk}", headers=bearer)
    return connection


def opened(web: Web) -> int:
    """How many files of artifacts the process has open."""
    links = []
    for path in Path(f"/proc/{web.pid}/fd").iterdir():
        # It may have been closed since the list was made.
        with suppress(FileNotFoundError):
            links.append(str(path.readlink()))
    return sum("/artifacts/" in link for link in links)


def test_a_large_artifact_is_streamed(web: Web, large: Artifact, bearer: dict[str, str]) -> None:
    connection = begin(web, large, bearer)
    answer = connection.getresponse()
    before, length = peak_kb(web.pid), 0
    # While it is under way it holds no connection of the pool, which has one.
    assert web.ask("GET", "/tasks", None, **bearer)[0] == 200
    while piece := answer.read(1024 * 1024):
        length += len(piece)
    assert length == SIZE
    assert peak_kb(web.pid) - before < MOST_KB
    connection.close()


def test_who_goes_away_in_the_middle_leaves_no_open_file(web: Web, large: Artifact, bearer: dict[str, str]) -> None:
    for _ in range(3):
        connection = begin(web, large, bearer)
        assert len(connection.getresponse().read(100_000)) == 100_000
        assert opened(web) >= 1
        connection.close()
    until(lambda: opened(web) == 0)
