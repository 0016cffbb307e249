"""Connections to providers that people name in rows: to allowed addresses only, whatever a name leads to next time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from agentapp import conf
from agentapp.delivery.guarded_http import Guard, NoAnswer
from agentapp.policies.addresses import TargetNotAllowed


def guard() -> Guard:
    """Return what this installation's settings allow providers of models to be."""
    return Guard(allowed=tuple(conf.model_allowed_networks()), allowed_by="AGENTAPP_MODEL_ALLOWED_NETWORKS")


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to the addresses of one URL that were checked at this moment. TLS goes by the name all the same."""

    def __init__(self, backend: httpcore2.NetworkBackend, url: str) -> None:
        self._backend = backend
        self._url = url

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:  # fmt: skip
        until_s = float("inf") if timeout is None else time.monotonic() + timeout
        try:
            target, addresses = guard().check(self._url)
        except (TargetNotAllowed, NoAnswer) as error:
            raise httpcore2.ConnectError(str(error)) from error
        if (host.strip("[]"), port) != (target.host, target.port):
            raise httpcore2.ConnectError(f"{host} is not the host of this provider")
        failure: Exception = httpcore2.ConnectError("there is no address")
        for position, address in enumerate(addresses):
            # One that is silent must not take the time of those after it, nor more than there is.
            left_s = (until_s - time.monotonic()) / (len(addresses) - position)
            if left_s <= 0:
                raise httpcore2.ConnectTimeout(f"connecting to {target.authority} took too long")
            within_s = None if timeout is None else left_s
            try:
                return self._backend.connect_tcp(str(address), port, within_s, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)
