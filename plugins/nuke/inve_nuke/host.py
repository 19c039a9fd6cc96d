"""Nuke, in our terms: the only file that imports `nuke` and `nukescripts`.

What is used of Nuke's API is documented (pythondevguide, types-nuke); nothing of it was run in a licensed
Nuke, see README.md. No class of Nuke's is subclassed or asked for its type: Nuke 17 has others than 16. All
methods belong to the main thread, except `in_main_thread`, `in_main_thread_with_result` and `log`.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Optional, TypeVar, cast

from inve_client.plugin.messages import RefusedError
from inve_nuke.host_types import DataWindow, Heard, HostNode, PictureFormat, Progress

try:
    import nuke
except ImportError as error:
    raise RefusedError(
        "The plugin runs inside Nuke, whose module `nuke` was not found; start Nuke, or nuke -t script.py."
    ) from error

Result = TypeVar("Result")

# What this file calls events, and the end of the names that Nuke has for them.
_EVENTS = {
    "knob changed": "KnobChanged",
    "interface updated": "UpdateUI",
    "node created": "OnCreate",
    "node deleted": "OnDestroy",
    "script opened": "OnScriptLoad",
    "script saved": "OnScriptSave",
    "script closed": "OnScriptClose",
    "frame rendered": "AfterFrameRender",
}

_CANCELLED = ("cancel", "canceled", "cancelled")


class NukeHost:
    """One running Nuke. Make it on the main thread.

    Nodes are what these methods gave. A knob that a node has not got is refused with a sentence.
    """

    def __init__(self) -> None:
        self._main_thread = threading.get_ident()

    # The application

    @property
    def is_gui(self) -> bool:
        """Whether there is a window; not so in `nuke -t`."""
        return bool(nuke.GUI)

    @property
    def version(self) -> str:
        """Nuke's version, such as "15.1v4"."""
        return nuke.NUKE_VERSION_STRING

    @property
    def frame(self) -> int:
        """The script's current frame."""
        return int(nuke.root()["frame"].value())

    @property
    def frame_range(self) -> tuple[int, int]:
        """The script's first and last frame."""
        return int(nuke.root()["first_frame"].value()), int(nuke.root()["last_frame"].value())

    @property
    def proxy_is_on(self) -> bool:
        """Whether the script works at proxy size, where coordinates are not those of the full size."""
        return bool(nuke.root()["proxy"].value())

    @property
    def script_file(self) -> str:
        """The script's path, "" where it was never saved."""
        name = str(nuke.root()["name"].value())
        return "" if name in ("", "Root", "root") else name

    @property
    def colour_management(self) -> tuple[str, str]:
        """The script's colour management ("Nuke" or "OCIO") and its working space."""
        root = nuke.root()
        kind, space = root.knob("colorManagement"), root.knob("workingSpaceLUT")
        return str(kind.value()) if kind else "", str(space.value()) if space else ""

    def message(self, text: str) -> None:
        """Tell the artist; in a dialog where there is a window."""
        if nuke.GUI:
            nuke.message(text)
        else:
            nuke.tprint(text)

    def ask(self, question: str) -> bool:
        """Ask the artist yes or no; without a window the answer is no."""
        return bool(nuke.GUI and nuke.ask(question))

    def log(self, text: str) -> None:
        """A line on the terminal; from any thread."""
        nuke.tprint(text)

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Nuke's progress bar with Cancel, gone at the end of the block; lines of a log without a window."""
        yield _Bar(nuke.ProgressTask(title))

    # Threads

    def in_main_thread(self, call: Callable[[], None]) -> None:
        """Have it called on the main thread soon; at once where there is no window."""
        if nuke.GUI:
            nuke.executeInMainThread(call)
        else:
            call()

    def in_main_thread_with_result(self, call: Callable[[], Result]) -> Result:
        """Call it on the main thread and wait for what it gives.

        Raises:
            RefusedError: Nuke did not run it, or it raised anything else than a RefusedError.
        """
        if threading.get_ident() == self._main_thread or not nuke.GUI:
            # From the main thread Nuke would hang.
            return call()

        def guarded() -> tuple[str, Any]:
            # Nuke prints an exception and gives None; so it is brought over as a value.
            try:
                return "ok", call()
            except RefusedError as refusal:
                return "refused", refusal
            except Exception:  # noqa: BLE001 - whatever it was, the caller has to hear of it
                return "failed", traceback.format_exc()

        answer = cast("Optional[tuple[str, Any]]", nuke.executeInMainThreadWithResult(guarded))
        kind, value = answer or ("failed", "Nuke gave no answer")
        if kind == "ok":
            return cast("Result", value)
        if kind == "refused":
            raise cast("RefusedError", value)
        raise RefusedError(f"A call on Nuke's main thread failed; report this: {value}")

    @contextlib.contextmanager
    def undo(self, name: str) -> Iterator[None]:
        """All that is done within is one undo step; where it raises, it is taken back."""
        step = nuke.Undo()
        step.begin()
        step.name(name)
        try:
            yield
        except BaseException:
            step.cancel()
            raise
        step.end()

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What is done within does not come into the undo list: helper nodes, states."""
        step = nuke.Undo()
        step.disable()
        try:
            yield
        finally:
            step.enable()

    # Nodes

    def this_node(self) -> HostNode:
        """The node that a button or callback runs for."""
        return nuke.thisNode()

    def find(self, full_name: str) -> HostNode | None:
        """The node of a full name such as "Group1.INVE1", or None."""
        return nuke.toNode(full_name)

    def all_nodes(self, class_name: str, inside: HostNode | None = None) -> list[HostNode]:
        """The nodes of a class in a group, at the script's top level by default; not in the groups within."""
        return list(nuke.allNodes(class_name, inside if inside is not None else nuke.root()))

    def selected(self, class_name: str) -> list[HostNode]:
        """The selected nodes of a class; Nuke gives the one selected last first."""
        return list(nuke.selectedNodes(class_name))

    def is_alive(self, node: HostNode) -> bool:
        """Whether the node still is in the script."""
        try:
            node.Class()
        except ValueError:
            # "A PythonObject is not attached to a node"
            return False
        return True

    def class_name(self, node: HostNode) -> str:
        """Such as "Read"."""
        return str(node.Class())

    def name(self, node: HostNode) -> str:
        """The node's full name, with the groups that it is in."""
        return str(node.fullName())

    def input(self, node: HostNode, index: int) -> HostNode | None:
        """What is connected to an input."""
        return node.input(index)

    def connect(self, node: HostNode, index: int, source: HostNode | None) -> None:
        """Connect an input; both must be in the same group.

        Raises:
            RefusedError: Nuke does not take it.
        """
        if not node.setInput(index, source):
            raise RefusedError(f"{self.name(node)} takes no input {index} from there; connect it by hand.")

    def upstream(self, node: HostNode) -> list[HostNode]:
        """What a node depends on directly: its inputs, hidden ones too, and what its expressions name."""
        return list(node.dependencies(nuke.INPUTS | nuke.HIDDEN_INPUTS | nuke.EXPRESSIONS))

    def inside(self, group: HostNode) -> list[HostNode]:
        """The nodes in a group; of another node, none."""
        return list(group.nodes()) if hasattr(group, "nodes") else []

    def inner(self, group: HostNode, name: str) -> HostNode:
        """A node in a group by name.

        Raises:
            RefusedError: it was deleted.
        """
        found = group.node(name)
        if found is None:
            raise RefusedError(f"{self.name(group)} lacks its inner node {name}; insert a new INVE node.")
        return found

    def create(self, class_name: str, beside: HostNode | None = None, **knobs: Any) -> HostNode:
        """Make a node, without touching the selection or opening its panel.

        Args:
            class_name: such as "Write".
            beside: a node in whose group it is made; the current group by default.
            knobs: values by knob; `inputs` are nodes.
        """
        constructor = getattr(nuke.nodes, class_name)
        if beside is None:
            return constructor(**knobs)
        with beside.parent() or nuke.root():
            return constructor(**knobs)

    def paste(self, path: str) -> HostNode:
        """Insert the nodes of a .nk file beneath the selection; gives the last of them.

        Raises:
            RefusedError: the file cannot be read.
        """
        try:
            made = nuke.nodePaste(path)
        except (RuntimeError, OSError) as problem:
            raise RefusedError(
                f"{path} cannot be inserted: {problem}; install the plugin again."
            ) from problem
        if made is None:
            raise RefusedError(f"{path} has no node; install the plugin again.")
        return made

    def delete(self, node: HostNode) -> None:
        """Take a node out of the script."""
        nuke.delete(node)

    def place(self, node: HostNode, beside: HostNode, right: int, down: int) -> None:
        """Put a node in the graph at a distance from another, in units of the graph."""
        node.setXYpos(int(beside.xpos()) + right, int(beside.ypos()) + down)

    # Knobs

    def knobs(self, node: HostNode) -> list[str]:
        """The names of a node's knobs."""
        return list(node.knobs())

    def has_knob(self, node: HostNode, name: str) -> bool:
        """Whether a node has a knob of this name."""
        return node.knob(name) is not None

    def value(self, node: HostNode, name: str) -> Any:
        """A knob's value at the current frame, as Nuke gives it: text, number, or a list of numbers."""
        return self._knob(node, name).value()

    def number_at(self, node: HostNode, name: str, frame: float, index: int = 0) -> float:
        """One of a knob's numbers at a frame."""
        return float(self._knob(node, name).getValueAt(frame, index))

    def script(self, node: HostNode, name: str) -> str:
        """A knob's text as a script has it, animation and expressions included."""
        return str(self._knob(node, name).toScript())

    def is_animated(self, node: HostNode, name: str) -> bool:
        """Whether a knob has keys or an expression."""
        knob = self._knob(node, name)
        return bool(knob.isAnimated() or knob.hasExpression())

    def set_value(self, node: HostNode, name: str, value: Any) -> None:
        """Set a knob; a list for one of several numbers."""
        self._knob(node, name).setValue(value)

    def set_values(self, node: HostNode, values: Mapping[str, Any]) -> None:
        """Set several knobs, in order."""
        for name, value in values.items():
            self.set_value(node, name, value)

    def choose(self, node: HostNode, name: str, wish: str) -> bool:
        """Set an enumeration where it offers the wish, and leave it where not; gives whether it does."""
        knob = self._knob(node, name)
        offers = wish in list(knob.values())
        if offers:
            knob.setValue(wish)
        return offers

    def set_choices(self, node: HostNode, name: str, choices: Sequence[str]) -> None:
        """What an enumeration offers; the first is chosen then."""
        knob = self._knob(node, name)
        knob.setValues(list(choices))
        knob.setValue(0)

    def set_script(self, node: HostNode, name: str, text: str) -> None:
        """Set a knob from a text as a script has it."""
        self._knob(node, name).fromScript(text)

    def set_keys(self, node: HostNode, name: str, keys: Mapping[int, Sequence[float]]) -> None:
        """Give each of a knob's numbers keys, in place of what it had.

        Args:
            keys: the numbers by frame, of one frame at least, as many for each.
        """
        count = len(next(iter(keys.values())))
        curves = (
            " ".join(f"x{frame} {values[index]!r}" for frame, values in sorted(keys.items()))
            for index in range(count)
        )
        # As text: setValueAt makes keys only where there are some already, and takes a call for each number.
        self._knob(node, name).fromScript(" ".join(f"{{curve {curve}}}" for curve in curves))

    def paint_number(self, node: HostNode, element: str, attribute: str, frame: float) -> float:
        """An attribute of a stroke, shape or layer of a Roto node, with Nuke's default where it has none.

        Args:
            element: its path, such as "Layer1/Brush1".
        """
        return float(self._knob(node, "curves").toElement(element).getAttributes().getValue(frame, attribute))

    def curve_constants(self, class_name: str) -> dict[str, Any]:
        """The constants of a class of `nuke.curvelib`, such as AnimAttributes or FlagType."""
        found = getattr(importlib.import_module("nuke.curvelib"), class_name)
        return {name: getattr(found, name) for name in dir(found) if re.match(r"[ke][A-Z]", name)}

    def set_tooltip(self, node: HostNode, name: str, text: str) -> None:
        """What shows over a knob."""
        self._knob(node, name).setTooltip(text)

    def set_enabled(self, node: HostNode, name: str, enabled: bool) -> None:
        """Whether a knob can be used or is grey."""
        self._knob(node, name).setEnabled(enabled)

    def press(self, node: HostNode, name: str) -> None:
        """Press a button, such as a Read's `reload`."""
        self._knob(node, name).execute()

    # Pictures

    def format(self, node: HostNode) -> PictureFormat:
        """The display window of what a node gives."""
        found = node.format()
        return PictureFormat(found.width(), found.height(), found.pixelAspect(), found.x(), found.y())

    def data_window(self, node: HostNode) -> DataWindow:
        """Where a node's picture has pixels, at the current frame."""
        box = node.bbox()
        return DataWindow(box.x(), box.y(), box.w(), box.h())

    def channels(self, node: HostNode) -> list[str]:
        """The channels of what a node gives, such as "rgba.red" and "forward.u"."""
        return list(node.channels())

    def node_frames(self, node: HostNode) -> tuple[int, int]:
        """The first and last frame of what a node gives."""
        frames = node.frameRange()
        return int(frames.first()), int(frames.last())

    def sample(self, node: HostNode, channel: str, x: float, y: float, frame: int) -> float:
        """A picture's value at a place, y up, on a frame; the pixels around it have a share in it."""
        return float(cast("Any", node).sample(channel, x, y, 1, 1, frame))

    def render(self, write: HostNode, first: int, last: int) -> None:
        """Render a Write's frames with Nuke's own meter; blocks until the last is written.

        Raises:
            RefusedError: `cancelled` where the artist cancelled it, else with what Nuke said.
        """
        try:
            nuke.execute(write, first, last, 1)
        except (RuntimeError, nuke.CancelledError) as problem:
            # Only the whole message says it: a folder's name may have the word in it.
            if str(problem).strip(" .").lower() in _CANCELLED or isinstance(problem, nuke.CancelledError):
                raise RefusedError(
                    "Rendering was cancelled; press Prepare to go on.", "cancelled"
                ) from problem
            raise RefusedError(
                f"Nuke could not render frames {first}-{last}: {problem}; correct what is above INVE."
            ) from problem

    # Callbacks and the interface

    def listen(self, event: str, call: Heard, node_class: str = "*") -> Callable[[], None]:
        """Have something called when it happens; gives what ends that.

        Args:
            event: one of `_EVENTS`. "knob changed" comes only while the node's panel is open, and also as
                "showPanel" and "inputChange".
            call: gets the node, for events of the script its root, and the knob's name or "".
            node_class: for nodes of this class only.
        """
        name = _EVENTS[event]

        def heard() -> None:
            call(nuke.thisNode(), str(nuke.thisKnob().name()) if event == "knob changed" else "")

        getattr(nuke, f"add{name}")(heard, nodeClass=node_class)
        return lambda: getattr(nuke, f"remove{name}")(heard, nodeClass=node_class)

    def add_command(self, menu: str, path: str, call: Callable[[], None]) -> None:
        """An entry such as "INVE/Insert node" in one of Nuke's menus, "Nuke" or "Nodes"."""
        nuke.menu(menu).addCommand(path, call)

    def register_panel(self, widget: str, title: str, identifier: str) -> None:
        """Make a widget known as a dockable panel.

        Args:
            widget: the expression that gives its class, such as "inve_nuke.panel.widget.Panel".
            title: what the pane's menu shows.
            identifier: what a saved layout knows it by.
        """
        from nukescripts import panels

        panels.registerWidgetAsPanel(widget, title, identifier)

    def _knob(self, node: HostNode, name: str) -> Any:
        found = node.knob(name)
        if found is None:
            raise RefusedError(
                f"{self.name(node)} ({self.class_name(node)}) has no knob {name!r} in Nuke {self.version}; "
                "insert the node anew, or install another release of the plugin."
            )
        return found


class _Bar:
    """A ProgressTask, which lives as long as something refers to it."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def report(self, fraction: float, message: str) -> None:
        self._task.setMessage(message)
        self._task.setProgress(max(0, min(100, round(100 * fraction))))

    @property
    def cancelled(self) -> bool:
        return bool(self._task.isCancelled())
