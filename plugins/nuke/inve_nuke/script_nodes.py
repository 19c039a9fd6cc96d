"""Which INVE nodes the open script has, each known by a key that stays when it is renamed.

The key is stored in the node. A copy has its key from the node that it was copied from until it is found, and
then gets one of its own, of which `owner_of` tells where it came from: copies share their paint.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from inve_nuke import node as nodes

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode

SCAN_S = 2.0
"""Between two looks at a script that nothing was told of; undo brings nodes back."""
COPY = "-"
"""Between the key of a node and what tells its copies apart."""


def owner_of(key: str) -> str:
    """What the edits of a node's paint are known by: the same for a node and its copies."""
    return key.split(COPY, 1)[0]


class ScriptNodes:
    """The INVE nodes that are known.

    Args:
        host: Nuke.
        came: called with each node that is new; its key is set by then.
        went: called with the key of each that is gone.

    Attributes:
        is_stale: whether the script has changed since the last `scan`.
    """

    def __init__(self, host: NukeHost, came: Callable[[InveNode], None], went: Callable[[str], None]) -> None:
        self.is_stale = True
        self._scanned_at = 0.0
        self._host, self._came, self._went = host, came, went
        self._by_key: dict[str, InveNode] = {}

    def __iter__(self) -> Iterator[InveNode]:
        """Those that are in the script: one that was deleted is known until the next `scan`."""
        return iter([node for node in self._by_key.values() if node.is_alive])

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def is_due(self) -> bool:
        """Whether a `scan` may find something: Nuke tells of nodes, but perhaps not of all."""
        if self.is_stale or time.monotonic() - self._scanned_at > SCAN_S:
            return True
        return not all(node.is_alive for node in self._by_key.values())

    def get(self, key: str) -> InveNode | None:
        """The node of a key, where it is known and still in the script."""
        node = self._by_key.get(key)
        return node if node is not None and node.is_alive else None

    def of(self, host_node: HostNode) -> InveNode:
        """An INVE node, which is known from now on.

        Raises:
            RefusedError: it is no INVE node.
        """
        self.scan()
        name = self._host.name(host_node)
        known = next((node for node in self if node.name == name), None)
        return known if known is not None else self.adopt(nodes.InveNode(self._host, host_node))

    def scan(self) -> None:
        """Know what is in the script by now."""
        for key, node in list(self._by_key.items()):
            if not node.is_alive:
                self._forget(key)
        names = {node.name for node in self}
        for node in nodes.all_of(self._host):
            if node.name not in names:
                self.adopt(node)
        self.is_stale = False
        self._scanned_at = time.monotonic()

    def clear(self) -> None:
        """Know none; what is there is new with the next scan."""
        for key in list(self._by_key):
            self._forget(key)
        self.is_stale = True

    def adopt(self, node: InveNode) -> InveNode:
        """Know a node that is new."""
        key = node.key
        if not key:
            key = uuid.uuid4().hex[:12]
        elif key in self._by_key:
            key = f"{owner_of(key)}{COPY}{uuid.uuid4().hex[:6]}"
        if key != node.key:
            with self._host.unrecorded():
                node.key = key
        self._by_key[key] = node
        self._came(node)
        return node

    def _forget(self, key: str) -> None:
        del self._by_key[key]
        self._went(key)
