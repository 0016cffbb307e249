#!/usr/bin/env python
"""Run a management command; `manage.py help` lists them."""

import os
import sys


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line
        from django.db import OperationalError
    except ModuleNotFoundError as error:
        print(f"Django is not installed here ({error}). Run `make up`, or use .venv/bin/python.", file=sys.stderr)
        return 2
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        # A wrong setting is the reader's to fix: a sentence, not a traceback.
        print(f"Configuration: {error}", file=sys.stderr)
        return 2
    except OperationalError as error:
        if not str(error).startswith("There is no database"):  # config/no_database: again a sentence
            raise
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
