"""The web process: `uvicorn config.asgi:application`."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

from config.start import settings_are_right

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
with settings_are_right():
    _django = get_asgi_application()

# Only now: these need the set-up that has just been made.
from django.conf import settings

from agentapp.api.body_limit import App, BodyLimit
from agentapp.mcp_server.server import McpServer
from agentapp.streams.handover import Streams
from config.root_path import RootPath

# Two type descriptions of one protocol, ASGI: Django's messages are plain dicts.
_limited = BodyLimit(cast("App", _django), max_bytes=settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
application = RootPath(Streams(McpServer(_limited)), root_path=settings.FORCE_SCRIPT_NAME or "")
