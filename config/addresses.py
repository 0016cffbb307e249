"""Turn the addresses of servers (database, broker, mail) into the settings that Django expects."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import dj_database_url
from psycopg.pq import Conninfo

from config import url as urls
from config.url import Unusable

# kombu and redis-py know these servers by one name only.
_BROKER_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}
_NO_SINGLE_SERVER = ("sentinel://", "redis+sentinel://", "unix://", "redis+socket://", "socket://")
_TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS_CHECKS = {
    "ssl_cert_reqs": {"required": "required", "optional": "optional", "none": "none"},
    "ssl_check_hostname": {"true": "true", "1": "true", "false": "false", "0": "false"},
}
# A server whose host has vanished, or that accepts connections and says nothing, is noticed within half a minute; a
# server that can only be read is none.
CONNECTION_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 20_000,  # milliseconds
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "target_session_attrs": "read-write",
}
_SEVERAL_SERVERS = re.compile(
    r"(?P<before>[a-z]+://(?:[^@/?]*@)?)(?P<servers>[^@/?]*,[^@/?]*)(?P<path>(?:/[^?]*)?)(?:\?(?P<query>.*))?",
    re.DOTALL,
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_WHOLE_NUMBERS = {
    "connect_timeout", "tcp_user_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
}  # fmt: skip
_MAIL_PORTS = {"smtp": 25, "smtps": 465}


def postgres_url(text: str) -> str:
    """Return a Postgres URL as all libraries read it. Raises Unusable."""
    parts = urls.read(_servers_as_parameters(text), schemes=("postgresql", "postgres"), needs_host=False)
    known = {option.keyword.decode() for option in Conninfo.get_defaults()} | {"currentSchema"}
    if unknown := sorted(set(parts.parameters()) - known):
        raise Unusable(f"has a parameter that Postgres does not know: {', '.join(unknown)}")
    _check_values(parts.parameters())
    return str(parts)


def _servers_as_parameters(text: str) -> str:
    """Several servers before the path, as libpq takes them, become its parameters, which Django takes too."""
    found = _SEVERAL_SERVERS.fullmatch(text)
    if found is None:
        return text
    servers = [re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::([0-9]+))?", server) for server in found["servers"].split(",")]
    if not all(server and server[1] for server in servers):
        raise Unusable("names several servers, of which one has no host and port that can be read")
    hosts = ",".join(server[1].strip("[]") for server in servers if server)
    ports = ",".join(server[2] or "5432" for server in servers if server)
    query = f"host={hosts}&port={ports}" + (f"&{found['query']}" if found["query"] else "")
    return f"{found['before']}{found['path']}?{query}"


def _check_values(parameters: dict[str, str]) -> None:
    """libpq itself says what is wrong with these only when it connects, and then without the name of the setting."""
    if (mode := parameters.get("sslmode", "prefer")) not in _SSL_MODES:
        raise Unusable(f"has an sslmode {mode[:20]!r} that is none of {', '.join(_SSL_MODES)}")
    for name in sorted(_WHOLE_NUMBERS & set(parameters)):
        if not re.fullmatch(r"-?[0-9]{1,9}", parameters[name]):
            raise Unusable(f"has a {name} that is no whole number")


def base_url(text: str) -> str:
    """Return an HTTP address that paths are put behind. Raises Unusable."""
    if urls.read(text, schemes=("https", "http")).query:
        raise Unusable("has a ?: paths are put behind this address")
    return text


def web_url(text: str) -> str:
    """Return an HTTP address as it was given. Raises Unusable."""
    urls.read(text, schemes=("https", "http"))
    return text


def database(url: str, *, pool_max: int, pool_wait_s: float, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return Django's DATABASES entry for a Postgres URL; no URL = an entry that explains itself when it is used."""
    if not url:
        return {"ENGINE": "config.no_database", "NAME": "none"}
    entry: dict[str, Any] = dict(dj_database_url.parse(url, engine="agentapp.lifecycle.postgresql"))
    # What the address itself says wins.
    options = entry["OPTIONS"] = {
        **CONNECTION_OPTIONS,
        **(more or {}),
        **entry.get("OPTIONS", {}),
    }
    if pool_max:
        options["pool"] = {
            "min_size": 0,
            "max_size": pool_max,
            "timeout": pool_wait_s,
            # Otherwise it doubles its pauses for five minutes and is late when Postgres is back: a caller that asks for
            # a connection makes it try again.
            "reconnect_timeout": 2.0,
        }
        entry["CONN_MAX_AGE"] = 0  # Django refuses persistent connections beside a pool
    else:
        entry["CONN_MAX_AGE"] = None
    return entry


def redis_url(text: str) -> str:
    """Return the URL of one Redis or Valkey as kombu, redis-py and Flower all read it, with TLS spelled out.

    rediss:// checks the server's certificate and its name; the query may say otherwise. kombu alone would not.

    Raises:
        Unusable: see config/url.py; also several servers, a database that is no number, an unknown parameter.
    """
    if text.startswith(_NO_SINGLE_SERVER):
        raise Unusable(
            "must name one server over TCP, a primary or a proxy before it: neither Sentinel nor sockets are supported"
        )
    parts = urls.read(text, schemes=tuple(_BROKER_SCHEMES))
    if ";" in parts.server + parts.path or "," in parts.server:
        raise Unusable("names more than one server")
    if not re.fullmatch(r"(/([0-9]{1,5})?)?/?", parts.path):
        raise Unusable("has a path that is no number of a database, such as /0")
    scheme = _BROKER_SCHEMES[parts.scheme]
    query = urlencode(_tls(parts.parameters(), is_tls=scheme == "rediss"))
    return str(replace(parts, scheme=scheme, query=query))


def _tls(given: dict[str, str], *, is_tls: bool) -> dict[str, str]:
    """Check the parameters of a broker's URL and complete them."""
    if given and not is_tls:
        raise Unusable("has parameters; those of TLS need rediss://, and there are no others")
    for name, value in given.items():
        if name in _TLS_CHECKS and value.lower().removeprefix("cert_") not in _TLS_CHECKS[name]:
            raise Unusable(f"has a {name} that is none of {', '.join(_TLS_CHECKS[name])}")
        if name in _TLS_FILES and not Path(value).is_file():
            raise Unusable(f"has a {name} that is no file here")
        if name not in (*_TLS_CHECKS, *_TLS_FILES):
            raise Unusable(f"has an unknown parameter; there are {', '.join((*_TLS_CHECKS, *_TLS_FILES))}")
    checks = {
        name: words[given[name].lower().removeprefix("cert_")] for name, words in _TLS_CHECKS.items() if name in given
    }
    return ({"ssl_cert_reqs": "required"} if is_tls else {}) | given | checks


def mail_url(text: str) -> str:
    """Return a mail server's URL as `mail` reads it. Raises Unusable."""
    parts = urls.read(text, schemes=tuple(_MAIL_PORTS))
    tls = parts.parameters()
    if parts.path.strip("/") or tls not in ({}, {"tls": "0"}, {"tls": "1"}):
        raise Unusable("has a path or a parameter; the only one is tls=1")
    if parts.scheme == "smtps" and tls.get("tls") == "1":
        raise Unusable("asks for TLS twice: smtps:// is TLS from the first byte, smtp:// with tls=1 begins it later")
    return str(parts)


def mail(url: str) -> dict[str, Any]:
    """Return Django's EMAIL_* settings: SMTP for smtp:// and smtps://, files without a URL.

    Query: `tls=1` asks for STARTTLS. smtps:// is TLS from the first byte.
    """
    if not url:
        return {"EMAIL_BACKEND": "agentapp.delivery.outbox.EmailBackend"}
    parts = urls.read(url, schemes=tuple(_MAIL_PORTS))
    return {
        "EMAIL_BACKEND": "agentapp.delivery.smtp.EmailBackend",
        "EMAIL_HOST": parts.host,
        "EMAIL_PORT": parts.port or _MAIL_PORTS[parts.scheme],
        "EMAIL_HOST_USER": parts.user,
        "EMAIL_HOST_PASSWORD": parts.password,
        "EMAIL_USE_TLS": parts.scheme == "smtp" and parts.parameters().get("tls") == "1",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
        "EMAIL_TIMEOUT": 30,
    }


def artifact_storage(backend: str, options: dict[str, Any], *, directory: Path) -> dict[str, Any]:
    """Return the STORAGES entry of artifacts; Django's file storage is rooted at `directory` unless told otherwise."""
    if backend == "django.core.files.storage.FileSystemStorage":
        options = {"location": directory, "file_permissions_mode": 0o600, "directory_permissions_mode": 0o700} | options
    return {"BACKEND": backend, "OPTIONS": options}
