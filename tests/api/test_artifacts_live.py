"""Artifacts over a real socket: a large one does not pass through the memory of the web process."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest

from agentapp import clock
from agentapp.local import ports
from agentapp.models import Artifact, Tenant
from agentapp.services import api_keys
from tests.api.live import ANSWER_S, environment, serving

pytestmark = pytest.mark.django_db(transaction=True)

SIZE = 400 * 1024 * 1024
MOST_KB = 100 * 1024


def peak_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def test_a_large_artifact_is_streamed(tenant: Tenant, tmp_path: Path) -> None:
    token = api_keys.create(tenant=tenant, name="live", scopes=["tasks:read"])[1]
    artifact = Artifact.objects.create(
        tenant=tenant, name="large.bin", media_type="application/octet-stream", file="large", size=SIZE,
        sha256="0" * 64, created_at=clock.now(),
    )  # fmt: skip
    (tmp_path / "artifacts").mkdir()
    with (tmp_path / "artifacts" / "large").open("wb") as file:
        file.truncate(SIZE)
    with serving(environment() | {"AGENTAPP_HOME": str(tmp_path), "AGENTAPP_DB_POOL_MAX": "1"}) as web:
        connection = http.client.HTTPConnection(ports.HOST, web.port, timeout=ANSWER_S)
        bearer = {"Authorization": f"Bearer {token}"}
        connection.request("GET", f"/artifacts/{artifact.pk}", headers=bearer)
        answer = connection.getresponse()
        before, length = peak_kb(web.pid), 0
        # While it is under way it holds no connection of the pool, which has one.
        assert web.ask("GET", "/tasks", None, **bearer)[0] == 200
        while piece := answer.read(1024 * 1024):
            length += len(piece)
        assert length == SIZE
        assert peak_kb(web.pid) - before < MOST_KB
        connection.close()
