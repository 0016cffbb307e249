"""Rows become Celery messages here, and loops keep time."""
