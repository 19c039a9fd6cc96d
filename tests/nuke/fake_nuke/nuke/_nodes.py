"""Nodes: the graph, groups, the script's root; and formats, boxes and frame ranges."""

from __future__ import annotations

from typing import Any

from nuke import _classes, _events, _knobs
from stage import FakeNukeError, current


class Format:
    """A picture's size with its pixels' aspect."""

    def __init__(
        self, width: int, height: int, x: int, y: int, r: int, t: int, pixelAspect: float = 1.0, /
    ) -> None:
        self._box = (x, y, r, t)
        self._size = (width, height)
        self._aspect = pixelAspect
        self._name = ""

    @classmethod
    def _parsed(cls, text: str) -> Format:
        """`"w h x y r t aspect name"`, or `"w h aspect name"`."""
        parts = text.split()
        numbers = []
        for part in parts:
            try:
                numbers.append(float(part))
            except ValueError:
                break
        if len(numbers) in (2, 3):
            width, height = numbers[:2]
            numbers = [width, height, 0, 0, width, height, *numbers[2:]]
        made = cls(*map(int, numbers[:6]), *(numbers[6:7] or [1.0]))
        made._name = " ".join(parts[len(numbers) :]) if len(parts) >= len(numbers) else ""
        return made

    def _text(self) -> str:
        numbers = (*self._size, *self._box, self._aspect)
        return " ".join([*map(_knobs.number_text, numbers), self._name]).strip()

    def width(self) -> int:
        return self._size[0]

    def height(self) -> int:
        return self._size[1]

    def x(self) -> int:
        return self._box[0]

    def y(self) -> int:
        return self._box[1]

    def r(self) -> int:
        return self._box[2]

    def t(self) -> int:
        return self._box[3]

    def pixelAspect(self) -> float:
        return self._aspect

    def name(self) -> str:
        return self._name


class Info:
    """A box, y up."""

    def __init__(self, x: float, y: float, w: float, h: float, /) -> None:
        self._box = (x, y, w, h)

    def x(self) -> float:
        return self._box[0]

    def y(self) -> float:
        return self._box[1]

    def w(self) -> float:
        return self._box[2]

    def h(self) -> float:
        return self._box[3]


class FrameRange:
    """Frames from first to last, in steps."""

    def __init__(self, first: int, last: int, increment: int = 1, /) -> None:
        self._range = (first, last, increment)

    def first(self) -> int:
        return self._range[0]

    def last(self) -> int:
        return self._range[1]

    def increment(self) -> int:
        return self._range[2]

    def frames(self) -> int:
        return len(range(self._range[0], self._range[1] + 1, self._range[2]))


class Node:
    """A node; what is read of a deleted one raises ValueError as Nuke does."""

    __slots__ = ("_class", "_deleted", "_inputs", "_knobs_", "_panel", "_parent", "_user")

    def __init__(self, class_name: str, parent: Any, /) -> None:
        self._class = class_name
        self._deleted = False
        self._parent = parent
        self._inputs: list[Node | None] = []
        self._user: list[_knobs.Knob] = []
        self._panel = False
        self._knobs_: dict[str, _knobs.Knob] = {}
        for knob in _classes.knobs_of(class_name):
            self._adopt(knob)

    def _adopt(self, knob: _knobs.Knob) -> None:
        knob._node = self
        self._knobs_[knob.name()] = knob

    def _living(self) -> None:
        if self._deleted:
            raise ValueError("A PythonObject is not attached to a node")
        current().check_main_thread(f"a look at {self._class}")

    def Class(self) -> str:
        self._living()
        return self._class

    def name(self) -> str:
        self._living()
        return str(self._knobs_["name"].value())

    def fullName(self) -> str:
        self._living()
        if self._parent is None or isinstance(self._parent, Root):
            return self.name()
        return f"{self._parent.fullName()}.{self.name()}"

    def setName(self, name: str, uncollide: bool = True, updateExpressions: bool = False) -> None:
        if uncollide:
            name = free_name(self._parent, name, self)
        self._knobs_["name"].setValue(name)

    def parent(self) -> Any:
        return self._parent

    def knob(self, p: str | int, follow_link: bool = False) -> _knobs.Knob | None:
        self._living()
        return self._knobs_.get(p) if isinstance(p, str) else list(self._knobs_.values())[p]

    def knobs(self) -> dict[str, _knobs.Knob]:
        self._living()
        return dict(self._knobs_)

    def allKnobs(self) -> list[_knobs.Knob]:
        return list(self.knobs().values())

    def __getitem__(self, name: str) -> _knobs.Knob:
        self._living()
        if name not in self._knobs_:
            raise NameError(f"knob {name} does not exist")
        return self._knobs_[name]

    def addKnob(self, knob: _knobs.Knob) -> None:
        self._living()
        if knob.name() in self._knobs_:
            raise FakeNukeError(f"{self.name()} has a knob {knob.name()!r} already.")
        self._user.append(knob)
        self._adopt(knob)

    def removeKnob(self, knob: _knobs.Knob) -> None:
        self._user.remove(knob)
        del self._knobs_[knob.name()]

    def writeKnobs(self, flags: int = 0) -> str:
        lines = (f"{name} {knob.toScript(quote=True)}" for name, knob in self.knobs().items())
        return "\n".join(lines)

    def inputs(self) -> int:
        self._living()
        return max((index + 1 for index, node in enumerate(self._inputs) if node is not None), default=0)

    def maxInputs(self) -> int:
        self._living()
        return _classes.CLASSES[self._class][0]

    def maximumInputs(self) -> int:
        return self.maxInputs()

    def input(self, index: int, /) -> Any:
        self._living()
        return self._inputs[index] if index < len(self._inputs) else None

    def setInput(self, i: int, node: Any, /) -> bool:
        self._living()
        current().check_main_thread("setInput")
        if i >= self.maxInputs() or (node is not None and node._parent is not self._parent):
            return False
        before = list(self._inputs)
        current().journal(lambda: setattr(self, "_inputs", before), f"connect {self.name()}")
        self._inputs = before + [None] * (i + 1 - len(before))
        self._inputs[i] = node
        if self._panel:
            _events.fire("knobChanged", self, knob=_knobs.Knob("inputChange"))
        return True

    def connectInput(self, i: int, node: Any, /) -> bool:
        return self.setInput(i, node)

    def dependencies(self, mask: int) -> list[Any]:
        """What this one depends on, of the kinds of the mask; no expression is followed here."""
        return [node for node in self._inputs if node is not None] if mask & 1 else []

    def dependent(self, mask: int, forceEvaluate: bool = True) -> list[Any]:
        return [node for node in self._parent._children if self in node._inputs]

    def __len__(self) -> int:
        # As documented, and a trap: a node in a condition is its number of knobs.
        return len(self._knobs_)

    def isSelected(self) -> bool:
        return self in current().selected

    def setSelected(self, selected: bool) -> None:
        self._living()
        chosen = current().selected
        if self in chosen:
            chosen.remove(self)
        if selected:
            chosen.append(self)

    def xpos(self) -> int:
        return int(self._knobs_["xpos"].value())

    def ypos(self) -> int:
        return int(self._knobs_["ypos"].value())

    def setXYpos(self, x: int, y: int) -> None:
        self._knobs_["xpos"].setValue(x)
        self._knobs_["ypos"].setValue(y)

    def showControlPanel(self, forceFloat: bool = False) -> None:
        self._panel = True
        _events.fire("knobChanged", self, knob=_knobs.Knob("showPanel"))

    def hideControlPanel(self) -> None:
        self._panel = False

    def shown(self) -> bool:
        return self._panel

    def format(self) -> Format:
        from nuke import _pictures

        self._living()
        return _pictures.format_of(self)

    def width(self) -> int:
        return self.format().width()

    def height(self) -> int:
        return self.format().height()

    def pixelAspect(self) -> float:
        return self.format().pixelAspect()

    def bbox(self) -> Info:
        from nuke import _pictures

        picture = _pictures.picture_of(self, int(current().root["frame"].value()))
        x, y, r, t = picture.box
        return Info(x, y, r - x, t - y)

    def channels(self) -> list[str]:
        from nuke import _pictures

        self._living()
        return _pictures.channels_of(self)

    def frameRange(self) -> FrameRange:
        from nuke import _pictures

        return FrameRange(*_pictures.frames_of(self))

    def firstFrame(self) -> int:
        return self.frameRange().first()

    def lastFrame(self) -> int:
        return self.frameRange().last()

    def hasError(self) -> bool:
        return False

    def redraw(self) -> None:
        self._living()


class Group(Node):
    """A node with nodes inside."""

    __slots__ = ("_children",)

    def __init__(self, class_name: str, parent: Any, /) -> None:
        self._children: list[Node] = []
        super().__init__(class_name, parent)

    def maxInputs(self) -> int:
        return sum(node._class == "Input" for node in self._children)

    def nodes(self) -> list[Node]:
        self._living()
        return list(self._children)

    def numNodes(self) -> int:
        return len(self.nodes())

    def node(self, s: str) -> Node | None:
        self._living()
        return find(self, s)

    def begin(self) -> Group:
        self._living()
        current().groups.append(self)
        return self

    def end(self) -> None:
        current().groups.pop()

    def __enter__(self) -> Group:
        return self.begin()

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.end()


class Root(Group):
    """The script."""

    __slots__ = ()

    def fullName(self) -> str:
        return "root"

    def firstFrame(self) -> int:
        return int(self["first_frame"].value())

    def lastFrame(self) -> int:
        return int(self["last_frame"].value())

    def proxy(self, /) -> bool:
        return bool(self["proxy"].value())

    def setFrame(self, frame: int, /) -> None:
        self["frame"].setValue(frame)

    def format(self) -> Format:
        return self["format"].value()

    def modified(self) -> bool:
        return current().modified

    def setModified(self, modified: bool, /) -> None:
        current().modified = bool(modified)


def new_root() -> Root:
    """An empty script."""
    root = Root("Root", None)
    root["name"]._parse("root")
    return root


def find(group: Group, path: str) -> Any:
    """The node of a name such as `INVE1.Read1` below a group, or None."""
    first, _, rest = path.partition(".")
    for node in group._children:
        if node._knobs_["name"].value() == first:
            if not rest:
                return node
            return find(node, rest) if isinstance(node, Group) else None
    return None


def free_name(group: Group, wish: str, but: Node | None = None) -> str:
    """A name that no other node of a group has."""
    taken = {node.name() for node in group._children if node is not but}
    if wish not in taken:
        return wish
    stem = wish.rstrip("0123456789") or wish
    return next(name for name in (f"{stem}{n}" for n in range(1, 10**6)) if name not in taken)


def make(class_name: str, group: Group | None = None) -> Any:
    """A new node in the current group."""
    current().check_main_thread(f"creating a {class_name}")
    if class_name not in _classes.CLASSES or class_name == "Root":
        raise RuntimeError(f"{class_name}: Unknown command")
    parent = group if group is not None else current().groups[-1]
    node: Node = (Group if class_name == "Group" else Node)(class_name, parent)
    stem = class_name.rstrip("0123456789") or class_name
    node._knobs_["name"]._parse(free_name(parent, f"{stem}1"))
    if class_name == "Input":
        node._knobs_["number"]._values = [float(sum(other._class == "Input" for other in parent._children))]
    parent._children.append(node)
    current().journal(lambda: remove(node), f"create {class_name}")
    return node


def remove(node: Node) -> None:
    """Take a node out of its script, with what leads to it."""
    parent, children = node._parent, list(node._parent._children)
    inputs = {id(other): (other, list(other._inputs)) for other in children}

    def back() -> None:
        parent._children = children
        for other, was in inputs.values():
            other._inputs = was
        node._deleted = False

    current().journal(back, f"delete {node.name()}")
    for other in children:
        other._inputs = [None if below is node else below for below in other._inputs]
    parent._children = [other for other in children if other is not node]
    if node in current().selected:
        current().selected.remove(node)
    node._deleted = True


def set_knobs(node: Node, values: dict[str, Any]) -> None:
    """What stands in `nuke.nodes.Class(name=value)`; `inputs` are nodes."""
    for name, value in values.items():
        if name == "inputs":
            for index, below in enumerate(value):
                if not node.setInput(index, below):
                    raise FakeNukeError(f"{node.Class()} takes no input {index}")
        elif name == "name":
            node.setName(value)
        else:
            node[name].setValue(value)
