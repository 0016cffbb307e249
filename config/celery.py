"""The Celery app: a postman. Rows decide what runs; a message only says "this job may be due"."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

# No Django fixup: it closes the database connection before and after every task, which costs 4 ms of CPU a message.
# agentapp.runtime.worker owns the life of connections instead.
app = Celery("agentapp", fixups=[])

from agentapp.dispatch.celery_conf import configure  # noqa: E402

configure(app)
