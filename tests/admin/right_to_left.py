"""Texts that are written from right to left, in what customers and models fill, and whether a page sets them so."""

from __future__ import annotations

from playwright.sync_api import Page

from agentapp.models import (
    Approval,
    Artifact,
    Attempt,
    Chunk,
    Document,
    History,
    Job,
    Memory,
    Message,
    ModelCall,
    Workflow,
)

ARABIC = "\u0645\u0631\u062d\u0628\u0627\u060c \u0623\u064a\u0646 \u0637\u0644\u0628\u064a"
_OBJECT = {"subject": ARABIC, "body": ARABIC, "lines": [ARABIC], "more": {"note": ARABIC}}
# Each text in letters from right to left, and each field with one, that a page sets from left to right. What a sentence
# of ours quotes stands within it.
_MISPLACED = """() => {
  const letters = /[\\u0590-\\u08ff]/, first = /[a-z\\u0590-\\u08ff]/i;
  const isSet = (element) => {
    const style = getComputedStyle(element);
    if (style.unicodeBidi === "plaintext" || style.direction === "rtl") return true;
    return style.display === "inline" && isSet(element.parentElement);
  };
  const block = (element) => getComputedStyle(element).display === "inline" ? block(element.parentElement) : element;
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (element.closest("script, style, textarea, option, title") || !letters.test(texts.currentNode.data)) continue;
    if (!isSet(element) && letters.test((first.exec(block(element).textContent) ?? [""])[0])) found.push(element);
  }
  found.push(...[...document.querySelectorAll("textarea, input:not([type=hidden])")]
    .filter((field) => letters.test(field.value) && !isSet(field)));
  return found.map((element) => `from left to right: ${element.outerHTML.slice(0, 200)}`);
}"""


def write_arabic() -> None:
    """Write them into every record."""
    error = {"class": "PermanentError", "kind": "permanent", "message": ARABIC}
    Workflow.objects.update(input=_OBJECT, result=_OBJECT, error=error, labels={"from": ARABIC})
    Job.objects.update(payload=_OBJECT, output=_OBJECT)
    Job.objects.filter(state="dead_lettered").update(error=error)
    Attempt.objects.update(error_class="PermanentError", error_message=ARABIC)
    Approval.objects.update(content={"to": "a@sample.test", "subject": ARABIC, "body": ARABIC}, reason=ARABIC)
    ModelCall.objects.update(exchange={"messages": [{"role": "user", "text": ARABIC}], "reply": {"text": ARABIC}})
    Memory.objects.update(about=ARABIC, text=ARABIC)
    Document.objects.update(title=ARABIC)
    Chunk.objects.update(heading=ARABIC, text=ARABIC)
    Message.objects.update(text=ARABIC)
    Artifact.objects.update(name=ARABIC)
    History.objects.update(reason=ARABIC)


def misplaced(page: Page) -> list[str]:
    """Return what this page sets from left to right though its letters go from right to left."""
    found: list[str] = page.evaluate(_MISPLACED)
    return found
