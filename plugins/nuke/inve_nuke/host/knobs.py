"""The knobs of nodes, by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from inve_client.plugin.refusals import RefusedError
from inve_nuke.host_types import HostNode

from .nuke_module import nuke


class Knobs:
    """Reads and sets knobs."""

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

    def path_at(self, node: HostNode, name: str, frame: float) -> str:
        """A path as Nuke works it out at a frame: [expressions], ~, its number, the project directory.

        What is relative to no absolute project directory comes as it is.
        """
        path = os.path.expanduser(_evaluated(self._knob(node, name), frame))
        project = nuke.root().knob("project_directory")
        if path and project is not None and not os.path.isabs(path):
            folder = _evaluated(project, frame)
            return os.path.join(folder, path) if os.path.isabs(folder) else path
        return path

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

    def press(self, node: HostNode, name: str) -> None:
        """Press a button, such as a Read's `reload`."""
        self._knob(node, name).execute()

    def _knob(self, node: HostNode, name: str) -> Any:
        found = node.knob(name)
        if found is None:
            raise RefusedError(
                f"{node.fullName()} ({node.Class()}) has no knob {name!r} in Nuke "
                f"{nuke.NUKE_VERSION_STRING}; insert the node anew, or install another release of the plugin."
            )
        return found


def _evaluated(knob: Any, frame: float) -> str:
    """A knob's text at a frame; a text that Nuke does not work out, as it is."""
    return str((knob.evaluate(frame) if hasattr(knob, "evaluate") else knob.value()) or "")
