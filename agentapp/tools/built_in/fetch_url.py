"""A page of the web, from public addresses only."""

from agentapp import conf
from agentapp.delivery.guarded_http import Guard, Limits
from agentapp.errors import ToolFailed
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.retrieval.parsing import html_text, process
from agentapp.tools import ToolContext, tool

LIMITS = Limits(connect_s=5.0, read_s=10.0, total_s=25.0, content_s=15.0, content_bytes=512 * 1024)
MOST_CHARACTERS = 20_000
_TEXTS = ("text/", "application/json", "application/xml", "application/xhtml+xml")


# What a run has read may tell it to put that into an address: from then on a person sees each address first.
@tool(queue="retrieval", worker_scopes={"web:fetch"}, timeout_s=30, approval="tainted", untrusted=True)
def fetch_url(ctx: ToolContext, *, url: str) -> str:
    """Fetch the page at a public http or https address and return its text."""
    try:
        guard = Guard(allowed=tuple(conf.fetch_allowed_networks()), allows_http=True)
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
    content = answer.content.decode(errors="replace")
    text = "\n\n".join(filter(None, html_text.read(content, process.limits()))) if "html" in kind else content
    cut = len(text) > MOST_CHARACTERS or not answer.is_whole
    return text[:MOST_CHARACTERS] + ("\n\n(The rest of the page is not shown.)" if cut else "")
