"""Words of script text: numbers, quotes, braces."""

from __future__ import annotations

import re

_BARE = re.compile(r"[A-Za-z0-9_./:%#+@,=*-]+\Z")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def number_text(value: float) -> str:
    """A number as scripts have it."""
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def quoted(text: str) -> str:
    """A text as one word of a script."""
    if _BARE.match(text):
        return text
    for plain, escaped in (("\\", "\\\\"), ('"', '\\"'), ("[", "\\["), ("$", "\\$"), ("\n", "\\n")):
        text = text.replace(plain, escaped)
    return f'"{text}"'


def words(text: str) -> list[str]:
    """The words of a script's text at its top level; braced ones keep what is inside as it is."""
    found: list[str] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _word(text, at)
        found.append(word)
    return found


def _word(text: str, at: int) -> tuple[str, int]:
    if text[at] == "{":
        depth, start = 0, at
        while at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 2 if text[at] == "\\" else 1
            if not depth:
                return text[start + 1 : at - 1], at
        raise RuntimeError("script text ends within braces")
    if text[at] == '"':
        made: list[str] = []
        at += 1
        while at < len(text) and text[at] != '"':
            if text[at] == "\\":
                at += 1
                made.append(_ESCAPES.get(text[at], text[at]))
            else:
                made.append(text[at])
            at += 1
        if at >= len(text):
            raise RuntimeError("script text ends within quotes")
        return "".join(made), at + 1
    end = at
    while end < len(text) and not text[end].isspace():
        end += 2 if text[end] == "\\" else 1
    return re.sub(r"\\(.)", r"\1", text[at:end]), end
