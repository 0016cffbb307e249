"""Our own addresses: links with the path below which the service is reached, and which of them are pages."""

from django.urls import get_script_prefix

# These have forms and a session, and answer with HTML.
FOR_PEOPLE = ("/admin/", "/console/")


def to(path: str) -> str:
    """Return `path`, which begins with a slash, as a client has to ask for it."""
    return get_script_prefix().rstrip("/") + path
