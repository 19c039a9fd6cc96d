"""Words and braces, as Nuke keeps curves and tracks in its scripts (a dialect of TCL's lists). Pure."""

from __future__ import annotations

import re
from typing import Union

from inve_client.plugin.messages import RefusedError

MAX_DEPTH = 100
"""How deep braces may nest. A layer takes one pair, and nobody has a hundred of them in each other."""

# Braces with nothing but plain words between them, as of nearly all points, are one token: there are many.
_TOKEN = re.compile(r'\{[^{}"\\]*\}|[{}]|(?:[^\s{}"\\]|\\.)+|"(?:[^"\\]|\\.)*"|\S', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_UNSAFE = re.compile(r"""[\s"'\\{}]""")

Node = Union[str, "list[Node]"]
"""A word, or what is between two braces."""


class ScriptError(RefusedError):
    """A text that cannot be read; the message says where."""


def tree(text: str, what: str) -> list[Node]:
    """The words of a text and what is between its braces.

    Args:
        what: that it is, to begin a sentence with: "The curves".

    Raises:
        ScriptError: braces or quotes do not match, or nest too deep.
    """
    tokens = _TOKEN.findall(text)
    stack: list[tuple[list[Node], int]] = []
    current: list[Node] = []
    for index, token in enumerate(tokens):
        if token[0] == "{":
            if len(stack) == MAX_DEPTH:
                raise ScriptError(
                    f"{what} must nest at most {MAX_DEPTH} braces deep, got more at {_place(text, index)}; "
                    "put fewer layers in each other."
                )
            if len(token) > 1:
                current.append(token[1:-1].split())
            else:
                stack.append((current, index))
                current = []
        elif token == "}":  # noqa: S105
            if not stack:
                raise ScriptError(
                    f"{what} must have a brace for each that closes, got one too many at "
                    f"{_place(text, index)}; read them from the node again."
                )
            closed, (current, _) = current, stack.pop()
            current.append(closed)
        elif token[0] == '"' or "\\" in token:
            if token in ('"', "\\"):
                raise ScriptError(
                    f"{what} must have a quote for each that opens, got one alone at {_place(text, index)}; "
                    "read them from the node again."
                )
            current.append(_ESCAPED.sub(r"\1", token[1:-1] if token[0] == '"' else token))
        else:
            current.append(token)
    if stack:
        raise ScriptError(
            f"{what} end inside of {len(stack)} open braces, the innermost opened at "
            f"{_place(text, stack[-1][1])}; read them from the node again."
        )
    return current


def _place(text: str, index: int) -> str:
    """Where a token is, for people."""
    for number, match in enumerate(_TOKEN.finditer(text)):
        if number == index:
            line = text.count("\n", 0, match.start()) + 1
            return f"line {line}, column {match.start() - text.rfind(chr(10), 0, match.start())}"
    return "its end"


def word_text(text: str) -> str:
    """A word as it is written."""
    if text and not _UNSAFE.search(text):
        return text
    return '"' + re.sub(r"""(["'\\{}])""", r"\\\1", text) + '"'


def node_text(node: Node) -> str:
    """A node as it is written."""
    return word_text(node) if isinstance(node, str) else f"{{{' '.join(map(node_text, node))}}}"
