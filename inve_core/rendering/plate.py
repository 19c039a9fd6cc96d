"""The plate under the edits: its size, its region, and the part of it that is drawn on."""

from dataclasses import dataclass, replace

import cv2

from inve_core.errors import EditError
from inve_core.media.pictures import Picture, PictureSpec

LARGEST_SCALE = 8.0


@dataclass(frozen=True)
class Canvas:
    """The part of the frame that is drawn on, in pixels of the rendered size."""

    x: int
    y: int
    width: int
    height: int


def canvas_of(spec: PictureSpec) -> Canvas:
    """Where data window and display window overlap; overscan is passed through."""
    x, y, width, height = spec.data_window
    left, top = max(0, x), max(0, y)
    right, bottom = min(spec.width, x + width), min(spec.height, y + height)
    return Canvas(left, top, max(0, right - left), max(0, bottom - top))


def scaled(plate: Picture, scale: float) -> Picture:
    """The display window at another size; the plate itself at scale 1.

    Raises:
        EditError: a scale that is not above 0 and at most LARGEST_SCALE.
    """
    if scale == 1.0:
        return plate
    if not 0 < scale <= LARGEST_SCALE:
        raise EditError(
            f"scale must be above 0 and at most {LARGEST_SCALE:g}, got {scale:g}; 1 is the plate's own size."
        )
    width = max(1, round(plate.spec.width * scale))
    height = max(1, round(plate.spec.height * scale))
    # Area averaging does not alias; it has nothing to average where the picture grows.
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(plate.display_rgba(), (width, height), interpolation=way)
    spec = replace(plate.spec, width=width, height=height, data_window=(0, 0, width, height))
    return replace(plate, spec=spec, pixels=resized.astype(plate.pixels.dtype))


def cropped(plate: Picture, region: tuple[int, int, int, int] | None) -> Picture:
    """The part of a plate inside x, y, width, height; its display window stays as it is.

    Raises:
        EditError: nothing of the plate is inside.
    """
    if region is None:
        return plate
    x, y, width, height = plate.spec.data_window
    left, top = max(region[0], x), max(region[1], y)
    right, bottom = min(region[0] + region[2], x + width), min(region[1] + region[3], y + height)
    if left >= right or top >= bottom:
        raise EditError(
            f"region {region} lies outside the picture's data window {plate.spec.data_window}; "
            "move it inside."
        )
    pixels = plate.pixels[top - y : bottom - y, left - x : right - x]
    spec = replace(plate.spec, data_window=(left, top, right - left, bottom - top))
    return replace(plate, spec=spec, pixels=pixels)
