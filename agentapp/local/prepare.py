"""Bring the database up to date and seed it: `python -m agentapp.local.prepare`.

A process of its own, because the one that runs the stack read its settings before there was a database.
"""

import django
from django.conf import settings
from django.core.management import call_command


def main() -> None:
    django.setup()
    call_command("migrate", interactive=False, verbosity=1)
    from agentapp.local import seed  # models cannot be imported before the set-up

    seed.ensure(settings.AGENTAPP_HOME)


if __name__ == "__main__":
    main()
