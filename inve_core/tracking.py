"""Point tracking: forward mapping at the query, inverse mapping at every frame (INVE, Eq. 3).

The inverse network's answer is refined by Newton steps on the forward mapping: separately learned maps do
not quite undo each other, and what an artist pins has to stay where the forward mapping says it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inve_core.errors import PointError
from inve_core.model import LayeredAtlas
from inve_core.points import QueryPoint

VISIBLE = 0.5
# A surface that the mapping stretches more than this much more one way than the other was hardly seen there.
FAIR_STRETCH = 2.0
CHUNK = 65_536


@dataclass(frozen=True, eq=False)
class Tracks:
    """Where points are on every frame.

    Attributes:
        ids: k names, as asked for.
        frames: n host frame numbers.
        xy: [k, n, 2] picture coordinates; also given where the point is hidden or outside.
        visible: [k, n] bool, in the picture and not behind another video layer.
        confidence: [k, n] in 0..1.
    """

    ids: tuple[str, ...]
    frames: tuple[int, ...]
    xy: Tensor
    visible: Tensor
    confidence: Tensor

    def to_builtins(self) -> dict[str, Any]:
        """TRACKS.json as plain data."""
        xy, visible, confidence = self.xy.tolist(), self.visible.tolist(), self.confidence.tolist()
        return {
            "frames": list(self.frames),
            "tracks": [
                {
                    "id": name,
                    "x": [round(x, 4) for x, _ in xy[k]],
                    "y": [round(y, 4) for _, y in xy[k]],
                    "visible": visible[k],
                    "confidence": [round(value, 4) for value in confidence[k]],
                }
                for k, name in enumerate(self.ids)
            ],
        }


def frame_index(model: LayeredAtlas, frame: int) -> int:
    """Index of a host frame number.

    Raises:
        PointError: the shot has no such frame.
    """
    frames = model.geometry.frames
    if frame not in frames:
        raise PointError(
            f"frame {frame} is not in the shot, which has frames {frames[0]}-{frames[-1]}; use one of these."
        )
    return frames.index(frame)


@torch.no_grad()
def layer_under(model: LayeredAtlas, xy: Tensor, t: int, video_layer: str) -> int:
    """The video layer that is meant: by name, or for `auto` the one most visible under the points.

    Args:
        xy: [n, 2] working pixels of frame index t.

    Raises:
        PointError: no layer of that name.
    """
    layer = layer_index(model, video_layer)
    if layer < 0:
        return int(model.visibility(xy, torch.full((len(xy),), t, device=xy.device)).sum(0).argmax())
    return layer


def layer_index(model: LayeredAtlas, video_layer: str) -> int:
    """Index of a video layer's name, -1 for `auto`.

    Raises:
        PointError: no layer of that name.
    """
    names = model.geometry.video_layers
    if video_layer == "auto":
        return -1
    if video_layer not in names:
        raise PointError(
            f"video_layer must be auto or one of {', '.join(names)}, got {video_layer!r}; use one of these."
        )
    return names.index(video_layer)


@torch.no_grad()
def follow(
    model: LayeredAtlas, layer: int, xy: Tensor, t: int, frames: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor]:
    """Follow points of one video layer from frame index t to other frame indices.

    Args:
        xy: [k, 2] working pixels.
        frames: n frame indices.

    Returns:
        xy [k, n, 2] working pixels, visibility of the layer there [k, n] in 0..1 (0 outside the picture),
        confidence [k, n] in 0..1: less where no place maps there, where the mapping distorts, where it is
        open whether the layer is seen, and none outside the picture.
    """
    k, n = len(xy), len(frames)
    uv = model.map(layer, xy, torch.full((k,), t, device=xy.device))
    targets = torch.tensor(frames, device=xy.device)
    # In stabilised coordinates a point hardly moves: where it is asked for is near where it is elsewhere.
    start = model.stabilise(layer, xy, torch.full((k,), t, device=xy.device))
    uv_all, start_all, t_all = uv.repeat_interleave(n, 0), start.repeat_interleave(n, 0), targets.repeat(k)
    parts = []
    for uv_part, start_part, t_part in zip(
        uv_all.split(CHUNK), start_all.split(CHUNK), t_all.split(CHUNK), strict=True
    ):
        found, miss = model.unmap(layer, uv_part, t_part, start_part)
        grid = model.geometry.grid
        size = found.new_tensor((grid.working_width, grid.working_height))
        inside = (found >= 0).all(1) & (found <= size).all(1)
        seen = model.visibility(found, t_part)[:, layer] * inside
        sure = torch.exp2(-miss) * (FAIR_STRETCH / model.stretch(layer, found, t_part)).clamp_max(1.0)
        parts.append((found, seen, sure * (2 * seen - 1).abs() * inside))
    found, seen, confidence = (torch.cat(part) for part in zip(*parts, strict=True))
    # The query itself needs no inversion.
    own = (t_all == t)[:, None]
    found = torch.where(own, xy.repeat_interleave(n, 0), found)
    return found.view(k, n, 2), seen.view(k, n), confidence.view(k, n)


@torch.no_grad()
def track_points(
    model: LayeredAtlas, points: Sequence[QueryPoint], frames: Sequence[int] | None = None
) -> Tracks:
    """Follow query points through the shot.

    Args:
        points: in picture coordinates of their own frame.
        frames: host frame numbers to answer for; all of the shot's by default.

    Raises:
        PointError: a point outside the picture, an unknown frame or video layer.
    """
    grid = model.geometry.grid
    wanted = tuple(model.geometry.frames if frames is None else frames)
    indices = [frame_index(model, frame) for frame in wanted]
    groups: dict[tuple[int, int], list[int]] = {}
    working = torch.tensor([[point.x, point.y] for point in points], device=model.device).view(-1, 2)
    working = grid.to_working(working)
    for number, point in enumerate(points):
        if not (0 <= point.x <= grid.width and 0 <= point.y <= grid.height):
            raise PointError(
                f"point {point.id!r} must lie in the picture of {grid.width}x{grid.height}, got "
                f"({point.x:g}, {point.y:g}); move it inside."
            )
        t = frame_index(model, point.frame)
        layer = layer_under(model, working[number : number + 1], t, point.video_layer)
        groups.setdefault((layer, t), []).append(number)
    shape = (len(points), len(wanted))
    xy = torch.zeros((*shape, 2))
    seen, confidence = torch.zeros(shape), torch.zeros(shape)
    for (layer, t), members in groups.items():
        found, visible, sure = follow(model, layer, working[members], t, indices)
        xy[members] = grid.to_picture(found).cpu()
        seen[members], confidence[members] = visible.cpu(), sure.cpu()
    for (_, t), members in groups.items():
        if t in indices:
            # Exactly what was asked for, without a trip through single precision at working size.
            xy[members, indices.index(t)] = torch.tensor([[points[k].x, points[k].y] for k in members])
    return Tracks(tuple(point.id for point in points), wanted, xy, seen >= VISIBLE, confidence)
