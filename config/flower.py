"""Flower, all of whose pages ask for the password: `python -m config.flower` takes the options of `celery flower`.

Flower answers /metrics and /healthcheck to anybody. How many tasks of which name ran and failed is nobody else's
concern, and our own /metrics says it to those who may know.
"""

from __future__ import annotations

import sys

from celery.bin.celery import main
from flower.views.monitor import Healthcheck, Metrics
from tornado.web import authenticated

for page in (Metrics, Healthcheck):
    page.get = authenticated(page.get)

if __name__ == "__main__":
    sys.argv = ["celery", "-A", "config", "flower", *sys.argv[1:]]
    main()
