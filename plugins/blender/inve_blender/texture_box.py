"""A texture while it is placed: where it lies, what of it is under the mouse, what dragging makes of it.

Pure. Pixels of the source picture, y down; a rotation turns clockwise as seen, about the middle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Place = tuple[float, float]
Handle = Literal["move", "scale", "rotate"]

LEAST_SIZE = 1.0
"""In pixels: what is smaller is lost for the mouse."""
MOST_SIZE = 32_768.0
_TURNER_DOTS = 28.0
"""How far above its box the handle is that turns it, in dots of the screen."""
_DECIMALS = 3


@dataclass(frozen=True)
class TextureBox:
    """Where a texture lies.

    Attributes:
        x, y: its middle.
        width, height: its size.
        rotation: degrees, clockwise as seen.
    """

    x: float
    y: float
    width: float
    height: float
    rotation: float = 0.0

    @classmethod
    def from_edit(cls, edit: Mapping[str, Any]) -> TextureBox:
        """The box of a texture of EDITS.json that is placed by x and y."""
        width, height, rotation = edit["width"], edit["height"], edit.get("rotation", 0.0)
        anchored = cls(edit["x"], edit["y"], width, height, rotation)
        anchor_x, anchor_y = edit.get("anchor", (0.5, 0.5))
        # It turns about its anchor, and so does the way from there to its middle.
        x, y = anchored.at(1 - anchor_x, 1 - anchor_y)
        return replace(anchored, x=x, y=y)

    @classmethod
    def fitted(cls, picture: tuple[int, int], visible: tuple[float, float, float, float]) -> TextureBox:
        """A picture in the middle of what is visible, at its own size where that takes up half of it at most.

        Args:
            picture: width and height of the texture in pixels.
            visible: left, top, right, bottom.
        """
        left, top, right, bottom = visible
        share = min(1.0, (right - left) / 2 / picture[0], (bottom - top) / 2 / picture[1])
        return cls((left + right) / 2, (top + bottom) / 2, picture[0] * share, picture[1] * share)

    def fields(self, anchor: Sequence[float] = (0.5, 0.5)) -> dict[str, float]:
        """The fields of a texture in EDITS.json that has this anchor."""
        x, y = self.at(*anchor)
        return {
            "x": round(x, _DECIMALS),
            "y": round(y, _DECIMALS),
            "width": round(self.width, _DECIMALS),
            "height": round(self.height, _DECIMALS),
            "rotation": round(self.rotation, _DECIMALS),
        }

    def at(self, across: float, down: float) -> Place:
        """A place of the texture, as shares of its width and height from its top left, in the picture."""
        turn = math.radians(self.rotation)
        right, under = (across - 0.5) * self.width, (down - 0.5) * self.height
        return (
            self.x + right * math.cos(turn) - under * math.sin(turn),
            self.y + right * math.sin(turn) + under * math.cos(turn),
        )

    @property
    def corners(self) -> tuple[Place, ...]:
        """Top left, top right, bottom right, bottom left, of the texture."""
        return tuple(self.at(across, down) for across, down in ((0, 0), (1, 0), (1, 1), (0, 1)))

    def turner(self, pixels_per_dot: float) -> Place:
        """Where the handle is that turns it: above the middle of its upper edge."""
        return self.at(0.5, -_TURNER_DOTS * pixels_per_dot / self.height)

    def holds(self, place: Place) -> bool:
        """Whether a place of the picture is on the texture."""
        turn = math.radians(-self.rotation)
        dx, dy = place[0] - self.x, place[1] - self.y
        right = dx * math.cos(turn) - dy * math.sin(turn)
        under = dx * math.sin(turn) + dy * math.cos(turn)
        return abs(right) <= self.width / 2 and abs(under) <= self.height / 2

    def handle_at(self, place: Place, reach: float, pixels_per_dot: float) -> Handle | None:
        """What a press at a place takes hold of; handles are taken from `reach` pixels away."""
        if math.dist(place, self.turner(pixels_per_dot)) <= reach:
            return "rotate"
        if min(math.dist(place, corner) for corner in self.corners) <= reach:
            return "scale"
        return "move" if self.holds(place) else None

    def dragged(self, handle: Handle, start: Place, now: Place, *, steps: bool = False) -> TextureBox:
        """The box after a drag.

        Args:
            handle: what is dragged; scaling keeps the proportions.
            start: where the drag began.
            now: where it is.
            steps: whether to turn in steps of 15 degrees and to scale in tenths.
        """
        if handle == "move":
            return replace(self, x=self.x + now[0] - start[0], y=self.y + now[1] - start[1])
        if handle == "scale":
            factor = math.dist(now, (self.x, self.y)) / max(math.dist(start, (self.x, self.y)), 1e-6)
            if steps:
                factor = max(0.1, round(factor, 1))
            least = LEAST_SIZE / min(self.width, self.height)
            factor = min(max(factor, least), MOST_SIZE / max(self.width, self.height))
            return replace(self, width=self.width * factor, height=self.height * factor)
        turn = math.degrees(
            math.atan2(now[1] - self.y, now[0] - self.x) - math.atan2(start[1] - self.y, start[0] - self.x)
        )
        rotation = self.rotation + turn
        if steps:
            rotation = 15 * round(rotation / 15)
        return replace(self, rotation=math.remainder(rotation, 360))
