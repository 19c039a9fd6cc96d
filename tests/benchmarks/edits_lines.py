"""Where a stroke comes out, and how wide: measured in the rendered coverage, across the line.

At places along the drawn line coverage is read across it: its first moment is how far off the centreline is,
its sum how wide the stroke is. Only places count where the video layer is all that is seen, all across.
Strokes are 2 to 30 px wide, straight at several angles and curved, at the plate's own size and at 4K
(as far as the renderer enlarges), on the frame that they are drawn on; on the synthetic clip's other frames
they are held against the scene's own geometry.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from edits_shots import LearnedShot
from numpy.typing import NDArray

from inve_core.edits import EditLayer, EditStack, Stroke
from inve_core.rendering import Renderer
from inve_core.rendering.plate import LARGEST_SCALE
from inve_core.synthetic import Layer

Array = NDArray[np.float64]
FULL_VIEW = 0.999
WIDTHS_PX = (2.0, 5.0, 12.0, 30.0)
ANGLES_DEG = (0.0, 33.0, 90.0, 124.0)
LARGE_SIDE = 3840
STEP_PX = 1.5
ACROSS_PX = 0.05
CENTRE_MARK_PX = 0.5
WIDTH_MARK = 0.05
FAR_MARK_PX = 1.5
OTHER_FRAMES = 6


@dataclass(frozen=True, eq=False)
class DrawnLine:
    """A line to draw, in picture pixels: `points` of the edit, `width`, and the name of its shape."""

    shape: str
    points: Array
    width: float


@dataclass(frozen=True, eq=False)
class Across:
    """Measured at places along a line, in pixels of the drawn picture; only those that count.

    Attributes:
        offsets: [n] of the centreline, along the normal.
        widths: [n].
    """

    offsets: Array
    widths: Array


def lines_at(centre: Array, reach: float, widths: tuple[float, ...]) -> Iterator[DrawnLine]:
    """Lines of every shape and width through a place."""
    for width in widths:
        for angle in ANGLES_DEG:
            way = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
            yield DrawnLine(f"{angle:g} deg", centre + np.outer([-reach, reach], way), width)
        turn = np.linspace(-0.9, 0.9, 60)
        arc = reach * np.stack((np.sin(turn), 1 - np.cos(turn)), 1)
        yield DrawnLine("arc", centre + arc - arc.mean(0), width)


def along(points: Array, step: float) -> tuple[Array, Array]:
    """Places every `step` along a polyline, ends left out, and the unit normals there: [n, 2] each."""
    lengths = np.concatenate(([0.0], np.linalg.norm(np.diff(points, axis=0), axis=1).cumsum()))
    wanted = np.arange(0.0, lengths[-1], step)
    places = np.stack([np.interp(wanted, lengths, points[:, axis]) for axis in range(2)], 1)
    ways = np.gradient(places, axis=0)
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    return places, np.stack((-ways[:, 1], ways[:, 0]), 1)


def inner(points: Array, width: float) -> tuple[Array, Array]:
    """`along`, without the ends, where a line's width is not to be measured."""
    places, normals = along(points, STEP_PX)
    ends = int(np.ceil(width / STEP_PX)) + 2
    return places[ends:-ends], normals[ends:-ends]


def measure_across(
    alpha: NDArray[np.float32],
    visible: NDArray[np.float32],
    places: Array,
    normals: Array,
    width: float,
    reach: float,
    scale: float,
) -> Across:
    """Read coverage across a line.

    Args:
        alpha, visible: [h, w] of the rendered picture.
        places, normals: [n, 2] in picture pixels, `scale` rendered pixels each.
        width, reach: how far the stroke goes, and how much further to look, in picture pixels.
    """
    if not len(places):
        return Across(np.zeros(0), np.zeros(0))
    offsets = np.arange(-width / 2 - reach, width / 2 + reach, ACROSS_PX / scale)
    spots = (places[:, None] + offsets[:, None] * normals[:, None]) * scale - 0.5
    height, wide = alpha.shape
    inside = ((spots >= 0) & (spots <= (wide - 1, height - 1))).all((1, 2))
    x, y = (np.ascontiguousarray(spots[..., axis], np.float32) for axis in range(2))
    profile, shown = (cv2.remap(one, x, y, cv2.INTER_LINEAR) for one in (alpha, visible))
    kept = inside & (shown.min(1) >= FULL_VIEW) & (profile.sum(1) > 0)
    profile = profile[kept].astype(np.float64)
    total = profile.sum(1)
    return Across((profile * offsets).sum(1) / total, total * ACROSS_PX / scale)


def picture_of(
    renderer: Renderer, line: DrawnLine, layer: str, drawn: int, frame: int, scale: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coverage by a stroke and its layer's visibility on a frame, [h, w] each."""
    edit = Stroke(
        frame=drawn,
        points=tuple((float(x), float(y)) for x, y in line.points),
        width=line.width,
        color=(1.0, 1.0, 1.0, 1.0),
        video_layer=layer,
    )
    stack = EditStack(layers=(EditLayer("line", "sketch", (edit,)),))
    parts = {one.name: one.pixels for one in renderer.render(stack, frame, scale=scale, layers=True).parts}
    return parts["edit.line"][..., 3].astype(np.float32), parts[f"matte.{layer}"][..., 0].astype(np.float32)


def places_to_draw(renderer: Renderer, frame: int) -> dict[str, tuple[Array, float]]:
    """For each video layer the middle of its widest part, and how far it is to that part's edge, pixels."""
    none = EditStack()
    found = {}
    for part in renderer.render(none, frame, layers=True).parts:
        if part.name.startswith("matte."):
            whole = np.pad((part.pixels[..., 0] >= FULL_VIEW).astype(np.uint8), 1)
            away = cv2.distanceTransform(whole, cv2.DIST_L2, 5)[1:-1, 1:-1]
            y, x = np.unravel_index(int(away.argmax()), away.shape)
            found[part.name.removeprefix("matte.")] = (np.array([x + 0.5, y + 0.5]), float(away.max()))
    return found


def measure_drawn(shot: LearnedShot, renderer: Renderer, large: bool) -> list[dict[str, Any]]:
    """On the drawn frame: a row for each layer and width, the worst over shapes.

    Args:
        large: at 4K, with widths of the 4K picture; else at the plate's own size.
    """
    frame = shot.source.frames[len(shot.source.frames) // 2]
    scale = min(LARGEST_SCALE, LARGE_SIDE / max(shot.source.width, shot.source.height)) if large else 1.0
    rows = []
    for layer, (centre, reach) in places_to_draw(renderer, frame).items():
        # A large picture takes long: two widths, the 2 px line the first of them.
        for width_px in WIDTHS_PX[::2] if large else WIDTHS_PX:
            worst_offset, worst_width, count = 0.0, 0.0, 0
            for line in lines_at(centre, min(0.8 * reach, 60.0), (width_px / scale,)):
                if large and line.shape not in ("33 deg", "arc"):
                    continue
                alpha, visible = picture_of(renderer, line, layer, frame, frame, scale)
                places, normals = inner(line.points, line.width)
                seen = measure_across(alpha, visible, places, normals, line.width, 3 / scale, scale)
                if len(seen.offsets):
                    count += len(seen.offsets)
                    worst_offset = max(worst_offset, float(np.abs(seen.offsets).max()) * scale)
                    worst_width = max(worst_width, abs(float(seen.widths.mean()) / line.width - 1))
            if count:
                reached = worst_offset <= CENTRE_MARK_PX and worst_width <= WIDTH_MARK
                rows.append(
                    {
                        "shot": shot.name,
                        "size": max(round(side * scale) for side in (shot.source.width, shot.source.height)),
                        "layer": layer,
                        "width_px": width_px,
                        "places": count,
                        "centre_px": worst_offset,
                        "width_error": worst_width,
                        "reached": reached,
                    }
                )
    return rows


def measure_far(shot: LearnedShot, renderer: Renderer) -> list[dict[str, Any]]:
    """On the synthetic clip's other frames: distance of the centreline to its true place, a row a layer."""
    assert shot.truth is not None
    frames = shot.source.frames
    drawn = len(frames) // 2
    rows = []
    layers: tuple[Layer, ...] = ("foreground", "background")
    others = [t for t in np.linspace(0, len(frames) - 1, OTHER_FRAMES).round().astype(int) if t != drawn]
    for layer in layers:
        centre, reach = places_to_draw(renderer, frames[drawn])[layer]
        offsets = []
        for line in lines_at(centre, 0.8 * reach, (6.0,)):
            drawn_places, _ = along(line.points, STEP_PX)
            for t in others:
                alpha, visible = picture_of(renderer, line, layer, frames[drawn], frames[t], 1.0)
                true = shot.truth.position(layer, drawn, drawn_places, int(t))
                seen = measure_across(alpha, visible, *inner(true, line.width), line.width, 5.0, 1.0)
                offsets.append(np.abs(seen.offsets))
        away = np.concatenate(offsets)
        rows.append(
            {
                "layer": layer,
                "places": len(away),
                "median_px": float(np.median(away)),
                "p95_px": float(np.percentile(away, 95)),
                "worst_px": float(away.max()),
                "reached": float(away.max()) <= FAR_MARK_PX,
            }
        )
    return rows


def drawn_table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    title = "on the drawn frame".ljust(32) + "".join(
        name.rjust(12) for name in ("width px", "places", "centre px", "width %")
    )
    lines = [title]
    for row in rows:
        name = f"  {row['shot']} {row['size']} px, {row['layer']}"
        figures = (
            f"{row['width_px']:12g}{row['places']:12d}{row['centre_px']:12.3f}{row['width_error']:12.1%}"
        )
        mark = "ok" if row["reached"] else "MISSED"
        lines.append(f"{name:32s}{figures}   <= {CENTRE_MARK_PX:g} px and {WIDTH_MARK:.0%}: {mark}")
    return "\n".join(lines)


def far_table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    lines = [
        "on other frames, to the true place".ljust(40)
        + "".join(name.rjust(10) for name in ("places", "median", "p95", "worst"))
    ]
    for row in rows:
        figures = f"{row['places']:10d}{row['median_px']:10.3f}{row['p95_px']:10.3f}{row['worst_px']:10.3f}"
        mark = "ok" if row["reached"] else "MISSED"
        lines.append(f"{'  ' + row['layer']:40s}{figures}   worst <= {FAR_MARK_PX:g} px: {mark}")
    return "\n".join(lines)
