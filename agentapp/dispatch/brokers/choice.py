"""Which broker BROKER_URL names: its scheme decides."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec

from django.conf import settings

from agentapp.dispatch.brokers.base import Broker

# By scheme, the module beside this one. A module is imported when it is chosen.
MODULES = {
    "redis": "redis", "rediss": "redis", "unix": "redis",
    "amqp": "rabbitmq", "amqps": "rabbitmq",
    "sqs": "sqs",
    "postgresql": "postgres", "postgres": "postgres",
}  # fmt: skip
DEFAULT = "redis"


def of(url: str) -> Broker:
    """Return the broker of an address; without an address that of most deployments."""
    return _load(MODULES.get(url.partition("://")[0], DEFAULT))


def chosen() -> Broker:
    """Return the broker that the settings name."""
    return of(settings.BROKER_URL)


def missing(url: str) -> str:
    """Say what must be installed for the broker at this address; nothing when it is there."""
    needed = of(url).capabilities
    absent = [name for name in needed.modules if find_spec(name) is None]
    if not absent:
        return ""
    return (
        f"BROKER_URL names {needed.name}, and {' and '.join(absent)} cannot be imported: "
        "run `.venv/bin/pip install --require-hashes -r deploy/requirements/extras.txt`."
    )


@cache
def _load(name: str) -> Broker:
    broker: Broker = import_module(f"{__package__}.{name}").BROKER
    return broker
