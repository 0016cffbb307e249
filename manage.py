#!/usr/bin/env python
"""Run a management command; `manage.py help` lists them."""

import gc
import importlib.util
import os
import shlex
import sys

# One of each kind is enough to tell an environment of ours from another one.
NEEDED = ("django", "celery", "rest_framework", "dj_database_url")


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        command = shlex.join([".venv/bin/python", *sys.argv])
        print(f"{sys.executable} has no {missing[0]}. Run this instead: {command}", file=sys.stderr)
        print("If there is no .venv yet, `make up`, `make demo` and `make test` make it.", file=sys.stderr)
        return 2
    # What imports make stays until the end. To look through it for garbage, again and again while it grows, takes an
    # eighth of the CPU time of a short command.
    gc.disable()
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import ManagementUtility
    from django.core.management.base import BaseCommand
    from django.db import OperationalError

    from agentapp.lifecycle import tenant_context
    from agentapp.policies import connections

    class Commands(ManagementUtility):
        def fetch_command(self, subcommand: str) -> BaseCommand:
            """Called once everything is loaded: from here on there is garbage."""
            command = super().fetch_command(subcommand)
            # Who may run commands runs the platform, also where they connect as the role of the web process, in whose
            # container they are run.
            tenant_context.enter(None)
            gc.freeze()
            gc.enable()
            return command

    try:
        Commands(sys.argv).execute()
    except ImproperlyConfigured as error:
        # A wrong setting is the reader's to fix: a sentence, not a traceback.
        print(f"Configuration: {error}", file=sys.stderr)
        return 2
    except OperationalError as error:
        if str(error).startswith("There is no database"):  # config/no_database: again a sentence
            print(error, file=sys.stderr)
        elif getattr(error.__cause__, "sqlstate", "") is None:  # no answer of a server: it was not reached
            sentence = connections.untrusted(str(error))
            print(sentence or f"The database of DATABASE_URL cannot be reached: {error}", file=sys.stderr)
        else:
            raise
        return 2
    finally:
        # The interpreter would look through all of it once more for garbage before it ends.
        gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
