"""Flower, all of whose pages ask for the password: `python -m config.flower` takes the options of `celery flower`.

Flower answers /metrics and /healthcheck to anybody. How many tasks of which name ran and failed is nobody else's
concern, and our own /metrics says it to those who may know.
"""

from __future__ import annotations

import os
import sys

from celery.bin.celery import main
from flower.options import options
from flower.views.monitor import Healthcheck, Metrics
from tornado.web import authenticated

from config.start import settings_are_right

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
with settings_are_right():
    from agentapp.dispatch.brokers import choice

# Flower keeps what it has seen in memory, about 6 kB for each job, and the last 100,000 unless it is told otherwise.
# `--max_tasks` and FLOWER_MAX_TASKS say more or less.
options.max_tasks = 10_000

for page in (Metrics, Healthcheck):
    page.get = authenticated(page.get)


def check_broker() -> None:
    """Raises SystemExit where the broker reaches no worker: every page would stay empty."""
    with settings_are_right():
        broker = choice.chosen().capabilities
    if not broker.remote_control:
        sys.exit(f"Flower shows nothing on {broker.name}: workers cannot be asked, and send no events. Use the admin.")


if __name__ == "__main__":
    check_broker()
    sys.argv = ["celery", "-A", "config", "flower", *sys.argv[1:]]
    main()
