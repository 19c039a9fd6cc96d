"""Scripts: nodes to `.nk` text and back, as far as plain nodes and groups go."""

from __future__ import annotations

from typing import Any

from nuke import _events, _knobs, _nodes
from stage import FakeNukeError, current

VERSION_LINE = "version 15.1 v4"
_NUMBERS = {kind: number for number, kind in _knobs.USER_KNOBS.items()}
_FLAGS = (("+INVISIBLE", _knobs.INVISIBLE), ("+DISABLED", _knobs.DISABLED), ("+STARTLINE", _knobs.STARTLINE))


def write(nodes: list[Any], *, root: Any = None) -> str:
    """The text of nodes with their connections, of a whole script where the root is given."""
    lines = [VERSION_LINE] if root is not None else ["set cut_paste_input [stack 0]", VERSION_LINE]
    if root is not None:
        lines += ["Root {", " inputs 0", *_knob_lines(root), "}"]
    _write_nodes(lines, nodes, "")
    return "\n".join(lines) + "\n"


def _write_nodes(lines: list[str], nodes: list[Any], indent: str) -> None:
    written: dict[int, str] = {}
    for node in _ordered(nodes):
        below = [node.input(index) for index in range(node.inputs())]
        names = (f"${written[id(other)]}" if id(other) in written else "0" for other in reversed(below))
        lines += [f"{indent}push {name}" for name in names]
        lines.append(f"{indent}{node.Class()} {{")
        lines.append(f"{indent} inputs {len(below)}")
        lines += [f"{indent}{line}" for line in _knob_lines(node)]
        lines.append(f"{indent}}}")
        if isinstance(node, _nodes.Group):
            _write_nodes(lines, node.nodes(), indent + " ")
            lines.append(f"{indent}end_group")
        written[id(node)] = f"N{len(lines):x}"
        lines.append(f"{indent}set {written[id(node)]} [stack 0]")


def _ordered(nodes: list[Any]) -> list[Any]:
    """Each node after those that it takes its pictures from."""
    chosen, ordered, seen = {id(node) for node in nodes}, [], set()

    def visit(node: Any) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        for index in range(node.inputs()):
            below = node.input(index)
            if below is not None and id(below) in chosen:
                visit(below)
        ordered.append(node)

    for node in nodes:
        visit(node)
    return ordered


def _knob_lines(node: Any) -> list[str]:
    fresh = {knob.name(): knob for knob in _nodes._classes.knobs_of(node._class)}
    lines = []
    for name, knob in node._knobs_.items():
        if knob in node._user:
            lines.append(f" {_definition(knob)}")
            if type(knob) in (_knobs.Tab_Knob, _knobs.PyScript_Knob, _knobs.Text_Knob):
                continue
        elif name == "selected" or knob.toScript() == fresh[name].toScript():
            continue
        if isinstance(knob, _knobs.Script_Knob) or not knob.toScript():
            continue
        text = knob.toScript()
        is_list = isinstance(knob, _knobs.Array_Knob) and (" " in text or text.startswith("{"))
        if isinstance(knob, _knobs.ScriptedKnob) or (is_list and type(knob) is not _knobs.Enumeration_Knob):
            text = "{" + text + "}"
        else:
            text = _knobs.quoted(text)
        lines.append(f" {name} {text}")
    return lines


def _definition(knob: Any) -> str:
    """The `addUserKnob` line of a knob."""
    parts = [str(_NUMBERS[type(knob)]), knob.name()]
    if knob.label() != knob.name():
        parts += ["l", _knobs.quoted(knob.label()) if knob.label() else '""']
    if knob.tooltip():
        parts += ["t", _knobs.quoted(knob.tooltip())]
    if isinstance(knob, _knobs.Enumeration_Knob):
        parts += ["M", "{" + " ".join(_knobs.quoted(choice) for choice in knob.values()) + "}"]
    if isinstance(knob, (_knobs.PyScript_Knob, _knobs.Text_Knob)) and knob._string:
        parts += ["T", _knobs.quoted(knob._string)]
    if not knob.visible() and "+HIDDEN" not in knob._as_defined:
        parts.append("+HIDDEN")
    parts += knob._as_defined
    return "addUserKnob {" + " ".join(parts) + "}"


def read(text: str, group: Any, *, into_root: Any = None, beneath: Any = None) -> list[Any]:
    """Make the nodes of a text in a group.

    Args:
        text: as in a `.nk` file.
        group: where to.
        into_root: the root node that takes what the text has for it, when a script is opened.
        beneath: the node that `push $cut_paste_input` names.

    Returns:
        The nodes made at the top level, in order.
    """
    return _Reader(text, into_root, beneath).nodes(group)


class _Reader:
    def __init__(self, text: str, root: Any, beneath: Any) -> None:
        self.words = _tokens(text)
        self.at = 0
        self.root = root
        self.variables: dict[str, Any] = {"cut_paste_input": beneath}

    def next(self) -> str:
        if self.at >= len(self.words):
            raise RuntimeError("the script ends in the middle of a command")
        self.at += 1
        return self.words[self.at - 1]

    def nodes(self, group: Any) -> list[Any]:
        made: list[Any] = []
        stack: list[Any] = []
        while self.at < len(self.words):
            word = self.next()
            if word == "end_group":
                return made
            if word == "set":
                name, _ = self.next(), self.next()
                if name != "cut_paste_input":
                    self.variables[name] = stack[-1] if stack else None
            elif word == "push":
                name = self.next()
                if name != "0" and name[1:] not in self.variables:
                    raise RuntimeError(f'can\'t read "{name[1:]}": no such variable')
                stack.append(None if name == "0" else self.variables[name[1:]])
            elif word == "version":
                self.next(), self.next()
            elif word == "Root":
                body = self.next()
                if self.root is not None:
                    self.fill(self.root, body)
            else:
                made.append(self.node(word, self.next(), group, stack))
                stack.append(made[-1])
        return made

    def node(self, class_name: str, body: str, group: Any, stack: list[Any]) -> Any:
        node = _nodes.make(class_name, group)
        count = self.fill(node, body)
        below = [stack.pop() if stack else None for _ in range(count)]
        if class_name == "Group":
            self.nodes(node)
        for index, other in enumerate(below):
            if other is not None and not node.setInput(index, other):
                raise RuntimeError(f"{node.name()} takes no input {index}")
        _events.fire("onCreate", node)
        return node

    def fill(self, node: Any, body: str) -> int:
        """Set a node's knobs; gives its number of inputs."""
        words = _pieces(body)
        count = 0 if node.Class() in ("Read", "Input", "Constant", "BackdropNode") else 1
        for name, value in zip(words[::2], words[1::2]):
            if name == "inputs":
                # `2+1` says that the third is a mask.
                count = sum(int(part) for part in value.split("+"))
            elif name == "addUserKnob":
                node.addKnob(_user_knob(value))
            elif name == "name" and node.parent() is not None:
                node._knobs_["name"]._parse(_nodes.free_name(node.parent(), value, node))
            elif name == "selected":
                node.setSelected(value == "true")
            elif name in node._knobs_:
                node._knobs_[name]._parse(value)
            else:
                raise FakeNukeError(f"a {node.Class()} has no knob {name!r}.")
        return count


def _tokens(text: str) -> list[str]:
    """The words of commands; `[stack 0]` is one."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return _pieces("\n".join(lines).replace("[stack 0]", "stack"))


def _pieces(text: str) -> list[str]:
    """As `_knobs.words`, with the braces around a value left on where braces are in it, as knobs take it."""
    return _knobs.words(text)


def _user_knob(definition: str) -> Any:
    words = _knobs.words(definition)
    number, name, at = int(words[0]), words[1] if len(words) > 1 else "", 2
    if number not in _knobs.USER_KNOBS:
        raise FakeNukeError(f"addUserKnob has no class {number} here; look it up and add it.")
    knob = _knobs.USER_KNOBS[number](name)
    while at < len(words):
        word = words[at]
        if word[0] in "+-":
            _flag(knob, word)
            knob._as_defined.append(word)
            at += 1
            continue
        value = words[at + 1]
        if word == "l":
            knob.setLabel(value)
        elif word == "t":
            knob.setTooltip(value)
        elif word == "M":
            knob.setValues(_knobs.words(value))
        elif word == "T":
            knob._string = value
        elif word == "R":
            knob._as_defined += ["R", value, words[at + 2]]
            at += 1
        elif word != "n":
            raise FakeNukeError(f"addUserKnob {name!r} has an option {word!r} that is not known.")
        at += 2
    return knob


def _flag(knob: Any, word: str) -> None:
    if word == "+HIDDEN":
        knob.setVisible(False)
        return
    known = dict(_FLAGS)
    if "+" + word[1:] not in known:
        raise FakeNukeError(f"addUserKnob {knob.name()!r} has a flag {word!r} that is not known.")
    (knob.setFlag if word[0] == "+" else knob.clearFlag)(known["+" + word[1:]])


def paste(path: str) -> Any:
    """`nuke.nodePaste`: the nodes of a file, beneath the selected node, selected after."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    chosen = current().selected[-1] if current().selected else None
    if chosen is not None and chosen.parent() is not current().groups[-1]:
        chosen = None
    current().selected.clear()
    made = read(text, current().groups[-1], beneath=chosen)
    for node in made:
        node.setSelected(True)
    return made[-1] if made else None


def save(path: str) -> None:
    """`nuke.scriptSave`."""
    _events.fire("onScriptSave", current().root)
    with open(path, "w", encoding="utf-8") as file:
        file.write(write(current().root.nodes(), root=current().root))
    current().saved_as = path
    current().root._knobs_["name"]._parse(path)
    current().modified = False


def close() -> None:
    """`nuke.scriptClear`: an empty script; callbacks stay."""
    _events.fire("onScriptClose", current().root)
    current().undo_disabled += 1
    for node in current().root.nodes():
        _nodes.remove(node)
    current().undo_disabled -= 1
    current().undo_steps.clear()
    current().selected.clear()
    current().saved_as = ""
    current().modified = False


def open_script(path: str) -> None:
    """`nuke.scriptOpen`."""
    close()
    with open(path, encoding="utf-8") as file:
        text = file.read()
    current().undo_disabled += 1
    read(text, current().root, into_root=current().root)
    current().undo_disabled -= 1
    current().saved_as = path
    current().root._knobs_["name"]._parse(path)
    current().modified = False
    _events.fire("onScriptLoad", current().root)
