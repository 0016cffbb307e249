"""Turn the addresses of servers (database, broker, mail) into the settings that Django expects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

# kombu and redis-py know these servers by one name only.
_BROKER_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis": "redis", "rediss": "rediss"}
_MAIL_PORTS = {"smtp": 25, "smtps": 465}


def running_stack(home: Path) -> dict[str, Any]:
    """Return what a stack that runs on this home has written about itself; nothing runs = {}."""
    try:
        content = json.loads((home / "stack.json").read_text())
    except (FileNotFoundError, NotADirectoryError, PermissionError, json.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def database(url: str, *, pool_max: int, pool_wait_s: float) -> dict[str, Any]:
    """Return Django's DATABASES entry for a Postgres URL; no URL = an entry that explains itself when it is used.

    Raises:
        ImproperlyConfigured: the URL is none of Postgres.
    """
    if not url:
        return {"ENGINE": "config.no_database", "NAME": "none"}
    scheme = urlsplit(url).scheme
    if scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL starts with {scheme!r}: agentapp needs Postgres (postgresql://...).")
    entry: dict[str, Any] = dict(dj_database_url.parse(url))
    options = entry.setdefault("OPTIONS", {})
    if pool_max:
        options["pool"] = {
            "min_size": 0,
            "max_size": pool_max,
            "timeout": pool_wait_s,
            # Otherwise it doubles its pauses for five minutes, and is late when Postgres is back: whoever asks for a
            # connection makes it try anew.
            "reconnect_timeout": 2.0,
        }
        entry["CONN_MAX_AGE"] = 0  # Django refuses persistent connections beside a pool
    else:
        entry["CONN_MAX_AGE"] = None
        entry["CONN_HEALTH_CHECKS"] = True
    return entry


def broker(url: str) -> str:
    """Return the broker's URL under the scheme that kombu knows; "" stays "".

    Raises:
        ImproperlyConfigured: the scheme is unknown.
    """
    if not url:
        return ""
    scheme, separator, rest = url.partition("://")
    if scheme not in _BROKER_SCHEMES or not separator:
        raise ImproperlyConfigured(
            "REDIS_URL must start with redis://, rediss://, valkey:// or valkeys://, for instance redis://localhost:6379/0."
        )
    return f"{_BROKER_SCHEMES[scheme]}://{rest}"


def mail(url: str) -> dict[str, Any]:
    """Return Django's EMAIL_* settings: SMTP for smtp:// and smtps://, files without a URL.

    Query: `tls=1` asks for STARTTLS. smtps:// is TLS from the first byte.

    Raises:
        ImproperlyConfigured: another scheme, or no host.
    """
    if not url:
        return {"EMAIL_BACKEND": "agentapp.delivery.outbox.EmailBackend"}
    parts = urlsplit(url)
    if parts.scheme not in _MAIL_PORTS or not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL must look like smtp://user:password@host:587/?tls=1 or smtps://host.")
    return {
        "EMAIL_BACKEND": "agentapp.delivery.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or _MAIL_PORTS[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp" and parse_qs(parts.query).get("tls") == ["1"],
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 30,
    }


def artifact_storage(backend: str, options: dict[str, Any], *, directory: Path) -> dict[str, Any]:
    """Return the STORAGES entry of artifacts; Django's file storage is rooted at `directory` unless told otherwise."""
    if backend == "django.core.files.storage.FileSystemStorage":
        options = {"location": directory, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700} | options
    return {"BACKEND": backend, "OPTIONS": options}
