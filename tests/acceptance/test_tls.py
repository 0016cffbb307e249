"""A whole deployment over a broker that speaks nothing but TLS."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pytest_django import DjangoDbBlocker

from tests.acceptance.chaos.test_faulty_broker import own_valkey
from tests.acceptance.deployment import commands, open_deployment
from tests.acceptance.test_flower import QUESTION, queues_in_flower
from tests.tls import Certificates, TlsGateway

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


def test_no_process_speaks_plain_text(django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    with own_valkey() as url:
        valkey = urlsplit(url)
        with TlsGateway((valkey.hostname or "", valkey.port or 0), certificates) as gateway:
            server = f"localhost:{gateway.port}/0?ssl_ca_certs={certificates.authority}"
            env = {"REDIS_URL": f"rediss://:{valkey.password}@{server}"}
            with django_db_blocker.unblock(), open_deployment(commands(), env=env, alias="secured") as deployment:
                task = deployment.submit("support_reply", **QUESTION)
                deployment.reach(task, "awaiting_approval")
                deployment.approve(task)
                deployment.reach(task, "completed")

                assert deployment.web.get("/readyz").json()["broker"] == "up"
                assert "model" in queues_in_flower(deployment)

    assert gateway.encrypted > 4
    assert (gateway.plain, gateway.refused) == (0, 0)
