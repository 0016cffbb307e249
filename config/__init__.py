"""The composition root: settings, environment, addresses, Celery. Only Django and Celery import it."""

# Reading our settings makes our Celery app the current one.
from config.celery import app as celery_app

__all__ = ["celery_app"]
