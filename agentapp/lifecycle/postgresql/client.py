"""`manage.py dbshell`, with what an address says in its query: a socket's folder, several servers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import client


class DatabaseClient(client.DatabaseClient):
    @classmethod
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """Django reads host and port from its own settings alone: psql would take its default address."""
        options = settings_dict["OPTIONS"]
        host, port = settings_dict["HOST"] or options.get("host"), settings_dict["PORT"] or options.get("port")
        args, env = super().settings_to_cmd_args_env(settings_dict | {"HOST": host, "PORT": port}, parameters)
        wanted = options.get("target_session_attrs")
        return args, {**(env or {}), **({"PGTARGETSESSIONATTRS": wanted} if wanted else {})}
