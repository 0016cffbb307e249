"""The settings of the bare view: the same database, and nothing between the server and the view."""

from config.settings import *  # noqa: F403

MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.bare.urls"
