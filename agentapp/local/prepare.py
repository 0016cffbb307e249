"""Bring the database up to date and seed it: `python -m agentapp.local.prepare`.

A process of its own, because the one that runs the stack read its settings before there was a database.
"""

import gc
import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import DEFAULT_DB_ALIAS, ProgrammingError, connection
from django.db.migrations.executor import MigrationExecutor


def bring_up_to_date() -> None:
    """Migrate the database, where anything is to be migrated: `migrate` builds all models of all migrations to find
    that nothing is, which is half of what such a start costs."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=1)
    else:
        # What follows the last migration, such as permissions: a start may have been killed in between.
        emit_post_migrate_signal(verbosity=0, interactive=False, db=DEFAULT_DB_ALIAS)


def main() -> None:
    # What imports make is no garbage.
    gc.disable()
    django.setup()
    gc.freeze()
    gc.enable()
    try:
        bring_up_to_date()
    except ProgrammingError as error:
        if "earlier development version" not in str(error):
            raise
        sys.exit(
            "This database was made by an earlier development version of agentapp. Nothing is released yet: delete it "
            "with `make reset`, or use another AGENTAPP_HOME."
        )
    from agentapp.local import seed  # models cannot be imported before the set-up

    seed.ensure(settings.AGENTAPP_HOME)
    # The interpreter would look through all of it once more for garbage before it ends.
    gc.freeze()


if __name__ == "__main__":
    main()
