"""The service below a path of a host, such as https://example.org/agents: every link carries that prefix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix, set_script_prefix
from django.utils.encoding import filepath_to_uri

App = Callable[[Any, Any, Any], Awaitable[None]]


class RootPath:
    """ASGI middleware: the prefix stands in each path exactly once, whether the proxy in front takes it off or not.

    Without one in the settings, the server's own (`uvicorn --root-path`) holds; it has put it into the path already.
    """

    def __init__(self, app: App, *, root_path: str) -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] in ("http", "websocket"):
            root = self.root_path or scope.get("root_path", "").rstrip("/")
            path = scope["path"]
            if root and path != root and not path.startswith(f"{root}/"):
                path = root + path
            scope = {**scope, "root_path": root, "path": path}
            set_script_prefix(f"{root}/")
        await self.app(scope, receive, send)


class PrefixedStaticFiles(StaticFilesStorage):
    """Static files whose links carry the prefix of the request; Django's own remember the first one that they see."""

    def url(self, name: str | None) -> str:
        return f"{get_script_prefix()}static/{filepath_to_uri(name)}"
