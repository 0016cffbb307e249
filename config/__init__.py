"""The composition root: settings, environment, addresses, Celery. Only Django and Celery import it."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
