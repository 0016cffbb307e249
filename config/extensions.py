"""The packages that a deployment adds to agentapp: they must be there when the process starts."""

import importlib.util
from collections.abc import Iterable

from django.core.exceptions import ImproperlyConfigured


def found(packages: Iterable[str]) -> list[str]:
    """Return the packages.

    Raises:
        ImproperlyConfigured: Python does not find one of them, or one is named twice.
    """
    names = list(packages)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ImproperlyConfigured(f"AGENTAPP_EXTENSIONS names {', '.join(twice)} more than once. Leave one of each.")
    for name in names:
        if not is_found(name):
            raise ImproperlyConfigured(
                f"AGENTAPP_EXTENSIONS names {name}, which Python does not find. Install it into this environment, or "
                "put the directory that holds it on PYTHONPATH, as in PYTHONPATH=/path/to/it."
            )
    return names


def is_found(name: str) -> bool:
    """Tell whether Python finds a module or package of this name."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False
