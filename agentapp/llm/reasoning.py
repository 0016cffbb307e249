"""What a model thought before it answered, kept apart from its answer.

Models that reason write it into the answer itself, between marks: `<think>...</think>` and its likes, or the channels
of gpt-oss. A mark may come in pieces, be nested, or lack its counterpart. Whatever is between marks must not reach a
draft, a mail, or somebody who reads along.
"""

from __future__ import annotations

import re

_NAMES = ("think", "thinking", "thought", "thoughts", "reasoning", "seed:think")
_OPENS = (*(f"<{name}>" for name in _NAMES), "[think]", "◁think▷")
_CLOSES = (*(f"</{name}>" for name in _NAMES), "[/think]", "◁/think▷")
# What a server lets slip through of a model's own format; it is neither thought nor answer.
_NOISE = ("<|start|>assistant", "<|return|>", "<|end|>")
_CHANNEL, _MESSAGE, _LONGEST_CHANNEL = "<|channel|>", "<|message|>", 80
_THOUGHT_CHANNEL = r"<\|channel\|>(?:analysis|commentary)[^<]{0,40}<\|message\|>"
_ANSWER_CHANNEL = r"<\|channel\|>final[^<]{0,40}<\|message\|>"
_TOKEN = re.compile(
    "|".join(
        (
            f"(?P<open>{'|'.join(map(re.escape, _OPENS))}|{_THOUGHT_CHANNEL})",
            f"(?P<close>{'|'.join(map(re.escape, _CLOSES))}|{_ANSWER_CHANNEL})",
            f"(?P<noise>{'|'.join(map(re.escape, _NOISE))})",
        )
    ),
    re.IGNORECASE,
)
_FIXED = (*_OPENS, *_CLOSES, *_NOISE, _CHANNEL)
_LONGEST_TOKEN = max(*map(len, _FIXED), _LONGEST_CHANNEL)


class Splitter:
    """Takes an answer piece by piece and hands out what is the answer.

    With `holds` nothing is handed out before a mark has closed or the answer is over: some models never write the
    opening mark, so that only the closing one tells that everything before it was thought.
    """

    def __init__(self, *, holds: bool = False) -> None:
        self._holds = holds
        self._pending = ""
        self._last = ""
        self._depth = 0
        self._answer: list[str] = []
        self._given = 0
        self._thought: list[str] = []
        # Where in the thought its last mark was closed while another was still open.
        self._closed_at: int | None = None
        self.was_unopened = False
        self.is_unclosed = False

    @property
    def text(self) -> str:
        return "".join(self._answer)

    @property
    def reasoning(self) -> str:
        return "".join(self._thought)

    def feed(self, piece: str) -> str:
        """Take a piece; return what may be handed out now."""
        text, at = self._pending + piece, 0
        # One walk over the text: cutting off what is read would copy the rest again for each mark.
        for token in _TOKEN.finditer(text):
            before = text[at : token.start()]
            at = token.end()
            if (before or self._last)[-1:] == "`":
                # An answer about such marks quotes them as code.
                self._release(before + token.group())
                continue
            self._release(before)
            self._mark(token.lastgroup or "", token.group())
        rest = text[at:]
        safe = _safe_length(rest)
        self._release(rest[:safe])
        self._pending = rest[safe:]
        return "" if self._holds else self._hand_out()

    def think(self, text: str) -> None:
        """Take what a provider itself has set apart."""
        self._thought.append(text)

    def finish(self) -> str:
        """End the answer; return what was not handed out yet."""
        self._release(self._pending)
        self._pending = ""
        if self._depth and self._closed_at is not None:
            # One mark more was opened than closed: the thought spoke of its own marks. The answer follows the last one.
            rest, self._thought = self._thought[self._closed_at :], self._thought[: self._closed_at]
            self._depth = 0
            self._take("".join(rest))
        self.is_unclosed = self._depth > 0
        return self._hand_out()

    def _mark(self, kind: str, mark: str) -> None:
        if kind == "open":
            self._depth += 1
            self._closed_at = None
        elif kind == "close" and not self._depth:
            self.was_unopened = self.was_unopened or bool(self.text.strip())
            self._thought += self._answer
            self._answer, self._given, self._holds = [], 0, False
        elif self._depth and (kind == "close" or mark == "<|end|>"):
            self._depth = self._depth - 1 if mark.lower() in _CLOSES else 0
            self._closed_at = len(self._thought)
            self._holds = self._holds and self._depth > 0

    def _release(self, text: str) -> None:
        self._last = text[-1:] or self._last
        self._take(text)

    def _take(self, text: str) -> None:
        if self._depth:
            self._thought.append(text)
            return
        if self._thought and not self._answer:
            text = text.lstrip()
        if text:
            self._answer.append(text)

    def _hand_out(self) -> str:
        new = "".join(self._answer[self._given :])
        self._given = len(self._answer)
        return new


def _safe_length(text: str) -> int:
    """Return how much of a text cannot be the beginning of a mark whose rest is still to come."""
    start = max(0, len(text) - _LONGEST_TOKEN)
    for at in range(start, len(text)):
        if text[at] in "<[◁" and _may_begin(text[at:].lower()):
            return at
    return len(text)


def _may_begin(tail: str) -> bool:
    if tail.startswith(_CHANNEL):
        return len(tail) < _LONGEST_CHANNEL and _MESSAGE not in tail
    return any(mark.startswith(tail) for mark in _FIXED)
