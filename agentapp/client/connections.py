"""How connections are kept between requests."""

from __future__ import annotations

import ssl
from functools import cache

import httpx2

# The service, and uvicorn wherever it runs, closes a connection on which nothing came for five seconds. One that is
# closed at the moment of a request loses it, and what changes something is not sent again: so none is kept that long.
LIMITS = httpx2.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=2.0)


@cache
def trusted(*, by_environment: bool) -> ssl.SSLContext:
    """The authorities that certificates are checked with: read once, which takes longer than a call."""
    return httpx2.create_ssl_context(trust_env=by_environment)
