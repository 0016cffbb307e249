"""A proxy for the outside world has no way to this machine: loopback addresses are never asked for through it."""

from collections.abc import MutableMapping

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NAMES = ("no_proxy", "NO_PROXY")  # the lower-case one wins where both are set


def never_proxied(environ: MutableMapping[str, str]) -> None:
    """Complete the list of hosts that HTTP clients of this process, and of those it starts, ask directly."""
    said = next((environ[name] for name in _NAMES if environ.get(name)), "")
    hosts = [host.strip() for host in said.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in _LOOPBACK if host not in hosts]
    for name in _NAMES:
        environ[name] = ",".join(hosts)
