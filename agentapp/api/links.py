"""Links to our own addresses, with the path below which the service is reached."""

from django.urls import get_script_prefix


def to(path: str) -> str:
    """Return `path`, which begins with a slash, as a client has to ask for it."""
    return get_script_prefix().rstrip("/") + path
