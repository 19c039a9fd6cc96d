"""Places and sizes: Nuke's, whose y runs up, and the wire's, whose y runs down. Pure.

Both count continuous pixels of the full-size picture, in both the first one reaches from 0 to 1 and has its
centre at 0.5, so that turning y about is all there is between them: y_down = height - y_up. This file is the
only one that does it. The picture is Nuke's format, which is an EXR's display window; a pixel's aspect is no
part of these numbers, in Nuke neither.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inve_client.plugin.messages import RefusedError


@dataclass(frozen=True)
class Picture:
    """A picture's size, and the way between its two kinds of coordinates.

    Attributes:
        width, height: of the format, in pixels.
        pixel_aspect: how much wider than high a pixel is shown.
    """

    width: int
    height: int
    pixel_aspect: float = 1.0

    def to_wire(self, x: float, y: float) -> tuple[float, float]:
        """A place in Nuke as the wire has it."""
        return x, self.height - y

    def all_to_wire(self, rows: Iterable[Sequence[float]]) -> list[list[float]]:
        """Many places, [x, y] of each; what else is in a row is left out."""
        height = self.height
        return [[row[0], height - row[1]] for row in rows]

    def to_nuke(self, x: float, y: float) -> tuple[float, float]:
        """A place of the wire as Nuke has it."""
        return x, self.height - y

    def with_margin(self, margin: float) -> tuple[float, float, float, float]:
        """left, top, right, bottom of the picture and a margin around it, on the wire."""
        return -margin, -margin, self.width + margin, self.height + margin


def picture_of(name: str, width: int, height: int, pixel_aspect: float, *, proxy: bool) -> Picture:
    """The picture that a node makes.

    Args:
        name: the node's, for messages.
        width, height, pixel_aspect: of its format.
        proxy: whether Nuke is in proxy mode.

    Raises:
        RefusedError: in proxy mode, where nothing says whether Nuke's places are the full-size picture's; or
            the format is no picture's.
    """
    if proxy:
        raise RefusedError(
            f"{name!r} is worked on in proxy mode, and places must be those of the full-size picture; switch "
            "the proxy off (Ctrl+P) and send again."
        )
    if width < 1 or height < 1 or not (math.isfinite(pixel_aspect) and pixel_aspect > 0):
        raise RefusedError(
            f"The format of {name!r} must have a size and a pixel aspect above zero, got {width}x{height} "
            f"and {pixel_aspect:g}; set its format."
        )
    return Picture(width, height, pixel_aspect)


def check_same(name: str, own: Picture, plate: Picture) -> None:
    """Hold a node's format against the plate's.

    Raises:
        RefusedError: they differ, so that a place in one is none in the other.
    """
    if (own.width, own.height) != (plate.width, plate.height):
        raise RefusedError(
            f"{name!r} must have the plate's format of {plate.width}x{plate.height}, got "
            f"{own.width}x{own.height}; connect the plate to it, or set its format."
        )


def whole_frame(time: float) -> int:
    """The frame that is shown at a time: Nuke's keys may lie between two."""
    return math.floor(time + 0.5)
