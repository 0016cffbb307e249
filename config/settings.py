"""Django settings. What the environment may change is declared in `config/env.py`; the rest is fixed here."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from agentapp import __version__, redaction
from agentapp.local.home import read_stack
from agentapp.observability import uncaught
from config import (
    addresses,
    env,
    env_documents,
    env_limits,
    env_models,
    env_observability,
    env_people,
    env_tools,
    env_webhooks,
    extensions,
    known_secrets,
    log,
    loopback,
    middleware,
    secret_key,
    setting,
)

loopback.never_proxied(os.environ)

BASE_DIR: Path = setting.BASE_DIR
AGENTAPP_HOME: Path = env.HOME.read()
_STACK = read_stack(AGENTAPP_HOME)

SECRET_KEY = env.SECRET_KEY.read() or secret_key.kept(AGENTAPP_HOME)
SECRET_KEY_FALLBACKS = env.SECRET_KEY_FALLBACKS.read()
DEBUG = env.DEBUG.read()
ALLOWED_HOSTS = env.ALLOWED_HOSTS.read()
CSRF_TRUSTED_ORIGINS = env.TRUSTED_ORIGINS.read()

AGENTAPP_EXTENSIONS = extensions.found(env.EXTENSIONS.read())
INSTALLED_APPS = [
    "django.contrib.admin.apps.SimpleAdminConfig",  # config/urls.py loads the pages: only the web shows them
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "django_otp.plugins.otp_static",
    "django_celery_results",
    "agentapp.apps.AgentappConfig",
    "tasks.apps.TasksConfig",
    *AGENTAPP_EXTENSIONS,
]
MIDDLEWARE = middleware.ORDER
FORCE_SCRIPT_NAME = env.ROOT_PATH.read() or None
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
    {
        # Prompts are not HTML: what a prompt quotes must reach the model as it was written.
        "NAME": "prompts",
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "OPTIONS": {"autoescape": False},
    },
]


def _server(address: setting.Setting[str], name: str) -> str:
    """Postgres and Redis/Valkey: the environment first, then the stack that runs on this home."""
    return address.read() or address.read({address.name: _STACK.get(name, "")})


DATABASES = {
    "default": addresses.database(
        _server(env.DATABASE_URL, "database_url"),
        pool_max=env.DB_POOL_MAX.read(),
        pool_wait_s=env.DB_POOL_WAIT_S.read(),
    ),
}
if _REPLICA_URL := env_limits.REPLICA_URL.read():
    DATABASES["replica"] = addresses.database(
        _REPLICA_URL,
        pool_max=env.DB_POOL_MAX.read(),
        pool_wait_s=1.0,
        more={"target_session_attrs": "any", "connect_timeout": 2},
    )
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# What carries messages; and the Redis or Valkey for what is beside them, where that is another one.
_REDIS_URL = _server(env.REDIS_URL, "redis_url")
# The address of the stack is not that of this process, which may be another user's of the same server.
BROKER_URL = env.BROKER_URL.read() or env.REDIS_URL.read() or _server(env.BROKER_URL, "broker_url") or _REDIS_URL
REDIS_URL = "" if BROKER_URL == _REDIS_URL else _REDIS_URL

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
CSRF_FAILURE_VIEW = "agentapp.api.fallback.csrf_failure"
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = "config.formats"

# Static files come from the process itself, straight from the packages: no CDN, no collecting step.
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
# config/cors.py says who may read what from elsewhere.
WHITENOISE_ALLOW_ALL_ORIGINS = False
STORAGES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": AGENTAPP_HOME / "media"},
    },
    "staticfiles": {"BACKEND": "config.root_path.PrefixedStaticFiles"},
    "artifacts": addresses.artifact_storage(
        env.ARTIFACT_STORAGE.read(), env.ARTIFACT_STORAGE_OPTIONS.read(), directory=AGENTAPP_HOME / "artifacts"
    ),
}

# Security headers; config/middleware.py adds the content policy.
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# How people sign in: docs/howto/users_and_keys.md.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_FAILURE_LIMIT = env_people.LOGIN_FAILURES.read()
AXES_COOLOFF_TIME = timedelta(minutes=env_people.LOGIN_PAUSE_MINUTES.read())
# Of one person from one address: nobody locks a colleague out from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_CALLABLE = "agentapp.admin.signing_in.paused"
AXES_CLIENT_IP_CALLABLE = "agentapp.admin.signing_in.address_of"
AGENTAPP_PROXIES = env_people.PROXIES.read()
AXES_ENABLE_ADMIN = AXES_VERBOSE = False
# It keeps the forms of those who were refused: a code on paper is good until it is used.
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "code"]
AXES_DISABLE_ACCESS_LOG = True
AGENTAPP_SECOND_FACTOR_REQUIRED = env_people.SECOND_FACTOR_REQUIRED.read()
OTP_TOTP_ISSUER = "agentapp"
SESSION_COOKIE_AGE = round(env_people.SESSION_HOURS.read() * 3600)
AGENTAPP_SESSION_IDLE_HOURS = env_people.SESSION_IDLE_HOURS.read()
SESSION_COOKIE_HTTPONLY = True
SESSION_ENGINE, SESSION_COOKIE_SAMESITE = "config.session_limits", "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
_HTTPS = env.HTTPS.read()
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = _HTTPS
SECURE_REDIRECT_EXEMPT = [
    r"(^|/)healthz/?$",
    r"(^|/)readyz/?$",
    r"(^|/)metrics/?$",
]  # they come from inside, without TLS
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
# Whether all subdomains of a host have TLS is known to its owner alone: `check --deploy` asks for what is set here.
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS and env.HSTS_SUBDOMAINS.read()
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _HTTPS else None
DATA_UPLOAD_MAX_MEMORY_SIZE = env.BODY_MAX_BYTES.read()

# A view that says nothing lets nobody in; API views name their authentication and scopes.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
}
# The OpenAPI document; agentapp/api/contract/ makes it, and only the web process loads that.
SPECTACULAR_SETTINGS = {
    "TITLE": "agentapp",
    "DESCRIPTION": "Durable AI-agent workflows over HTTP.",
    "VERSION": __version__,
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "",
    "SORT_OPERATIONS": False,
    "POSTPROCESSING_HOOKS": [],
}

# EMAIL_BACKEND, and EMAIL_HOST and so on where it is SMTP; the names stand in config/addresses.py.
globals().update(addresses.mail(env.EMAIL_URL.read()))
AGENTAPP_MAIL_IS_SENT = bool(env.EMAIL_URL.read()) or env.MAIL_IS_SENT.read()
EMAIL_FILE_PATH = str(AGENTAPP_HOME / "outbox")
DEFAULT_FROM_EMAIL = env.DEFAULT_FROM_EMAIL.read()

# Before anything is logged.
redaction.learn(
    *known_secrets.values(
        os.environ, more=(SECRET_KEY, BROKER_URL, _REDIS_URL, _server(env.DATABASE_URL, "database_url"))
    )
)
uncaught.redact()
DEFAULT_EXCEPTION_REPORTER = "config.error_pages.RedactingReporter"
LOGGING = log.configuration(format_name=env.LOG_FORMAT.read(), level=env.LOG_LEVEL.read())

AGENTAPP_DB_POOL_MAX = env.DB_POOL_MAX.read()
AGENTAPP_STATEMENT_TIMEOUT_S = env.STATEMENT_TIMEOUT_S.read()
AGENTAPP_LOCK_TIMEOUT_S = env.LOCK_TIMEOUT_S.read()
AGENTAPP_REPLICA_LACKS_NOTHING = env_limits.REPLICA_LACKS_NOTHING.read()
AGENTAPP_REPLICA_LAG_S = env_limits.REPLICA_LAG_S.read()
AGENTAPP_LEASE_S = env.LEASE_S.read()
AGENTAPP_HEARTBEAT_S = env.HEARTBEAT_S.read()
AGENTAPP_DRAIN_S = env.DRAIN_S.read()
AGENTAPP_ALIVE_FILE = env.ALIVE_FILE.read()
AGENTAPP_CHILD_MEMORY_MB = env.CHILD_MEMORY_MB.read()
AGENTAPP_FAILPOINTS = env.FAILPOINTS.read()
AGENTAPP_DUTIES_OFF = env.DUTIES_OFF.read()
AGENTAPP_IN_PLACE_BUDGET_S = env.IN_PLACE_BUDGET_S.read()
AGENTAPP_DISPATCH_TICK_S = env.DISPATCH_TICK_S.read()
AGENTAPP_SEND_HOLD_S = env_limits.SEND_HOLD_S.read()
AGENTAPP_PUBLIC_URL = env_limits.PUBLIC_URL.read()
AGENTAPP_CLAIM_MINUTES = env_limits.CLAIM_MINUTES.read()
AGENTAPP_AGEING_S = env_limits.AGEING_S.read()
AGENTAPP_QUEUE_TARGETS_S = env_limits.QUEUE_TARGETS_S.read()
AGENTAPP_TRACE_URL = env.TRACE_URL.read()
AGENTAPP_APPROVAL_TARGET_S = env_limits.APPROVAL_TARGET_S.read()
AGENTAPP_METRICS_TOKEN = env_observability.METRICS_TOKEN.read()
AGENTAPP_OTLP_URL = env_observability.otlp_url()
AGENTAPP_METRICS_TENANTS = env_observability.METRICS_TENANTS.read()
AGENTAPP_SOFT_MARK_TASKS = env_limits.SOFT_MARK_TASKS.read()
AGENTAPP_HARD_MARK_TASKS = env_limits.HARD_MARK_TASKS.read()
AGENTAPP_TENANT_MARK_TASKS = env_limits.TENANT_MARK_TASKS.read()
AGENTAPP_WEBHOOK_ALLOWED_NETWORKS = env_webhooks.WEBHOOK_ALLOWED_NETWORKS.read()
AGENTAPP_WEBHOOK_ALLOW_HTTP = env_webhooks.WEBHOOK_ALLOW_HTTP.read()
AGENTAPP_UPLOAD_MAX_BYTES = env_documents.UPLOAD_MAX_BYTES.read()
AGENTAPP_PARSE_MEMORY_MB = env_documents.PARSE_MEMORY_MB.read()
AGENTAPP_PARSE_CPU_S = env_documents.PARSE_CPU_S.read()
AGENTAPP_PARSE_MAX_PAGES = env_documents.PARSE_MAX_PAGES.read()
AGENTAPP_MODEL_ALLOWED_NETWORKS = env_models.MODEL_ALLOWED_NETWORKS.read()
AGENTAPP_HTTP_ENDPOINTS = env_tools.HTTP_ENDPOINTS.read()
AGENTAPP_TOOL_COMMANDS = env_tools.TOOL_COMMANDS.read()
AGENTAPP_FETCH_ALLOWED_NETWORKS = env_webhooks.FETCH_ALLOWED_NETWORKS.read()
AGENTAPP_TOOL_ALLOWED_NETWORKS = env_webhooks.TOOL_ALLOWED_NETWORKS.read()
AGENTAPP_MAX_INPUT_BYTES = env.MAX_INPUT_BYTES.read()
AGENTAPP_KEEP_COMPLETED_DAYS = env_limits.KEEP_COMPLETED_DAYS.read()
AGENTAPP_KEEP_CANCELLED_DAYS = env_limits.KEEP_CANCELLED_DAYS.read()
AGENTAPP_KEEP_FAILED_DAYS = env_limits.KEEP_FAILED_DAYS.read()
AGENTAPP_KEPT_CALL_CHARACTERS = env_limits.KEPT_CALL_CHARACTERS.read()
AGENTAPP_KEEP_AUDIT_DAYS = env_limits.KEEP_AUDIT_DAYS.read()
AGENTAPP_MAX_PAYLOAD_BYTES = env_limits.MAX_PAYLOAD_BYTES.read()
AGENTAPP_COMPACT_AT_TOKENS = env_limits.COMPACT_AT_TOKENS.read()
AGENTAPP_MAX_OUTPUT_BYTES = env_limits.MAX_OUTPUT_BYTES.read()
AGENTAPP_FAN_OUT_MAX_PARTS = env_limits.FAN_OUT_MAX_PARTS.read()

if AGENTAPP_HEARTBEAT_S * 2 > AGENTAPP_LEASE_S:
    raise ImproperlyConfigured(
        f"AGENTAPP_HEARTBEAT_S is {AGENTAPP_HEARTBEAT_S:g} and AGENTAPP_LEASE_S is {AGENTAPP_LEASE_S:g}: a lease must "
        "last for two heartbeats or more, or living workers lose their jobs. Shorten the one or lengthen the other."
    )

# Without a provider the offline model server answers, for completions and for embeddings alike.
_HAS_PROVIDER = bool(env_models.MODEL_API_KEY.read() or env_models.MODEL_BASE_URL.read())
_OFFLINE_URL = "" if _HAS_PROVIDER else _STACK.get("model_url", "")
AGENTAPP_MODEL_API_KEY = env_models.MODEL_API_KEY.read() or "offline"
AGENTAPP_MODEL_BASE_URL = env_models.MODEL_BASE_URL.read() or _OFFLINE_URL
AGENTAPP_MODEL = env_models.MODEL.read() or ("gpt-5-mini" if _HAS_PROVIDER else "offline")
AGENTAPP_MODEL_TIMEOUT_S = env_models.MODEL_TIMEOUT_S.read()
AGENTAPP_EMBEDDING_URL = env_models.EMBEDDING_URL.read() or _OFFLINE_URL
AGENTAPP_EMBEDDING_KEY = env_models.EMBEDDING_KEY.read() or "offline"
AGENTAPP_EMBEDDING_OLD_URL = env_models.EMBEDDING_OLD_URL.read()
AGENTAPP_EMBEDDING_OLD_KEY = env_models.EMBEDDING_OLD_KEY.read()
AGENTAPP_EMBEDDING_MODEL = env_models.EMBEDDING_MODEL.read() or ("offline" if _OFFLINE_URL else "")
if bool(AGENTAPP_EMBEDDING_URL) != bool(AGENTAPP_EMBEDDING_MODEL):
    raise ImproperlyConfigured(
        "AGENTAPP_EMBEDDING_URL and AGENTAPP_EMBEDDING_MODEL belong together: set both, or neither for a search by "
        "full text alone."
    )
AGENTAPP_PORT = env.PORT.read()
AGENTAPP_CORS_ORIGINS = env.CORS_ORIGINS.read()
AGENTAPP_FLOWER_URL = env.FLOWER_URL.read() or _STACK.get("flower_url", "")
