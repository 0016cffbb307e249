"""Every setting that the environment may change: name, default, unit, and a sentence that says what it does.

This is the one place. `config/settings.py` reads the values, and the settings page of the documentation is generated
from the table. A value that cannot be read stops the start with a sentence that names the setting and an example.
"""

from __future__ import annotations

from typing import Any

from config import addresses, broker_address
from config.setting import (
    BASE_DIR,
    Setting,
    cors_origins,
    directory,
    flag,
    hosts,
    importable,
    log_format,
    log_level,
    mapping,
    names,
    number,
    origins,
    path_prefix,
    port,
    sender,
    some_time,
    text,
    trace_url,
    whole,
)

HOME = Setting(
    "AGENTAPP_HOME",
    BASE_DIR / ".local",
    directory,
    "/var/lib/agentapp",
    "Directory of everything that is kept on this machine: embedded servers, artifacts, outbox, logs, credentials.",
)
PORT = Setting("PORT", 8000, port, "8000", "Port of the web process under `make up`; 0 takes a free one.")
DATABASE_URL = Setting(
    "DATABASE_URL",
    "",
    addresses.postgres_url,
    "postgresql://user:password@host:5432/agentapp",
    "The Postgres that holds every state. Unset: the one that `make up` runs.",
    secret=True,
)
BROKER_URL = Setting(
    "BROKER_URL",
    "",
    broker_address.broker_url,
    "amqps://user:password@host:5671/agentapp",
    "What carries messages, by its scheme: redis, rediss, amqp, amqps (RabbitMQ), sqs, postgresql; "
    "docs/brokers.md compares them. Unset: REDIS_URL.",
    secret=True,
)
REDIS_URL = Setting(
    "REDIS_URL",
    "",
    addresses.redis_url,
    "redis://:password@host:6379/0",
    "The Redis or Valkey that carries messages, and without BROKER_URL the broker; beside another broker, for previews "
    "and wakes alone. rediss:// is TLS, and checks the server's certificate. Unset: the one that `make up` runs.",
    secret=True,
)
DB_POOL_MAX = Setting(
    "AGENTAPP_DB_POOL_MAX",
    0,
    whole,
    "10",
    "Most database connections that one process with threads may hold; 0 keeps one for each thread.",
    unit="connections",
)
DB_POOL_WAIT_S = Setting(
    "AGENTAPP_DB_POOL_WAIT_S",
    30.0,
    number,
    "30",
    "How long a thread waits for a free connection of the pool.",
    unit="seconds",
)

_NO_SECONDS: float | None = None
STATEMENT_TIMEOUT_S = Setting(
    "AGENTAPP_STATEMENT_TIMEOUT_S",
    _NO_SECONDS,
    number,
    "15",
    "Seconds that one statement of this process may take; 0 sets no limit. Unset: 15 in the web, 60 in workers, 90 in "
    "dispatchers, no limit in commands. Not used behind PgBouncer: there database_roles sets it.",
)
LOCK_TIMEOUT_S = Setting(
    "AGENTAPP_LOCK_TIMEOUT_S",
    _NO_SECONDS,
    number,
    "10",
    "Seconds that a statement of this process waits for a lock; 0 sets no limit. Unset: 10 in the web and dispatchers, "
    "30 in workers, no limit in commands. Not used behind PgBouncer: there database_roles sets it.",
)

SECRET_KEY = Setting(
    "DJANGO_SECRET_KEY",
    "",
    text,
    "a-long-random-text",
    "Signs sessions and forms. Unset: made at the first start and kept under AGENTAPP_HOME.",
    secret=True,
)
SECRET_KEY_FALLBACKS: Setting[list[str]] = Setting(
    "DJANGO_SECRET_KEY_FALLBACKS",
    [],
    names,
    "the-key-before",
    "Earlier values of DJANGO_SECRET_KEY, with a comma between them: sessions and secrets of webhooks that were made "
    "with them stay valid.",
    secret=True,
)
DEBUG = Setting("DJANGO_DEBUG", False, flag, "0", "Shows tracebacks in the browser; never where others can reach it.")
ALLOWED_HOSTS = Setting(
    "DJANGO_ALLOWED_HOSTS",
    ["localhost", "127.0.0.1", "[::1]"],
    hosts,
    "agents.example.org",
    "Host names that the web process answers to.",
)
TRUSTED_ORIGINS: Setting[list[str]] = Setting(
    "DJANGO_CSRF_TRUSTED_ORIGINS",
    [],
    origins,
    "https://agents.example.org",
    "Origins whose forms are accepted behind a proxy that ends TLS.",
)
CORS_ORIGINS: Setting[list[str]] = Setting(
    "AGENTAPP_CORS_ORIGINS",
    [],
    cors_origins,
    "https://app.example.org",
    "Origins whose pages may call the API from a browser, with a key of their own; * stands for all. Unset: none.",
)
TRACE_URL = Setting(
    "AGENTAPP_TRACE_URL",
    "",
    trace_url,
    "https://traces.example.org/trace/{trace_id}",
    "Where traces are shown: the pages of tasks and dead letters link there. Unset: they show the id of the trace.",
)
ROOT_PATH = Setting(
    "AGENTAPP_ROOT_PATH",
    "",
    path_prefix,
    "/agents",
    "Path below which the service is reached, as https://example.org/agents; the proxy may take it off or leave it on.",
)
HTTPS = Setting(
    "AGENTAPP_HTTPS",
    False,
    flag,
    "1",
    "The service is reached over TLS: secure cookies, redirect, HSTS; the proxy must set X-Forwarded-Proto.",
)
HSTS_SUBDOMAINS = Setting(
    "AGENTAPP_HSTS_SUBDOMAINS",
    False,
    flag,
    "1",
    "With AGENTAPP_HTTPS, browsers shall use TLS for all subdomains of the host too, and may be told so in advance: "
    "only where every subdomain has TLS.",
)
BODY_MAX_BYTES = Setting(
    "AGENTAPP_BODY_MAX_BYTES", 1_000_000, whole, "1000000", "Largest request body that is read.", unit="bytes"
)
MAX_INPUT_BYTES = Setting(
    "AGENTAPP_MAX_INPUT_BYTES", 65_536, whole, "65536", "Largest input of a task, as JSON.", unit="bytes"
)
LOG_FORMAT = Setting(
    "AGENTAPP_LOG_FORMAT", "text", log_format, "json", "json writes one object a line, text is for people."
)
LOG_LEVEL = Setting("AGENTAPP_LOG_LEVEL", "INFO", log_level, "INFO", "Least level that is written.")
EXTENSIONS: Setting[list[str]] = Setting(
    "AGENTAPP_EXTENSIONS",
    [],
    names,
    "my_company.agents",
    "Python packages with further job types, tools, sources and workflows.",
)

LEASE_S = Setting(
    "AGENTAPP_LEASE_S",
    15.0,
    some_time,
    "15",
    "How long a claimed job stays with a worker that shows no sign of life.",
    unit="seconds",
)
HEARTBEAT_S = Setting(
    "AGENTAPP_HEARTBEAT_S",
    1.0,
    some_time,
    "1",
    "How often a worker renews its leases; several times within a lease. A dead worker is noticed after two of them.",
    unit="seconds",
)
DRAIN_S = Setting(
    "AGENTAPP_DRAIN_S",
    5.0,
    number,
    "5",
    "How long running jobs may go on after SIGTERM before they are handed back; the process is gone 3 seconds later.",
    unit="seconds",
)
ALIVE_FILE = Setting(
    "AGENTAPP_ALIVE_FILE",
    "",
    text,
    "/tmp/agentapp-alive",  # noqa: S108 - an example
    "A file that a worker or dispatcher writes every 10 seconds while it lives, for the health checks of containers "
    "(deploy/alive). One for each process. Unset: none.",
)
CHILD_MEMORY_MB = Setting(
    "AGENTAPP_CHILD_MEMORY_MB",
    2048,
    whole,
    "2048",
    "Address space of each child of a prefork pool; a job that wants more fails. 0 sets no limit.",
    unit="megabytes",
)
FAILPOINTS = Setting(
    "AGENTAPP_FAILPOINTS",
    "",
    text,
    "/tmp/failpoints",  # noqa: S108 - an example
    "For tests only: a directory whose files kill processes at named places. Unset in production.",
)
DUTIES_OFF: Setting[list[str]] = Setting(
    "AGENTAPP_DUTIES_OFF",
    [],
    names,
    "rescue",
    "For tests only: what the dispatcher leaves undone, to show that a test would see it. Unset in production.",
)
IN_PLACE_BUDGET_S = Setting(
    "AGENTAPP_IN_PLACE_BUDGET_S",
    1.0,
    number,
    "1",
    "How long one message may go on with further jobs of its workflow; 0 sends each through the broker.",
    unit="seconds",
)
DISPATCH_TICK_S = Setting(
    "AGENTAPP_DISPATCH_TICK_S",
    0.5,
    some_time,
    "0.5",
    "How often the dispatcher looks for due work when nothing wakes it.",
    unit="seconds",
)

ARTIFACT_STORAGE = Setting(
    "AGENTAPP_ARTIFACT_STORAGE",
    "django.core.files.storage.FileSystemStorage",
    importable,
    "django.core.files.storage.FileSystemStorage",
    "Django storage class that keeps prompts, drafts and files, such as one of django-storages.",
)
ARTIFACT_STORAGE_OPTIONS: Setting[dict[str, Any]] = Setting(
    "AGENTAPP_ARTIFACT_STORAGE_OPTIONS",
    {},
    mapping,
    '{"bucket_name": "artifacts"}',
    "Options of that storage, as a JSON object.",
    secret=True,
)
EMAIL_URL = Setting(
    "EMAIL_URL",
    "",
    addresses.mail_url,
    "smtp://user:password@mail.example.org:587/?tls=1",
    "SMTP server for approved mails. Unset: each mail is a file under AGENTAPP_HOME/outbox.",
    secret=True,
)
MAIL_IS_SENT = Setting(
    "AGENTAPP_MAIL_IS_SENT",
    False,
    flag,
    "1",
    "For processes without EMAIL_URL: mails are sent, not written to files. Shown at /; set by the Procfile.",
)
FLOWER_URL = Setting(
    "AGENTAPP_FLOWER_URL",
    "",
    addresses.web_url,
    "https://flower.example.org",
    "Where Flower is, for links at / and in the admin. Unset: the one that `make up` runs, if any.",
)
DEFAULT_FROM_EMAIL = Setting(
    "DEFAULT_FROM_EMAIL", "agentapp@localhost", sender, "support@example.org", "Sender of mails."
)
