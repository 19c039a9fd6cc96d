"""Points through the clip: joints that people marked (BADJA), and the colour along tracks.

Joints of BADJA are [row, column] on a picture of 1080x1920 pixels; here they are picture coordinates of the
source. PCK@a is the share of joints within a * sqrt(area of the object's matte) of the truth.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from quality_motion import WAYS, carried

from inve_core.clip import Clip
from inve_core.model import LayeredAtlas
from inve_core.points import QueryPoint
from inve_core.source import ShotSource
from inve_core.tracking import track_points

MARKED_SIZE = (1920, 1080)
SHARES = (0.1, 0.2)
OBJECT = "foreground"
GRID_SIDE = 20
# Fewer frames than this have no variance worth the name.
FEWEST_FRAMES = 3


# -- marked joints -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Joints:
    """Marked joints: frames [m], xy [m, joints, 2] picture coordinates, visible [m, joints]."""

    frames: tuple[int, ...]
    xy: np.ndarray
    visible: np.ndarray


@dataclass(frozen=True, eq=False)
class JointPairs:
    """What is asked and what counts: k joints, each from its first visible frame to the later ones.

    Attributes:
        joint: [k] number of the joint.
        query: [k] index into `Joints.frames`.
        goal_of, goal: [p] index into the k joints, and into `Joints.frames`.
    """

    joint: np.ndarray
    query: np.ndarray
    goal_of: np.ndarray
    goal: np.ndarray


def read_joints(path: Path, source: ShotSource) -> Joints:
    """The joints of a badja.json on the frames that a shot has; those outside the picture count as hidden."""
    entries = {int(Path(entry["image_path"]).stem): entry for entry in json.loads(path.read_text())}
    frames = tuple(sorted(frame for frame in entries if frame in source.frames))
    marked = np.array([entries[frame]["joints"] for frame in frames], float)[..., ::-1]
    scale = np.array([source.width / MARKED_SIZE[0], source.height / MARKED_SIZE[1]])
    xy = (marked + 0.5) * scale
    inside = ((xy >= 0) & (xy <= (source.width, source.height))).all(-1)
    return Joints(frames, xy, np.array([entries[frame]["visibility"] for frame in frames], bool) & inside)


def pairs_of(visible: np.ndarray) -> JointPairs:
    """Queries and goals of visible [m, joints]; joints that are seen once only are left out."""
    joints = np.flatnonzero(visible.sum(0) > 1)
    query = visible[:, joints].argmax(0)
    goal_of, goal = [], []
    for k, joint in enumerate(joints):
        later = [m for m in np.flatnonzero(visible[:, joint]) if m > query[k]]
        goal_of += [k] * len(later)
        goal += later
    return JointPairs(joints, query, np.array(goal_of, int), np.array(goal, int))


def pck(errors_px: np.ndarray, areas_px: np.ndarray, share: float) -> float | None:
    """Share of errors [p] within share * sqrt(area [p] of the matte on that frame); None of none."""
    return float((errors_px <= share * np.sqrt(areas_px)).mean()) if len(errors_px) else None


def score(errors_px: np.ndarray, areas_px: np.ndarray, joint: np.ndarray) -> dict[str, Any]:
    """PCK at each share, median distance, and PCK@0.2 of each joint. All arrays [p]."""
    return {
        **{f"pck_{share:g}": pck(errors_px, areas_px, share) for share in SHARES},
        "median_px": float(np.median(errors_px)) if len(errors_px) else None,
        "pairs": len(errors_px),
        "pck_0.2_by_joint": {
            str(number): pck(errors_px[joint == number], areas_px[joint == number], 0.2)
            for number in sorted(set(joint.tolist()))
        },
    }


def matte_areas(source: ShotSource, frames: tuple[int, ...]) -> np.ndarray:
    """Area of the first matte on host frames, source pixels."""
    return np.array([float((source.read_mattes(frame)[0] > 0.5).sum()) for frame in frames])


def joint_tracks(model: LayeredAtlas, joints: Joints, pairs: JointPairs) -> tuple[np.ndarray, np.ndarray]:
    """The product's tracks of the queried joints on all marked frames: xy [k, m, 2] and visible [k, m]."""
    queries = [
        QueryPoint(
            f"joint{joint}",
            joints.frames[m],
            float(joints.xy[m, joint, 0]),
            float(joints.xy[m, joint, 1]),
            OBJECT,
        )
        for joint, m in zip(pairs.joint, pairs.query, strict=True)
    ]
    tracks = track_points(model, queries, joints.frames)
    return tracks.xy.numpy(), tracks.visible.numpy()


def measure_joints(model: LayeredAtlas, source: ShotSource, joints: Joints) -> dict[str, Any]:
    """PCK of the product's tracks, and of each way to invert the map."""
    pairs = pairs_of(joints.visible)
    areas = matte_areas(source, joints.frames)[pairs.goal]
    numbers = pairs.joint[pairs.goal_of]
    truth = joints.xy[pairs.goal, numbers]

    def scored(found: np.ndarray) -> dict[str, Any]:
        return score(np.linalg.norm(found - truth, axis=-1), areas, numbers)

    xy, seen = joint_tracks(model, joints, pairs)
    result = scored(xy[pairs.goal_of, pairs.goal])
    result["called_visible"] = float(seen[pairs.goal_of, pairs.goal].mean()) if len(areas) else None
    times = torch.tensor([source.frames.index(frame) for frame in joints.frames])
    start = torch.from_numpy(joints.xy[pairs.query[pairs.goal_of], numbers]).float()
    start = model.geometry.grid.to_working(start).to(model.device)
    t = times[pairs.query[pairs.goal_of]].to(model.device)
    target_t = times[pairs.goal].to(model.device)
    for way, invert in WAYS.items():
        found = carried(model, torch.zeros_like(t), start, t, target_t, invert)
        result[way] = scored(model.geometry.grid.to_picture(found).cpu().numpy())
    return result


# -- colour along tracks -------------------------------------------------------------------------------------


def sampled(pictures: np.ndarray, xy: np.ndarray) -> np.ndarray:
    """Pictures [n, h, w, c] read bilinearly at working pixels xy [k, n, 2], a column a picture: [k, n, c]."""
    columns = []
    for picture, places in zip(pictures, xy.transpose(1, 0, 2), strict=True):
        x, y = (
            np.ascontiguousarray(axis, np.float32)[:, None] - 0.5 for axis in (places[:, 0], places[:, 1])
        )
        picture = np.ascontiguousarray(picture, np.float32)
        read = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        columns.append(read.reshape(len(places), -1))
    return np.stack(columns, 1)


def chained_flow(clip: Clip, start: np.ndarray, t: int) -> np.ndarray:
    """Working pixels [k, 2] of frame index t carried by flow of gap 1, frame by frame: [k, n, 2]."""
    flow = next(flow for flow in clip.flows if flow.gap == 1)
    path = np.zeros((len(start), len(clip), 2))
    path[:, t] = start
    for i in range(t, len(clip) - 1):
        path[:, i + 1] = path[:, i] + sampled(flow.forward[i : i + 1], path[:, i : i + 1])[:, 0]
    for i in range(t, 0, -1):
        path[:, i - 1] = path[:, i] + sampled(flow.backward[i - 1 : i], path[:, i : i + 1])[:, 0]
    return path


def colour_variance(colours: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Variance over the counted frames, mean over channels, of each point that has enough of them.

    Args:
        colours: [k, n, c].
        counted: [k, n] bool.

    Returns:
        [points with at least FEWEST_FRAMES frames], in squared units of the colours.
    """
    enough = counted.sum(1) >= FEWEST_FRAMES
    weights = counted[enough].astype(float)[..., None]
    count = weights.sum(1)
    mean = (colours[enough] * weights).sum(1) / count
    variance = (((colours[enough] - mean[:, None]) ** 2) * weights).sum(1) / count
    return variance.mean(-1)


def measure_consistency(model: LayeredAtlas, clip: Clip) -> dict[str, Any]:
    """Colour variance along tracks from a grid on the middle frame, and along chained flow; 0..255 scale.

    Both are taken over the same (point, frame) pairs: where the map says visible and both are in the picture.
    """
    middle = len(clip) // 2
    source, grid = clip.source, clip.grid
    unit = (np.arange(GRID_SIDE) + 0.5) / GRID_SIDE
    places = np.stack(np.meshgrid(unit * source.width, unit * source.height), -1).reshape(-1, 2)
    frame = source.frames[middle]
    tracks = track_points(
        model, [QueryPoint(f"p{k}", frame, x, y) for k, (x, y) in enumerate(places.tolist())]
    )
    size = np.array([grid.working_width, grid.working_height])
    by_map = grid.to_working(tracks.xy).numpy()
    by_flow = chained_flow(clip, by_map[:, middle].astype(float), middle)
    counted = tracks.visible.numpy() & ((by_flow >= 0) & (by_flow <= size)).all(-1)
    map_variance = colour_variance(sampled(clip.rgb, by_map), counted)
    flow_variance = colour_variance(sampled(clip.rgb, by_flow), counted)
    if not len(map_variance):
        return {"points": 0, "map": None, "flow": None, "ratio": None, "pair_share": float(counted.mean())}
    by_map_mean, by_flow_mean = float(map_variance.mean()), float(flow_variance.mean())
    return {
        "points": len(map_variance),
        "pair_share": float(counted.mean()),
        "map": by_map_mean,
        "flow": by_flow_mean,
        "ratio": by_map_mean / max(by_flow_mean, 1e-9),
        "map_median": float(np.median(map_variance)),
        "flow_median": float(np.median(flow_variance)),
    }
