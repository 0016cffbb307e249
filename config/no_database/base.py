"""Postgres in every respect, but for the connection: asking for one says what to do."""

from typing import Any, NoReturn

from django.db import OperationalError
from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> NoReturn:
        raise OperationalError("There is no database: start the stack with `make up`, or set DATABASE_URL.")
