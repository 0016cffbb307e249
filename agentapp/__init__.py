"""Durable AI-agent workflows on Celery, Postgres and Django."""

__version__ = "0.1.0"
