"""Read BROKER_URL, whose scheme says which broker it is; what is none for this platform is refused, with the reason."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from config import addresses
from config import url as urls
from config.url import Unusable

_REDIS = ("redis", "rediss", "valkey", "valkeys")
_READ = (*_REDIS, "amqp", "amqps", "sqs", "postgresql", "postgres")
_TLS = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname"}
_SQS = {"region", "prefix", "tls", "wait_s"}
_SEE = "docs/brokers.md says more"
# By scheme, why not.
_REFUSED = {
    "kafka": "Kafka acknowledges by place and not by message, so a worker cannot take one job and leave the next",
    "pubsub": "Pub/Sub is not tested with this platform",
    "sentinel": "Sentinel is not followed: name the primary, or a proxy before it that follows Sentinel",
    "cluster": "kombu does not speak to a cluster of Redis or Valkey: name one primary",
}
_SAME_AS = {
    "confluentkafka": "kafka", "gcpubsub": "pubsub", "redis+sentinel": "sentinel", "rediss+sentinel": "sentinel",
    "redis+cluster": "cluster", "rediss+cluster": "cluster",
}  # fmt: skip


def broker_url(text: str) -> str:
    """Return the broker's URL as agentapp/dispatch/brokers/ reads it.

    Raises:
        Unusable: no broker of ours, with what to do; or an address that cannot be read.
    """
    scheme = text.partition("://")[0].lower()
    if reason := _REFUSED.get(_SAME_AS.get(scheme, scheme)):
        raise Unusable(f"names {scheme}://, which is refused: {reason}. {_SEE}")
    if scheme in _REDIS or text.startswith(("unix://", "redis+socket://", "socket://")):
        return addresses.redis_url(text)
    if scheme.startswith("postgres"):
        return _postgres(text)
    parts = urls.read(text, schemes=_READ, needs_host=scheme != "sqs")
    return _sqs(parts) if parts.scheme == "sqs" else _rabbitmq(parts)


def _rabbitmq(parts: urls.Url) -> str:
    if ";" in parts.server + parts.path or "," in parts.server:
        raise Unusable("names more than one server: put a proxy or a DNS name before the nodes of a cluster")
    if "/" in parts.path.strip("/"):
        raise Unusable("has a path with a / in it: it is the name of one virtual host, in which / is %2F")
    given = parts.parameters()
    if given and parts.scheme != "amqps":
        raise Unusable("has parameters; those of TLS need amqps://, and there are no others")
    if unknown := sorted(set(given) - _TLS):
        raise Unusable(f"has an unknown parameter {unknown[0]}; there are {', '.join(sorted(_TLS))}")
    _one_of(given, "ssl_cert_reqs", ("required", "optional", "none"))
    _one_of(given, "ssl_check_hostname", ("true", "false"))
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if name in given and not Path(given[name]).is_file():
            raise Unusable(f"has a {name} that is no file here")
    return str(parts)


def _sqs(parts: urls.Url) -> str:
    given = parts.parameters()
    if parts.path.strip("/"):
        raise Unusable("has a path: queues of SQS are named by region and prefix, as in sqs://?region=eu-central-1")
    if unknown := sorted(set(given) - _SQS):
        raise Unusable(f"has an unknown parameter {unknown[0]}; there are {', '.join(sorted(_SQS))}")
    if not re.fullmatch(r"[a-z0-9-]+", given.get("region", "")):
        raise Unusable("names no region, as in sqs://?region=eu-central-1")
    if not re.fullmatch(r"[A-Za-z0-9_-]{0,40}", given.get("prefix", "")):
        raise Unusable("has a prefix that is no beginning of a queue's name: up to 40 letters, digits, - and _")
    _one_of(given, "tls", ("0", "1"))
    if not re.fullmatch(r"1?[0-9]|20", given.get("wait_s", "0")):
        raise Unusable("has a wait_s that is no whole number from 0 to 20")
    return str(parts)


def _postgres(text: str) -> str:
    addresses.postgres_url(text)
    parts = urls.read(text, schemes=("postgresql", "postgres"), needs_host=False)
    return str(replace(parts, scheme="postgresql"))


def _one_of(given: dict[str, str], name: str, words: tuple[str, ...]) -> None:
    if given.get(name, words[0]) not in words:
        raise Unusable(f"has a {name} that is none of {', '.join(words)}")
