"""The Celery app: a message_reader. Rows decide what runs; a message only says "this job may be due"."""

from __future__ import annotations

import os
import sys
from typing import Any

from celery import Celery, signals

from config.setting import BASE_DIR
from config.start import loading, settings_are_right

# The `celery` command takes the checkout off its path again when it has found this module.
sys.path.append(str(BASE_DIR))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def settings() -> dict[str, Any]:
    """Read when Celery first needs them: Django's own settings import this module's package."""
    from agentapp.dispatch import celery_conf

    # Celery's command takes BROKER_URL as its option --broker, as it stands; ours is read, checked and translated.
    os.environ.pop("CELERY_BROKER_URL", None)
    with settings_are_right():
        return celery_conf.settings()


# No Django fixup: it closes the database connection before and after every task, which costs 4 ms of CPU a message.
# agentapp.runtime.worker owns the life of connections instead.
app = Celery("agentapp", fixups=[], amqp="agentapp.dispatch.celery_conf:Amqp")
app.add_defaults(settings)
# For every thread: the web publishes from many.
app.set_default()


@signals.import_modules.connect
def set_up_django(**_: Any) -> None:
    """Fill the registry of job types before a worker asks for its tasks."""
    import django

    with settings_are_right(), loading():
        django.setup()
