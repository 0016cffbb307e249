"""The composition root: settings, environment, addresses, Celery. Only Django and Celery import it."""

# Whoever reads our settings gets our Celery app as the current one.
from config.celery import app as celery_app

__all__ = ["celery_app"]
