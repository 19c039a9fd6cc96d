"""What the checks of `selfcheck.py` have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .host import NukeHost
    from .host_types import HostNode


class Differs(Exception):
    """Nuke does otherwise than the plugin relies on; the message says how."""


class Unchecked(Exception):
    """It could not be found out; the message says why."""


class Scratch:
    """Nodes that a check makes, and that are taken out after it."""

    def __init__(self, host: NukeHost) -> None:
        self.host = host
        self._made: list[HostNode] = []

    def node(self, class_name: str, **knobs: Any) -> HostNode:
        """Make a node."""
        made = self.host.create(class_name, **knobs)
        self._made.append(made)
        return made

    def pasted(self, path: str) -> HostNode:
        """Insert a toolset's node."""
        made = self.host.paste(path)
        self._made.append(made)
        return made

    def clear(self) -> None:
        """Take all of it out."""
        while self._made:
            self.host.delete(self._made.pop())
