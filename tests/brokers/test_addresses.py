"""What BROKER_URL may say, what becomes of it, and what is refused with a reason."""

from __future__ import annotations

import re

import pytest
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from agentapp import checks
from agentapp.dispatch import celery_conf, redis_client
from agentapp.dispatch.brokers import choice, rabbitmq
from config import env

REFUSED = {
    "kafka://h:9092": "Kafka acknowledges by place",
    "confluentkafka://h:9092": "Kafka acknowledges by place",
    "gcpubsub://projects/p": "Pub/Sub is not tested",
    "sentinel://h:26379/0": "Sentinel is not followed",
    "redis+cluster://h:6379": "does not speak to a cluster",
    "mongodb://h/0": "must start with redis:// or rediss://",
    "amqp://h:1,i:1/": "more than one server|no host and port",
    "amqp://h/a/b": "has a path with a / in it",
    "amqp://h/?ssl_cert_reqs=none": "need amqps://",
    "amqps://h/?heartbeat=1": "unknown parameter heartbeat",
    "amqps://h/?ssl_cert_reqs=maybe": "none of required, optional, none",
    "amqps://h/?ssl_ca_certs=/nowhere.pem": "ssl_ca_certs that is no file",
    "sqs://": "names no region",
    "sqs://?region=eu-central-1&fifo=1": "unknown parameter fifo",
    "sqs://?region=eu-central-1&wait_s=21": "wait_s that is no whole number",
    "sqs://?region=eu-central-1&prefix=a.b": "no beginning of a queue's name",
    "sqs://k:s@h/123/queue?region=eu-central-1": "has a path",
    "postgresql://h/d?sslmode=perhaps": "sslmode",
}
READ = {
    "valkeys://:p@h/1": ("redis", "rediss://:p@h/1?ssl_cert_reqs=required"),
    "amqp://u:p%2Fw@h:5672/v": ("rabbitmq", "amqp://u:p%2Fw@h:5672/v"),
    "amqps://u:p@h/%2F?ssl_cert_reqs=none": ("rabbitmq", "amqps://u:p@h/%2F?ssl_cert_reqs=none"),
    "sqs://?region=eu-central-1": ("sqs", "sqs://?region=eu-central-1"),
    "postgres://u:p@h/d": ("postgres", "postgresql://u:p@h/d"),
    "postgresql:///d?host=/run/postgresql": ("postgres", "postgresql:///d?host=/run/postgresql"),
}


@pytest.mark.parametrize("url", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_reason(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^BROKER_URL .*({REFUSED[url]})"):
        env.BROKER_URL.read({"BROKER_URL": url})


@pytest.mark.parametrize("url", READ)
def test_the_scheme_chooses_the_broker(url: str) -> None:
    module, written = READ[url]

    assert env.BROKER_URL.read({"BROKER_URL": url}) == written
    assert choice.of(written).__module__ == f"agentapp.dispatch.brokers.{module}"


def test_a_broker_whose_packages_are_missing_is_told_before_anything_runs(settings: Settings, monkeypatch) -> None:
    monkeypatch.setattr(choice, "find_spec", lambda name: None)
    settings.BROKER_URL = "sqs://?region=eu-central-1"
    sentence = (
        "BROKER_URL names SQS, and boto3 and pycurl cannot be imported: run "
        "`.venv/bin/pip install --require-hashes -r deploy/requirements/extras.txt`."
    )

    (found,) = checks.check_broker(None)
    assert (found.id, found.msg) == ("agentapp.E002", sentence)
    with pytest.raises(ImproperlyConfigured, match=re.escape(sentence)):
        celery_conf.settings()


def test_previews_go_through_the_broker_or_the_redis_beside_it(settings: Settings) -> None:
    settings.BROKER_URL, settings.REDIS_URL = "redis://h/0", ""
    assert redis_client.address() == "redis://h/0"

    settings.BROKER_URL = "amqp://h/"
    assert redis_client.address() == ""

    settings.REDIS_URL = "redis://beside/0"
    assert redis_client.address() == "redis://beside/0"


def test_a_certificate_of_rabbitmq_is_checked_unless_the_address_says_otherwise() -> None:
    checked = rabbitmq.BROKER.settings("amqps://u:p@broker.example.org/v")["broker_use_ssl"]
    trusting = rabbitmq.BROKER.settings("amqps://u:p@h/v?ssl_cert_reqs=none&ssl_check_hostname=false")

    assert (checked["cert_reqs"].name, checked["server_hostname"]) == ("CERT_REQUIRED", "broker.example.org")
    assert trusting["broker_use_ssl"]["cert_reqs"].name == "CERT_NONE"
    assert "server_hostname" not in trusting["broker_use_ssl"]
    assert trusting["broker_url"] == "amqps://u:p@h/v"
    assert rabbitmq.BROKER.settings("amqp://u:p@h/v")["broker_use_ssl"] is None
