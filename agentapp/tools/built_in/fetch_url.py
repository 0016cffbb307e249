"""A page of the web, from public addresses only."""

from html.parser import HTMLParser

from agentapp import conf
from agentapp.delivery.guarded_http import Guard, Limits
from agentapp.errors import ToolFailed
from agentapp.policies.addresses import TargetNotAllowed
from agentapp.tools import ToolContext, tool

LIMITS = Limits(connect_s=5.0, read_s=10.0, total_s=25.0, content_s=15.0, content_bytes=512 * 1024)
MOST_CHARACTERS = 20_000
_UNSEEN = frozenset({"script", "style", "template", "noscript", "head", "svg"})
_BLOCKS = frozenset({"p", "div", "br", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "pre"})
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
    text = page_text(content) if "html" in kind else content
    cut = len(text) > MOST_CHARACTERS or not answer.is_whole
    return text[:MOST_CHARACTERS] + ("\n\n(The rest of the page is not shown.)" if cut else "")


def page_text(html: str) -> str:
    """Return what a reader sees of a page, one block a line."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.seen).splitlines())
    return "\n".join(line for line in lines if line)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in _UNSEEN
        self.seen.append("\n" if tag in _BLOCKS else "")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _UNSEEN and self._hidden > 0
        self.seen.append("\n" if tag in _BLOCKS else "")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.seen.append(data)
