"""Fill the registries at start: our own tools, job types and workflow kinds, then those of AGENTAPP_EXTENSIONS."""

from __future__ import annotations

import importlib
import pkgutil

from django.apps import AppConfig
from django.conf import settings


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        for package in ("agentapp.tools.built_in", "tasks", *getattr(settings, "AGENTAPP_EXTENSIONS", ())):
            load(package)


def load(package: str) -> None:
    """Import a package and every module below it, so that its decorators run."""
    module = importlib.import_module(package)
    for found in pkgutil.walk_packages(getattr(module, "__path__", ()), prefix=f"{package}."):
        importlib.import_module(found.name)
