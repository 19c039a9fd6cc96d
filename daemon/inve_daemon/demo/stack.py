"""What the demo paints: one stack with all three kinds of edit, and the picture that it pastes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inve_daemon.demo.placement import Placement, Points, Spot
from inve_daemon.demo.writing import write_file

SUBJECT_PAINT = "paint on the object"
GROUND_PAINT = "paint on the ground"
LOGOS = "logos"
GRADE = "grade on the ground"
EDIT_LAYERS = (GRADE, GROUND_PAINT, SUBJECT_PAINT, LOGOS)


def draw_logo(path: Path) -> None:
    """Write a round badge with an arrow that points up, so that a turned or bent copy shows as such.

    Raises:
        StorageError: if it cannot be written.
    """
    size, fine = 256, 4
    side = size * fine
    badge = np.zeros((side, side, 4), np.uint8)

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * side), round(y * side)

    white, blue, red = (255, 255, 255, 255), (120, 40, 10, 255), (40, 40, 230, 255)
    cv2.circle(badge, at(0.5, 0.5), round(0.48 * side), white, -1)
    cv2.circle(badge, at(0.5, 0.5), round(0.42 * side), blue, -1)
    arrow = [(0.5, 0.14), (0.76, 0.5), (0.6, 0.5), (0.6, 0.84), (0.4, 0.84), (0.4, 0.5), (0.24, 0.5)]
    cv2.fillPoly(badge, [np.array([at(x, y) for x, y in arrow], np.int32)], white)
    cv2.circle(badge, at(0.5, 0.42), round(0.07 * side), red, -1)
    # Averaged premultiplied, so that the clear surroundings do not darken the edge; PNG has it straight.
    weighted = badge.astype(np.float64)
    weighted[..., :3] *= weighted[..., 3:] / 255.0
    small = weighted.reshape(size, fine, size, fine, 4).mean((1, 3))
    small[..., :3] /= np.maximum(small[..., 3:] / 255.0, 1e-6)
    write_file(path, cv2.imencode(".png", np.rint(small).clip(0, 255).astype(np.uint8))[1].tobytes())


def make_stack(
    placement: Placement, logo: Path, width: int, height: int, *, has_object: bool
) -> dict[str, Any]:
    """The demo's EDITS.json.

    Args:
        placement: where things go.
        logo: the picture to paste.
        width, height: the clip's size in pixels.
        has_object: whether there is a foreground to paint on; else everything goes on the ground.
    """
    front = "foreground" if has_object else "background"
    region = placement.ground_region
    stroke_width = max(3.0, 0.028 * min(width, height))
    smallest = 0.05 * min(width, height)
    radius = min(max(smallest, 0.8 * region.radius), 0.2 * min(width, height))
    angle = np.linspace(0.0, 2.0 * np.pi, 40, endpoint=False)
    outline = np.stack([region.x + radius * np.cos(angle), region.y + radius * np.sin(angle)], 1)
    outline = np.clip(outline, 0.0, (width, height))
    common = {"frame": placement.frame}
    paint = {"type": "stroke", "width": stroke_width, "hardness": 0.9, **common}
    texture = {"type": "texture", "image": str(logo), "rotation": 0.0, "video_layer": front, **common}
    return {
        "version": 1,
        "layers": [
            {
                "name": GRADE,
                "kind": "adjustment",
                "edits": [
                    {
                        "type": "adjustment",
                        "points": _plain(outline),
                        "width": 0.25 * radius,
                        "closed": True,
                        "hardness": 0.5,
                        "hue": 150.0,
                        "saturation": 1.6,
                        "brightness": 0.04,
                        "video_layer": "background",
                        **common,
                    }
                ],
            },
            {
                "name": GROUND_PAINT,
                "kind": "sketch",
                "edits": [
                    {
                        **paint,
                        "points": _plain(placement.ground_stroke),
                        "color": [1.0, 0.85, 0.05, 1.0],
                        "video_layer": "background",
                    }
                ],
            },
            {
                "name": SUBJECT_PAINT,
                "kind": "sketch",
                "edits": [
                    {
                        **paint,
                        "points": _plain(placement.subject_stroke),
                        "color": [0.02, 0.25, 1.0, 1.0],
                        "video_layer": front,
                    }
                ],
            },
            {
                "name": LOGOS,
                "kind": "texture",
                "edits": [
                    {**texture, **_filling(placement.large_logo, smallest), "tracking": "surface"},
                    {**texture, **_filling(placement.small_logo, smallest), "tracking": "point"},
                ],
            },
        ],
    }


def stroke_of(stack: dict[str, Any], layer: str) -> tuple[Points, float]:
    """The (points [k, 2], width in pixels) of the one stroke of an edit layer."""
    stroke = next(one for one in stack["layers"] if one["name"] == layer)["edits"][0]
    return np.array(stroke["points"], np.float64), float(stroke["width"])


def _filling(spot: Spot, smallest: float) -> dict[str, float]:
    """A texture's centre and size that fill a free spot, and are large enough to be seen."""
    size = round(max(smallest, 1.8 * spot.radius), 3)
    return {"x": spot.x, "y": spot.y, "width": size, "height": size}


def _plain(points: Points) -> list[list[float]]:
    return [[round(float(x), 3), round(float(y), 3)] for x, y in points]
