"""A page of the web, from public addresses only."""

import re
from dataclasses import replace

from agentapp import conf
from agentapp.delivery.guarded_http import Guard, Limits
from agentapp.errors import ToolFailed
from agentapp.policies import storable
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.policies.file_types import FileType
from agentapp.retrieval.parsing import plain_text, process
from agentapp.retrieval.parsing.limits import Unreadable
from agentapp.tools import ToolContext, tool

LIMITS = Limits(connect_s=5.0, read_s=10.0, total_s=25.0, content_s=15.0, content_bytes=512 * 1024)
MOST_CHARACTERS = 20_000
MOST_CPU_S = 4
_CHARSET = re.compile(r"charset=[\"']?([\w.:-]{1,40})")
_TEXTS = ("text/", "application/json", "application/xml", "application/xhtml+xml")


# What a run has read may tell it to put that into an address: from then on a person sees each address first.
@tool(queue="retrieval", worker_scopes={"web:fetch"}, timeout_s=30, approval="tainted", untrusted=True)
def fetch_url(ctx: ToolContext, *, url: str) -> str:
    """Fetch the page at a public http or https address and return its text."""
    try:
        guard = Guard(
            allowed=tuple(conf.fetch_allowed_networks()), allows_http=True,
            allowed_by="AGENTAPP_FETCH_ALLOWED_NETWORKS",
        )  # fmt: skip
        ctx.release()
        answer = guard.get(url, headers={"User-Agent": "agentapp", "Accept": "text/*"}, limits=LIMITS)
    except TargetNotAllowed as error:
        raise ToolFailed(f"This address may not be fetched: {error}") from error
    if 300 <= answer.status <= 399:
        return f"It redirects ({answer.status}) to {answer.headers.get('location', 'nowhere')}: fetch that address."
    if answer.status >= 400:
        raise ToolFailed(f"It answered {answer.status}.")
    kind = answer.headers.get("content-type", "text/plain").lower()
    if not kind.startswith(_TEXTS):
        raise ToolFailed(f"It is {kind}, which is no text.")
    text = _page(ctx, answer.content, kind) if "html" in kind else _decoded(answer.content, kind)
    cut = len(text) > MOST_CHARACTERS or not answer.is_whole
    return text[:MOST_CHARACTERS] + ("\n\n(The rest of the page is not shown.)" if cut else "")


def _page(ctx: ToolContext, content: bytes, kind: str) -> str:
    """Read a page in a process of its own: a page can be written so that its reader fails, or takes hours."""
    declared = kind if "charset=" in kind else f"charset={plain_text.charset_of_page(content)}"
    page = storable.text(_decoded(content, declared)).encode()
    limits = replace(process.limits(), cpu_s=MOST_CPU_S, wall_s=ctx.left_s())
    try:
        read = process.parse(page, file_type=FileType.HTML, charset="utf-8", within=limits, check=ctx.check)
    except Unreadable as error:
        raise ToolFailed(f"The page cannot be read: {error}") from error
    return "\n\n".join(filter(None, (read.title, read.text)))


def _decoded(content: bytes, kind: str) -> str:
    """A page may be cut within a letter, or be wrong about its letters: what can be read is."""
    found = _CHARSET.search(kind)
    try:
        return content.decode(found[1] if found else "utf-8", errors="replace")
    except (LookupError, UnicodeError):
        return content.decode(errors="replace")
