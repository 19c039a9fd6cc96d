"""A stand-in for Nuke's Python module, made from its documentation, to test the plugin without a licence.

It has only what is documented, with the documented names of arguments (test_fake_nuke.py holds it against
types-nuke), and does of it what the plugin needs: a graph, knobs with keys, groups, scripts, undo, callbacks,
the main thread, Reads and Writes of real files. What it has not got it refuses loudly. It is no proof that
Nuke does the same. `stage` is what tests drive it with.
"""

from __future__ import annotations

import builtins
from typing import Any

from nuke import _events, _interface, _nodes, _pictures, _script
from nuke._events import (
    addKnobChanged,
    executeInMainThread,
    executeInMainThreadWithResult,
    removeKnobChanged,
    thisKnob,
    thisNode,
)
from nuke._interface import (
    CancelledError,
    Menu,
    MenuItem,
    ProgressTask,
    Undo,
    alert,
    ask,
    menu,
    message,
    tprint,
    undo,
    warning,
)
from nuke._knobs import (
    DISABLED,
    DO_NOT_WRITE,
    INVISIBLE,
    NO_ANIMATION,
    STARTLINE,
    AColor_Knob,
    Array_Knob,
    Boolean_Knob,
    Channel_Knob,
    ChannelMask_Knob,
    Color_Knob,
    Disable_Knob,
    Double_Knob,
    Enumeration_Knob,
    EvalString_Knob,
    File_Knob,
    Format_Knob,
    Int_Knob,
    Knob,
    Multiline_Eval_String_Knob,
    Pulldown_Knob,
    PyScript_Knob,
    Script_Knob,
    String_Knob,
    Tab_Knob,
    Text_Knob,
    Unsigned_Knob,
    WH_Knob,
    XY_Knob,
)
from nuke._nodes import Format, FrameRange, Group, Info, Node, Root
from stage import FakeNukeError, current

for _name, _function in _events.FUNCTIONS.items():
    globals()[_name] = _function

GUI: bool = True
INTERACTIVE: bool = True
NUKE_VERSION_STRING = "15.1v4"
NUKE_VERSION_MAJOR = 15
NUKE_VERSION_MINOR = 1
NUKE_VERSION_RELEASE = 4
EXE_PATH = "/nowhere/Nuke15.1"
INPUTS, HIDDEN_INPUTS, EXPRESSIONS, LINKINPUTS = 1, 2, 4, 8
TO_SCRIPT, TO_VALUE, WRITE_ALL, WRITE_NON_DEFAULT_ONLY, WRITE_USER_KNOB_DEFS = 1, 2, 8, 16, 32


class GlobalsEnvironment:
    """`nuke.env`."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {
            "gui": True,
            "interactive": True,
            "nukex": True,
            "studio": False,
            "NukeVersionString": NUKE_VERSION_STRING,
            "NukeVersionMajor": NUKE_VERSION_MAJOR,
            "ExecutablePath": EXE_PATH,
        }

    def get(self, key: str, default: Any = None, /) -> Any:
        return self._values.get(key, default)

    def keys(self, /) -> list[str]:
        return list(self._values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._values[key] = value

    def __contains__(self, key: str) -> bool:
        return key in self._values


class Nodes:
    """`nuke.nodes.Class(knob=value, inputs=[...])`: makes a node, leaves the selection alone."""

    def __getattr__(self, item: str) -> Any:
        if item.startswith("__"):
            raise AttributeError(item)

        def construct(**values: Any) -> Any:
            node = _nodes.make(item)
            _nodes.set_knobs(node, values)
            _events.fire("onCreate", node)
            return node

        return construct


env = GlobalsEnvironment()
nodes = Nodes()


def createNode(typ: str, knobs: str = "", inpanel: bool = True) -> Node:
    node = _nodes.make(typ)
    chosen = current().selected[-1] if current().selected else None
    if chosen is not None and node.maxInputs():
        node.setInput(0, chosen)
    if knobs:
        _script._Reader("", None, None).fill(node, knobs)
    current().selected[:] = [node]
    if inpanel and GUI:
        node.showControlPanel()
    _events.fire("onUserCreate", node)
    _events.fire("onCreate", node)
    return node


def delete(n: Any) -> None:
    current().check_main_thread("nuke.delete")
    _events.fire("onDestroy", n)
    _nodes.remove(n)


def allNodes(filter: str | None = None, group: Any = None, /) -> list[Any]:
    inside = group if group is not None else current().groups[-1]
    return [node for node in inside.nodes() if filter in (None, node.Class())]


def selectedNodes(filter: str | None = None) -> list[Any]:
    return [node for node in reversed(current().selected) if filter in (None, node.Class())]


def selectedNode() -> Any:
    if not current().selected:
        raise ValueError("no node selected")
    return current().selected[-1]


def toNode(s: str) -> Any:
    if s == "root":
        return current().root
    found = _nodes.find(current().groups[-1], s)
    return found if found is not None else _nodes.find(current().root, s)


def exists(s: str) -> bool:
    return toNode(s) is not None


def root() -> Any:
    return current().root


def thisGroup() -> Any:
    return current().groups[-1]


def frame(f: int | None = None) -> int:
    if f is not None:
        current().root["frame"].setValue(f)
    return int(current().root["frame"].value())


def views() -> list[str]:
    return ["main"]


def execute(
    nameOrNode: Any,
    start: int,
    end: int,
    incr: int = 1,
    views: Any = None,
    continueOnError: bool = False,
) -> None:
    _pictures.execute(nameOrNode, start, end, incr)


def nodePaste(s: str) -> Any:
    return _script.paste(s)


def nodeCopy(s: str) -> None:
    with builtins.open(s, "w", encoding="utf-8") as file:
        file.write(_script.write([node for node in current().root.nodes() if node.isSelected()]))


def scriptSave(filename: str | None = None) -> bool:
    _script.save(filename or current().saved_as)
    return True


def scriptSaveAs(filename: str | None = None, overwrite: int | bool = -1) -> None:
    _script.save(filename or current().saved_as)


def scriptOpen(filename: str | None = None) -> None:
    if filename is None:
        raise FakeNukeError("scriptOpen without a file asks the artist; give it one.")
    _script.open_script(filename)


def scriptClear(ignoreUnsavedChanges: bool = False, /) -> None:
    _script.close()


def scriptName() -> str:
    if not current().saved_as:
        raise RuntimeError("no script name")
    return current().saved_as


def getColorspaceList(colorspaceKnob: Any) -> list[str]:
    return list(colorspaceKnob.values())


def pluginAddPath(args: Any, addToSysPath: bool = True) -> None:
    import sys

    if addToSysPath and args not in sys.path:
        sys.path.insert(0, args)


def __getattr__(name: str) -> Any:
    raise (
        FakeNukeError(f"nuke.{name} is not in this stand-in; check that it is documented, then add it.")
        if (not name.startswith("__"))
        else AttributeError(name)
    )
