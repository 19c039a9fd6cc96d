"""What `inve_nuke.host` speaks of, in plain values: whoever uses them needs no Nuke to be tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HostNode = Any
"""A node of the script. Only the host looks into it; others hand it on."""

Heard = Callable[[HostNode, str], None]
"""What a callback calls: the node that it is about, and the name of the knob that changed, or ""."""


@dataclass(frozen=True)
class PictureFormat:
    """The display window of a picture, in pixels; `x` and `y` are its lower left corner, 0 nearly always."""

    width: int
    height: int
    pixel_aspect: float = 1.0
    x: int = 0
    y: int = 0
