"""Reading back what the daemon rendered: the parts of an EXR, laid over the picture's display window."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inve_core.media import PictureSpec, read_parts
from inve_core.media.colour import linear_to_srgb
from inve_daemon.demo.stack import EDIT_LAYERS

Parts = dict[str, tuple[tuple[str, ...], NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class EditedFrame:
    """One rendered frame with its parts.

    Attributes:
        spec: the header of the source picture, whose windows the parts share.
        parts: as `inve_core.media.read_parts` gives them.
    """

    spec: PictureSpec
    parts: Parts

    @classmethod
    def read(cls, path: Path, spec: PictureSpec) -> "EditedFrame":
        """Read a frame that was rendered with layers.

        Raises:
            MediaError: if it is missing or unreadable.
        """
        return cls(spec, read_parts(path))

    @property
    def rgba(self) -> NDArray[Any]:
        """[h, w, 4] over the data window, as stored."""
        return self.parts["rgba"][1]

    def coverage(self, edit_layer: str) -> NDArray[np.float32]:
        """What an edit layer covers, [height, width] over the display window."""
        names, pixels = self.parts[f"edit.{edit_layer}"]
        return self._displayed(pixels[..., names.index("A")])

    def matte(self, video_layer: str) -> NDArray[np.float32]:
        """A video layer's visibility, [height, width] over the display window."""
        return self._displayed(self.parts[f"matte.{video_layer}"][1][..., 0])

    def untouched(self) -> NDArray[np.bool_]:
        """[h, w] over the data window: where every edit layer's part is empty."""
        touched = [(self.parts[f"edit.{name}"][1] != 0).any(-1) for name in EDIT_LAYERS]
        return ~np.any(touched, axis=0)

    def shown(self) -> NDArray[np.uint8]:
        """The frame to look at, sRGB [height, width, 3]."""
        return to_srgb8(np.stack([self._displayed(self.rgba[..., c]) for c in range(3)], -1))

    def _displayed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """[h, w] over the data window to [height, width] over the display window, 0 outside."""
        x, y, width, height = self.spec.data_window
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + width, self.spec.width), min(y + height, self.spec.height)
        display = np.zeros((self.spec.height, self.spec.width), np.float32)
        if left < right and top < bottom:
            display[top:bottom, left:right] = pixels[top - y : bottom - y, left - x : right - x]
        return display


def to_srgb8(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Scene-linear RGB of any shape as sRGB to look at, clipped to 0..1; no number is black."""
    finite = np.nan_to_num(linear.astype(np.float32), nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(np.clip(linear_to_srgb(finite), 0.0, 1.0) * 255.0).astype(np.uint8)
