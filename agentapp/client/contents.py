"""The content of an artifact, piece by piece: a connection that breaks costs a piece and not the whole."""

from __future__ import annotations

from agentapp.client.calls import Call, Request, answered, understood

PIECE_BYTES = 1024 * 1024


def piece(artifact_id: str, *, start: int, end: int | None, within_s: float) -> Call[tuple[bytes, int]]:
    """Return the bytes from `start` up to `end`, which is not among them, and how many the whole has."""
    headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}", "Accept-Encoding": "identity"}
    response = yield from answered(
        Request("GET", f"artifacts/{artifact_id}", headers=headers), repeatable=True, within_s=within_s
    )
    size = response.headers.get("content-range", "").rpartition("/")[2]
    if response.status == 416 and size.isdigit():
        return b"", int(size)
    if response.status >= 400:
        understood(response)
    if response.status != 206:
        return response.content[start:end], len(response.content)
    return response.content, int(size)
