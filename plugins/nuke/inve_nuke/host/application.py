"""The running Nuke: its script's settings, its threads, undo steps, callbacks, menus and panels."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Optional, TypeVar, cast

from inve_client.plugin.refusals import RefusedError
from inve_nuke.host_types import Heard, Progress

from .nuke_module import nuke

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


class Application:
    """What a Nuke is and has but its nodes."""

    def __init__(self) -> None:
        self._main_thread = threading.get_ident()

    # The script and the artist

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
        return str(kind.value()) if kind is not None else "", str(space.value()) if space is not None else ""

    def message(self, text: str) -> None:
        """Tell the artist; in a dialog where there is a window."""
        if nuke.GUI:
            nuke.message(text)
        else:
            nuke.tprint(text)

    def log(self, text: str) -> None:
        """A line on the terminal; from any thread."""
        nuke.tprint(text)

    @contextlib.contextmanager
    def progress(self, title: str) -> Iterator[Progress]:
        """Nuke's progress bar with Cancel, gone at the end of the block; lines of a log without a window."""
        yield _Bar(nuke.ProgressTask(title))

    # Threads and undo

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
