"""What names a customer: their name as a word of its own, with the letters folded as Unicode folds them. Pure.

`pattern` decides, in Postgres and in Python alike, of a text that is `decomposed`: it spells out each letter that folds
to one of the name, so that it depends on no locale. `Names` only says for which of many names it is worth asking.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
import string
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from urllib.parse import quote, unquote

# Letters and digits of scripts whose letters have two cases. Others join words, or particles, without a blank.
_MARKS = "\u0300-\u036f"
_LETTERS = (
    "0-9A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u0481"
    "\u048a-\u0556\u0560-\u0588\u10a0-\u10fa\u10fc-\u10ff\u13a0-\u13fd\u1c80-\u1c8a\u1c90-\u1cbf\u1d79-\u1d8e\u1e00-\u1fbc"
    "\u1fbe\u1fc2-\u1fcc\u1fd0-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ffc\u2126\u212a\u212b\u2c00-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\u2d00-\u2d2d\ua640-\ua69f\ua722-\ua787\ua78b-\ua7ca\uab30-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
)
_WORD = re.compile(f"[{_LETTERS}][{_LETTERS}{_MARKS}]*")
_OTHER = re.compile(rf"[^\W{_LETTERS}{_MARKS}_]+")
_BLANKS = r" \t\n\r\f\v\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# A line ends between two words, in JSON too; in an address a blank is %20 or a plus.
_SPACE = rf"(?:[{_BLANKS}]|\\[nrtf]|%20|\+)+"
# Beside a letter or a digit it is another word. Behind an escape of JSON, such as that of a line feed, a word begins,
# and so it does behind the mark of what is no letter: ≠ is an equals sign with one.
_BEGINS = (
    rf"(?:(?<![{_LETTERS}{_MARKS}._%+\-])|(?<=[^{_LETTERS}{_MARKS}._%+\-][{_MARKS}])"
    r"|(?<=\\[nrtbf])|(?<=\\u[0-9a-f][0-9a-f][0-9a-f][0-9a-f]))"
)
_ENDS = rf"(?![{_LETTERS}{_MARKS}_\-]|\.[{_LETTERS}])"
_BEGIN, _END = re.compile(_BEGINS), re.compile(_ENDS)
_LOWER = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_ESCAPE = re.compile(r"\\(?:[nrtbf]|u[0-9a-f]{4})")
# Around a word that holds nothing else, a name that is this word stands in the text for certain.
_APART = re.compile(r'[\s"<>,;:()\[\]{}|]+')
# What stands between two words, and n, r, t, b and f, which an escape of JSON has.
_BETWEEN = re.compile(rf"[{_BLANKS}\\+nrtbf\x00-\x1f]+")
# No name has more letters in a row that fold together in several ways: `sss` is ßs, sß or sss.
_LONGEST_RUN = 6


def folded(text: str) -> str:
    """Return what two texts share that differ in case or in how accents are written: STRASSE is straße."""
    return unicodedata.normalize("NFC", _folded(text))


def decomposed(text: str) -> str:
    """A text as it is searched: letters before their accents, these in the order of the Unicode standard."""
    return text if text.isascii() else unicodedata.normalize("NFD", text)


@functools.lru_cache(1024)
def pattern(customer: str) -> str:
    """The regular expression that finds whom a fact is `about` in a `decomposed` text, for Postgres and Python, with
    regard to case: as it is, in JSON and in an address; and where a line ends between two of its words."""
    name = _folded(customer)
    other = _followers().get(name[-1:], "")
    ends = f"{_ENDS}(?![{other}])" if other else _ENDS
    return f"{_BEGINS}(?:{_SPACE.join(map(_spelled, name.split()))}){ends}"


class Names:
    """Many customers, to be looked for in texts at once: in a time that hardly grows with their number."""

    def __init__(self, customers: Iterable[str]) -> None:
        parts = {customer: frozenset(_parts(_folded(customer))) for customer in customers}
        common = Counter(part for each in parts.values() for part in each)
        # Each is looked for where its rarest part is; one without a letter, everywhere.
        self._by_rarest: defaultdict[str, list[tuple[str, frozenset[str]]]] = defaultdict(list)
        for customer, each in parts.items():
            rarest = min(each, key=lambda part: (common[part], -len(part), part), default="")
            self._by_rarest[rarest].append((customer, each))

    def found_in(self, texts: Iterable[str], *, most: int | None = None) -> set[str]:
        """Return those that one of the texts names: `most` of them, where there are more."""
        return set(itertools.islice(self._found_in([decomposed(text) for text in texts]), most))

    def _found_in(self, texts: Collection[str]) -> Iterator[str]:
        """A pattern costs some thousandths of a second, so it is asked last: when no name is found without one, of
        those alone whose characters stand in a text in a row, and where letters cannot be compared one by one."""
        likely = sorted(self._likely(texts))
        if not likely:
            return
        words = {word for text in texts for word in _APART.split(_folded(text))}
        plain = {name for name in likely if name.isascii() and _folded(name) in words}
        yield from sorted(plain)
        rows = {_in_a_row(form) for text in texts for form in {text, unquote(text)}}
        read = [_Text(text) for text in texts]
        for name in likely:
            in_a_row = name not in plain and any(_of_name(name) in row for row in rows)
            if in_a_row and any(text.names(name) for text in read):
                yield name

    def _likely(self, texts: Iterable[str]) -> Iterator[str]:
        """Those of whose name all parts stand in the texts, however they are written."""
        said = {part for text in texts for form in _forms(text) for part in _parts(_folded(form))} | {""}
        for rarest in self._by_rarest.keys() & said:
            yield from (customer for customer, parts in self._by_rarest[rarest] if parts <= said)


class _Text:
    """A text that says of many names whether their pattern finds them, and compares plain letters where it may."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._is_plain = "%" not in text and (text.isascii() or not _other_spellings().search(text))
        self._of_words = (text, text.translate(_LOWER))
        blanks = re.sub(_SPACE, " ", text) if self._is_plain else ""
        self._of_lines = (blanks, blanks.translate(_LOWER))

    def names(self, customer: str) -> bool:
        words = _folded(customer).split()
        is_line = len(words) > 1
        if self._is_plain and _is_plain(customer) and not (is_line and self._is_ambiguous(customer)):
            return self._holds(" ".join(words), *(self._of_lines if is_line else self._of_words))
        return re.search(pattern(customer), self._text) is not None

    def _is_ambiguous(self, line: str) -> bool:
        """Whether a plus may stand for a blank, or the first letter be one of an escape."""
        return "+" in self._text or ("\\" in self._text and line[0].lower() in "nrtf")

    @staticmethod
    def _holds(name: str, text: str, lowered: str) -> bool:
        other = _followers().get(name[-1:], "")
        at = lowered.find(name)
        while at >= 0:
            end = at + len(name)
            if _BEGIN.match(text, at) and _END.match(text, end) and not set(text[end : end + 1]) & set(other):
                return True
            at = lowered.find(name, at + 1)
        return False


def _is_plain(customer: str) -> bool:
    """Whether there is one way to write each character of a name, but for its case."""
    return customer.isascii() and customer.isprintable() and not set(customer) & set('"\\')


@functools.cache
def _other_spellings() -> re.Pattern[str]:
    """The characters that fold to letters of ASCII, such as the long s."""
    found = {letter for plain, each in _letters().items() if any(map(str.isascii, plain)) for letter in each}
    return re.compile("[" + re.escape("".join(sorted(each for each in found if not each.isascii()))) + "]")


def _folded(text: str) -> str:
    """The canonical caseless form of the Unicode standard: letters without their accents, which follow."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


@functools.cache
def _letters() -> dict[str, str]:
    """The letters that fold to something else, by what they fold to: `ss` is ß and ẞ, `e` and an accent is é and É.
    Letters with two cases, and composed ones, stand below U+30000."""
    found: dict[str, str] = {}
    for letter in map(chr, (*range(0xD800), *range(0xE000, 0x30000))):
        plain = _folded(letter)
        if plain != letter:
            found[plain] = found.get(plain, "") + letter
    return found


@functools.cache
def _longest() -> int:
    return max(map(len, _letters()))


@functools.cache
def _followers() -> dict[str, str]:
    """The characters that make another letter of one that they follow, as が is か and a mark; without those of _MARKS,
    behind which no name ends."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for letters in _letters().values():
        for letter in letters:
            *_, last, mark = ("", *decomposed(letter))
            if last and not re.match(f"[{_MARKS}]", mark):
                found[last].add(mark)
    return {last: "".join(sorted(marks)) for last, marks in found.items()}


def _spelled(word: str) -> str:
    """A folded word, in all ways to write it."""
    spelled, begin = "", 0
    while begin < len(word):
        end = begin + 1
        for at in range(begin, len(word)):
            if at >= end or at - begin >= _LONGEST_RUN:
                break
            together = [size for size in range(2, _longest() + 1) if word[at : at + size] in _letters()]
            end = max([end, *(at + size for size in together if at + size <= len(word))])
        end = min(end, begin + _LONGEST_RUN)
        ways = list(_ways(word[begin:end]))
        spelled += ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"
        begin = end
    return spelled


def _ways(run: str) -> Iterator[str]:
    """The ways to write a run of folded characters: each by itself, and two or more as one."""
    if not run:
        yield ""
    for size in range(1, min(_longest(), len(run)) + 1):
        letters = _letters().get(run[:size], "") + (run if size == 1 else "")[:1]
        if letters:
            yield from (_one_of(letters) + rest for rest in _ways(run[size:]))


def _one_of(letters: str) -> str:
    """One of these characters: as it is, in JSON or in an address."""
    plain = f"[{letters}]" if len(letters) > 1 else re.escape(letters)
    escaped = {json.dumps(letter, ensure_ascii=False)[1:-1] for letter in letters} - set(letters)
    quoted = {quote(letter, safe="") for letter in letters} - set(letters)
    ways = [plain, *(re.escape(form) for form in sorted(escaped))]
    ways += [re.sub("[A-F]", lambda digit: f"[{digit[0]}{digit[0].lower()}]", form) for form in sorted(quoted)]
    return ways[0] if len(ways) == 1 else f"(?:{'|'.join(ways)})"


def _forms(text: str) -> set[str]:
    """A text, and what it says where it is JSON or an address."""
    read = {text, _ESCAPE.sub(" ", text)} if "\\" in text else {text}
    return read | {unquote(form) for form in read} if "%" in text else read


def _parts(plain: str) -> set[str]:
    """What a folded text consists of: words; of scripts without blanks, characters and pairs of these."""
    parts = set(_WORD.findall(plain))
    for run in _OTHER.findall(plain):
        parts.update(run, map("".join, itertools.pairwise(run)))
    return parts


def _in_a_row(text: str) -> str:
    """The characters of a text, folded, without all that may stand between two words."""
    return _BETWEEN.sub("", _folded(text))


@functools.lru_cache(16_384)
def _of_name(name: str) -> str:
    """What stands in a row where a text names them; "" where that cannot be said, as of what an address would quote."""
    return "" if "%" in name or not name.isprintable() else _in_a_row(name)
