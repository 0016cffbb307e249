"""A whole deployment over a broker that speaks nothing but TLS; its processes send their spans to a collector. [H2]"""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_django import DjangoDbBlocker

from tests.acceptance.chaos.test_faulty_broker import own_valkey
from tests.acceptance.deployment import commands, open_deployment
from tests.acceptance.test_flower import QUESTION, queues_in_flower
from tests.delivery.receiver import Receiver, receiving, status
from tests.tls import Certificates, TlsGateway

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]


# Nothing is sent before a process ends: each must send what it holds then.
AT_ITS_END = {"OTEL_BSP_SCHEDULE_DELAY": "3600000"}


def traced(collector: Receiver) -> dict[str, dict[str, set[str]]]:
    """What a collector was sent: by task, the processes that made spans of it and its traces."""
    found: dict[str, dict[str, set[str]]] = {}
    for request in collector.requests:
        for made in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            process = {each.key: each.value.string_value for each in made.resource.attributes}["agentapp.process"]
            for span in (span for scope in made.scope_spans for span in scope.spans):
                told = {each.key: each.value.string_value for each in span.attributes}
                task = found.setdefault(told.get("agentapp.task.id", ""), {"processes": set(), "traces": set()})
                task["processes"].add(process)
                task["traces"].add(span.trace_id.hex())
    return found


def test_no_process_speaks_plain_text_and_a_task_is_one_trace_over_all_of_them(
    django_db_blocker: DjangoDbBlocker, tmp_path: Path
) -> None:
    certificates = Certificates(tmp_path)
    with own_valkey() as url, receiving(status(200, content=b"")) as collector:
        valkey = urlsplit(url)
        with TlsGateway((valkey.hostname or "", valkey.port or 0), certificates) as gateway:
            server = f"localhost:{gateway.port}/0?ssl_ca_certs={certificates.authority}"
            env = {
                "REDIS_URL": f"rediss://:{valkey.password}@{server}",
                "AGENTAPP_OTLP_URL": collector.url,
                **AT_ITS_END,
            }
            with django_db_blocker.unblock(), open_deployment(commands(), env=env, alias="secured") as deployment:
                # Runs in children of the pool of documents.
                parts = deployment.submit("held_children", jobs=[0, 1])
                task = deployment.submit("support_reply", **QUESTION)
                deployment.reach(task, "awaiting_approval")
                deployment.approve(task)
                deployment.reach(task, "completed")
                deployment.reach(parts, "completed")

                assert deployment.web.get("/readyz").json()["broker"] == "up"
                assert "model" in queues_in_flower(deployment)

    assert gateway.encrypted > 4
    assert (gateway.plain, gateway.refused) == (0, 0)
    spans, host = traced(collector), socket.gethostname()
    assert spans[task]["processes"] == {"web", f"model@{host}", f"send@{host}"}
    assert spans[parts]["processes"] == {"web", f"documents@{host}"}
    assert len(spans[task]["traces"]) == len(spans[parts]["traces"]) == 1
