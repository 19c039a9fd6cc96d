"""The nodes of the script: found, connected, made, deleted."""

from __future__ import annotations

from typing import Any

from inve_client.plugin.refusals import RefusedError
from inve_nuke.host_types import HostNode

from .knobs import Knobs
from .nuke_module import nuke


class Graph(Knobs):
    """The graph."""

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

    def upstream(self, node: HostNode) -> list[HostNode]:
        """What a node depends on directly: its inputs, hidden ones too, and what its expressions name.

        A group's Input depends on what is connected to the group.
        """
        found = list(node.dependencies(nuke.INPUTS | nuke.HIDDEN_INPUTS | nuke.EXPRESSIONS))
        if node.Class() == "Input":
            outside = node.parent().input(int(node["number"].value()))
            found += [outside] if outside is not None else []
        return found

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
        group = beside.parent()
        # Not `or`: a node has a length.
        with group if group is not None else nuke.root():
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
