"""The running Nuke: its script's settings, undo steps, callbacks, menus and panels."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from inve_nuke.host_types import Heard

from .nuke_module import nuke

# What this file calls events, and the end of the names that Nuke has for them.
_EVENTS = {
    "knob changed": "KnobChanged",
    "node created": "OnCreate",
    "node deleted": "OnDestroy",
    "script opened": "OnScriptLoad",
    "script saved": "OnScriptSave",
    "script closed": "OnScriptClose",
}


class Application:
    """What a Nuke is and has but its nodes."""

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

    # Undo

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
        """What is done within does not come into the undo list: helper nodes, states. Nor is the script any
        less saved than it was, for all of it is made again.
        """
        step, root = nuke.Undo(), nuke.root()
        was_modified = root.modified()
        step.disable()
        try:
            yield
        finally:
            step.enable()
            if root.modified() != was_modified:
                root.setModified(was_modified)

    # Callbacks and the interface

    def listen(self, event: str, call: Heard, node_class: str = "*") -> Callable[[], None]:
        """Have something called when it happens; gives what ends that.

        Args:
            event: one of `_EVENTS`. "knob changed" comes in some releases only for what the artist changes in
                an open panel, and in others (17.1) for each change, those by Python and with the panel closed
                among them; also as "showPanel" and "inputChange".
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
