"""Where log lines go: stderr, one JSON object a line or plain text."""

from typing import Any

HANDLER = "agentapp.observability.log_handler.RedactingHandler"


def configuration(*, format_name: str, level: str) -> dict[str, Any]:
    """Return Django's LOGGING for `format_name` json or text and a least level such as INFO."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger"},
            },
            "text": {
                "()": "agentapp.observability.log_handler.EventFormatter",
                "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
            },
        },
        "filters": {"work": {"()": "agentapp.observability.tracing.WorkFilter"}},
        "handlers": {"stderr": {"class": HANDLER, "formatter": format_name, "filters": ["work"]}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            # It writes by handlers of its own.
            "uvicorn": {"handlers": [], "propagate": True},
            # Off, whatever uvicorn is told: this configuration comes after it and would let its lines through, and
            # addresses of streams carry tokens.
            "uvicorn.access": {"handlers": [], "propagate": False},
            # One line for every call of a model, beside our own record of it.
            "httpx2": {"level": "WARNING"},
            # It says again and again that a collector is away.
            "opentelemetry": {"level": "ERROR"},
            # Four lines for every sign-in; what matters it warns of.
            "axes": {"level": "WARNING"},
            # Two lines for every request.
            "mcp": {"level": "WARNING"},
        },
    }
