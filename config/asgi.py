"""The web process: `uvicorn config.asgi:application`."""

import os
from typing import cast

import django

from config.start import loading, settings_are_right

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
with settings_are_right(), loading():
    django.setup(set_prefix=False)

    # Only now: these need the set-up that has just been made.
    from django.conf import settings

    from agentapp.api.body_limit import App, BodyLimit
    from agentapp.lifecycle import at_start
    from agentapp.lifecycle.postgresql import limits
    from agentapp.mcp_server.middleware import McpServer
    from agentapp.observability import tracing
    from agentapp.policies import connections
    from agentapp.streams.handover import Streams
    from config.cors import Cors
    from config.handler import Handler
    from config.root_path import RootPath

limits.be("web")
at_start.look(connections.of_web(settings.AGENTAPP_DB_POOL_MAX))
tracing.install("web")
# Two type descriptions of one protocol, ASGI: Django's messages are plain dicts.
_limited = BodyLimit(
    cast("App", Handler()),
    max_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE,
    upload_bytes=settings.AGENTAPP_UPLOAD_MAX_BYTES,
)
_open = Cors(Streams(McpServer(_limited)), origins=settings.AGENTAPP_CORS_ORIGINS)
application = RootPath(_open, root_path=settings.FORCE_SCRIPT_NAME or "")
