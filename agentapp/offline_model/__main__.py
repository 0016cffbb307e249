"""Run the offline model server: `python -m agentapp.offline_model --port 8123`."""

from __future__ import annotations

import argparse
import gc
import json
import socket
import sys

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m agentapp.offline_model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8123, help="port; 0 takes a free one (default: %(default)s)")
    parser.add_argument("--latency-s", type=float, default=0.0, help="seconds to think before the first token")
    parser.add_argument("--tokens-per-s", type=float, default=0.0, help="how fast to write; 0 is at once")
    parser.add_argument("--control", action="store_true", help="accept faults and speed on /_control (for tests)")
    chosen = parser.parse_args()
    if chosen.latency_s < 0 or chosen.tokens_per_s < 0:
        parser.error("--latency-s and --tokens-per-s must be 0 or more")
    if chosen.control and chosen.host not in LOOPBACK:
        parser.error("--control is for tests on this machine: use it with --host 127.0.0.1")
    return chosen


def main() -> None:
    """Listen, announce the address as one JSON line on stdout, and serve until a signal ends it."""
    chosen = _arguments()
    # What imports make, and the words that are read, is no garbage: to look for it costs a tenth of a start.
    gc.disable()
    import uvicorn

    from agentapp.offline_model import server, vectors
    from agentapp.offline_model.control import Control

    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only then: 40 ms per answer otherwise.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((chosen.host, chosen.port))
    except OSError as error:
        raise SystemExit(
            f"cannot listen on {chosen.host}:{chosen.port}: {error.strerror}. Choose another --port."
        ) from error
    vectors.load()
    gc.freeze()
    gc.enable()
    control = Control(latency_s=chosen.latency_s, tokens_per_s=chosen.tokens_per_s, enabled=chosen.control)
    config = uvicorn.Config(
        server.app(control), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=2
    )
    host = f"[{chosen.host}]" if family is socket.AF_INET6 else chosen.host
    url = f"http://{host}:{listener.getsockname()[1]}/v1"
    listener.listen(512)
    sys.stdout.write(json.dumps({"event": "listening", "url": url}) + "\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listener])


main()
