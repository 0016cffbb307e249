"""Bodies that are sent packed: gzip, unpacked no further than the limit, so that a few bytes cannot fill the memory."""

from __future__ import annotations

import zlib

from agentapp.api.problems import Problem

_GZIP = ("gzip", "x-gzip")
_WITH_HEADER = 16 + zlib.MAX_WBITS


def is_packed(header: str) -> bool:
    """Read a Content-Encoding.

    Raises:
        Problem: 415, it is another than gzip, or several.
    """
    found = [name for part in header.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if len(found) > 1 or any(name not in _GZIP for name in found):
        raise Problem(
            "unsupported-media-type",
            "Send the body as it is, or packed once as `Content-Encoding: gzip`.",
            headers={"Accept-Encoding": "gzip"},
        )
    return bool(found)


def unpack(raw: bytes, *, most_bytes: int) -> bytes:
    """Return at most `most_bytes` of what was packed.

    Raises:
        Problem: 400, it is no gzip, or its end is missing.
    """
    unpacked = b""
    while raw and len(unpacked) < most_bytes:
        reader = zlib.decompressobj(_WITH_HEADER)
        try:
            unpacked += reader.decompress(raw, most_bytes - len(unpacked))
        except zlib.error as error:
            raise _corrupt("It is no gzip, or was damaged on its way") from error
        if not reader.eof and len(unpacked) < most_bytes:
            raise _corrupt("Its end is missing")
        # A file of gzip may consist of several, one behind the other.
        raw = reader.unused_data
    return unpacked


def _corrupt(what: str) -> Problem:
    return Problem("bad-request", f"The body cannot be unpacked. {what}: pack it again, or send it as it is.")
