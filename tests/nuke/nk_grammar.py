"""An independent reader of .nk files, for tests: nodes, their knobs, and groups in each other.

A .nk file is a list of TCL's words. This reader knows of Nuke only that a node is a class and its knobs in
braces, that `addUserKnob` makes knobs, that nodes between a Group and `end_group` are inside, and that `set`,
`push` and the lines before the first node are none. It shares nothing with the plugin's own readers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

GROUPS = ("Group", "Gizmo", "LiveGroup")
STATEMENTS = {
    "set": 2,
    "push": 1,
    "version": 2,
    "define_window_layout_xml": 1,
    "end_group": 0,
    "add_layer": 1,
}


class NkError(ValueError):
    """A text that is no .nk file; the message has the line."""


@dataclass
class NkNode:
    """A node.

    Attributes:
        kind: its class.
        knobs: as written, the braces or quotes around a value taken off; in the order of the file.
        user_knobs: words of each addUserKnob, in order: number, name, then options.
        nodes: inside of a group.
        line: where it begins.
    """

    kind: str
    knobs: dict[str, str]
    user_knobs: list[list[str]]
    line: int
    nodes: list[NkNode] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its name knob."""
        return self.knobs.get("name", "")

    def named(self, name: str) -> NkNode:
        """A node inside."""
        return next(node for node in self.nodes if node.name == name)


@dataclass
class Word:
    """A word; `text` without its braces or quotes, `braced` where it had braces."""

    text: str
    line: int
    braced: bool = False


def words(text: str, line: int = 1) -> list[list[Word]]:
    """The words of each line of a text; braces and quotes go over lines."""
    lines: list[list[Word]] = [[]]
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == "\n":
            lines.append([])
            line += 1
            at += 1
        elif letter.isspace():
            at += 1
        elif letter == "#" and not lines[-1]:
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        else:
            first = line
            end = _end(text, at, line)
            raw = text[at:end]
            line += raw.count("\n")
            stripped = raw[1:-1] if raw[0] in '{"' else raw
            lines[-1].append(Word(stripped, first, raw[0] == "{"))
            at = end
    return [one for one in lines if one]


def _end(text: str, at: int, line: int) -> int:
    """Where the word ends that begins there."""
    opening = text[at]
    depth, quoted, start = 0, False, at
    while at < len(text):
        letter = text[at]
        if letter == "\\":
            at += 2
            continue
        if opening == "{":
            # Quotes inside of braces guard nothing: TCL counts braces alone.
            depth += (letter == "{") - (letter == "}")
            if depth == 0:
                return at + 1
        elif opening == '"':
            if letter == '"' and quoted:
                return at + 1
            quoted = True
        elif opening == "[":
            depth += (letter == "[") - (letter == "]")
            if depth == 0:
                return at + 1
        elif letter.isspace():
            return at
        elif letter == "}":
            raise NkError(f"line {line}: a brace closes that none opened")
        at += 1
    if opening in '{"[':
        raise NkError(f"line {line}: {opening} is never closed: {text[start : start + 30]!r}")
    return at


def parse(text: str) -> list[NkNode]:
    """The nodes of a .nk file, with those of groups inside of them.

    Raises:
        NkError: braces do not match, a group does not end, a knob has no value, or two nodes beside each
            other have one name.
    """
    top: list[NkNode] = []
    open_groups: list[list[NkNode]] = [top]
    for line in words(text):
        head = line[0]
        if head.text == "end_group":
            if len(open_groups) == 1:
                raise NkError(f"line {head.line}: end_group without a group")
            open_groups.pop()
        elif head.text in STATEMENTS:
            if len(line) != STATEMENTS[head.text] + 1:
                raise NkError(f"line {head.line}: {head.text} has {len(line) - 1} words")
        elif len(line) == 2 and line[1].braced:
            node = _node(head, line[1])
            if node.name and any(other.name == node.name for other in open_groups[-1]):
                raise NkError(f"line {head.line}: a second node {node.name!r}")
            open_groups[-1].append(node)
            if node.kind in GROUPS:
                open_groups.append(node.nodes)
        else:
            raise NkError(f"line {head.line}: {head.text!r} is neither a node nor a statement")
    if len(open_groups) > 1:
        raise NkError("a group is never ended")
    return top


def _node(head: Word, body: Word) -> NkNode:
    node = NkNode(head.text, {}, [], head.line)
    for line in words(body.text, body.line):
        name = line[0]
        if name.text == "addUserKnob" and len(line) == 2:
            node.user_knobs.append([word.text for word in flat(line[1].text, name.line)])
        elif len(line) == 2:
            node.knobs[name.text] = line[1].text
        else:
            raise NkError(f"line {name.line}: knob {name.text!r} of {head.text} has {len(line) - 1} values")
    return node


def flat(text: str, line: int = 1) -> list[Word]:
    """All words of a text, whatever lines they are on."""
    return [word for one in words(text, line) for word in one]
