"""Read the text of an uploaded file, in a process of its own."""

from typing import Any

from agentapp.policies.file_types import FileType
from agentapp.policies.retry import RetryPolicy
from agentapp.retrieval import titles
from agentapp.retrieval.parsing import process
from agentapp.retrieval.parsing.limits import Unreadable
from agentapp.runtime import JobContext, job


@job(queue="documents", scopes={"documents:read"}, timeout_s=300, retry=RetryPolicy(max_attempts=3))
def parse_document(
    ctx: JobContext, *, upload_id: str, file_type: str, charset: str, source: str, title: str
) -> dict[str, Any]:
    data = ctx.artifacts.read_bytes(upload_id)
    ctx.release()
    try:
        parsed = process.parse(data, file_type=FileType(file_type), charset=charset, check=ctx.check)
    except Unreadable as error:
        return {"text_id": "", "title": title, "characters": 0, "unreadable": str(error)}
    return {
        "text_id": ctx.artifacts.write(parsed.text, name="text.md"),
        "title": title or titles.of(parsed.text, own=parsed.title, source=source),
        "characters": len(parsed.text),
        "unreadable": "",
    }
