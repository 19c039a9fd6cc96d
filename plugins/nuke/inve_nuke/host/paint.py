"""What is painted on Roto nodes, beyond the text of their curves: for the self-check, and attribute names."""

from __future__ import annotations

import importlib
import re
from typing import Any

from inve_nuke.host_types import HostNode

from .knobs import Knobs


class Paint(Knobs):
    """Curves as Nuke's own library sees them, and what they look like."""

    def paint_number(self, node: HostNode, element: str, attribute: str, frame: float) -> float:
        """An attribute of a stroke, shape or layer of a Roto node, with Nuke's default where it has none.

        Args:
            element: its path, such as "Layer1/Brush1".
        """
        return float(self._knob(node, "curves").toElement(element).getAttributes().getValue(frame, attribute))

    def curve_constants(self, class_name: str) -> dict[str, Any]:
        """The constants of a class of `nuke.curvelib`, such as AnimAttributes or FlagType; {} without it."""
        try:
            found = getattr(importlib.import_module("nuke.curvelib"), class_name, None)
        except ImportError:
            return {}
        return {name: getattr(found, name) for name in dir(found) if re.match(r"[ke][A-Z]", name)}

    def sample(self, node: HostNode, channel: str, x: float, y: float, frame: int) -> float:
        """A picture's value at a place, y up, on a frame; the pixels around it have a share in it."""
        return float(node.sample(channel, x, y, 1, 1, frame))
