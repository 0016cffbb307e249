"""rediss:// is TLS with a certificate that was checked, for everything that talks to the broker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from celery import Celery
from kombu.exceptions import OperationalError
from pytest_django import Settings

from agentapp.dispatch import celery_conf, redis_client, transport
from config import env
from tests.tls import Certificates, TlsGateway

BROKER = urlsplit(os.environ["REDIS_URL"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def gateway(certificates: Certificates) -> Iterator[TlsGateway]:
    with TlsGateway((BROKER.hostname or "", BROKER.port or 0), certificates) as gateway:
        yield gateway


@pytest.fixture
def app(settings: Settings) -> Iterator[Callable[[str], Celery]]:
    """Make a Celery app on a broker, with the settings that workers use."""

    def connect(url: str) -> Celery:
        settings.BROKER_URL = url
        app = Celery("tls", set_as_current=False)
        app.conf.update(celery_conf.settings())
        apps.append(app)
        return app

    apps: list[Celery] = []
    yield connect
    for each in apps:
        each.close()


def address(gateway: TlsGateway, query: str = "", *, scheme: str = "rediss", host: str = "localhost") -> str:
    """The gateway's address as a deployment would write it, read as the settings read it."""
    url = f"{scheme}://:{BROKER.password}@{host}:{gateway.port}{BROKER.path}{query}"
    return env.REDIS_URL.read({"REDIS_URL": url})


def trusted(certificates: Certificates) -> list[str]:
    authority = f"ssl_ca_certs={certificates.authority}"
    checks = [authority, f"ssl_cert_reqs=required&{authority}", f"ssl_cert_reqs=optional&{authority}"]
    return [f"?{query}" for query in ("ssl_cert_reqs=none", *checks)]


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_workers_and_publishers_speak_tls(gateway, certificates, app, scheme, number):
    celery = app(address(gateway, trusted(certificates)[number], scheme=scheme))
    with celery.connection() as connection:
        connection.ensure_connection(max_retries=1, timeout=10)
        channel = connection.default_channel
        assert isinstance(channel, transport.Channel)
        assert channel.client.ping()

    assert (gateway.plain, gateway.refused) == (0, 0)
    assert gateway.encrypted


@pytest.mark.parametrize("number", range(4))
def test_clients_beside_celery_speak_tls(gateway, certificates, number):
    with redis_client.connect(address(gateway, trusted(certificates)[number]), timeout_s=10) as client:
        assert client.ping()

    assert (gateway.plain, gateway.refused, gateway.encrypted) == (0, 0, 1)


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=required"])
def test_an_unknown_authority_is_refused(gateway, app, query):
    url = address(gateway, query)
    with app(url).connection() as connection, pytest.raises(OperationalError, match="certificate verify failed"):
        connection.ensure_connection(max_retries=1, timeout=1)
    with redis_client.connect(url, timeout_s=10) as client, pytest.raises(redis.ConnectionError, match="certificate"):
        client.ping()

    assert gateway.plain == 0
    assert gateway.refused


def test_a_certificate_of_another_host_is_refused_unless_told_otherwise(gateway, certificates, app):
    authority = f"?ssl_ca_certs={certificates.authority}"
    for query, is_refused in ((authority, True), (f"{authority}&ssl_check_hostname=false", False)):
        url = address(gateway, query, host="127.0.0.1")
        with app(url).connection() as connection, redis_client.connect(url, timeout_s=10) as client:
            for ask in (lambda: connection.default_channel.client.ping(), client.ping):
                if is_refused:
                    with pytest.raises((OperationalError, redis.ConnectionError, OSError), match="certificate"):
                        ask()
                else:
                    assert ask()

    assert gateway.plain == 0


def test_flower_is_told_of_tls(gateway, certificates, app):
    celery = app(address(gateway, f"?ssl_ca_certs={certificates.authority}"))

    assert celery.conf.broker_use_ssl["ssl_ca_certs"] == str(Path(certificates.authority))
