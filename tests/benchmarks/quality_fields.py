"""Reconstruction and opacity of all pixels of all frames, at working size."""

import math
from typing import Any

import numpy as np
import torch

from inve_core.clip import Clip
from inve_core.coordinates import pixel_centres
from inve_core.model import LayeredAtlas

CHUNK = 1 << 18


def psnr_db(mean_square: float) -> float:
    """Peak signal-to-noise ratio of a mean squared error of colours in 0..1."""
    return -10 * math.log10(max(mean_square, 1e-12))


def intersection_over_union(found: np.ndarray, truth: np.ndarray) -> float:
    """IoU of two bool masks; 1 where both are empty."""
    either = int((found | truth).sum())
    return int((found & truth).sum()) / either if either else 1.0


@torch.no_grad()
def remembered_frame(model: LayeredAtlas, t: int) -> tuple[np.ndarray, np.ndarray]:
    """What the networks remember of frame index t, at working size.

    Returns:
        colours [h, w, 3] in 0..1, encoded for learning, and the visibility of the first video layer [h, w].
    """
    width, height = model.geometry.grid.working_width, model.geometry.grid.working_height
    colours, visible = [], []
    for xy in pixel_centres(width, height, model.device).view(-1, 2).split(CHUNK):
        times = torch.full((len(xy),), t, device=xy.device)
        colours.append(model.reconstruct(xy, times))
        visible.append(model.visibility(xy, times)[:, 0])
    return (
        torch.cat(colours).view(height, width, 3).cpu().numpy(),
        torch.cat(visible).view(height, width).cpu().numpy(),
    )


def measure_fields(model: LayeredAtlas, clip: Clip) -> dict[str, Any]:
    """PSNR (dB) of all frames together, of the object and of the worst frame; IoU of opacity and matte."""
    squares, object_squares, object_pixels, overlaps = [], 0.0, 0, []
    for t in range(len(clip)):
        colours, visible = remembered_frame(model, t)
        matte = clip.mattes[t, 0] > 0.5
        square = ((colours - clip.rgb[t].astype(np.float32) / 255) ** 2).mean(-1)
        squares.append(float(square.mean()))
        object_squares += float(square[matte].sum())
        object_pixels += int(matte.sum())
        overlaps.append(intersection_over_union(visible > 0.5, matte))
    return {
        "psnr_db": psnr_db(float(np.mean(squares))),
        "psnr_worst_frame_db": psnr_db(max(squares)),
        "psnr_object_db": psnr_db(object_squares / max(1, object_pixels)),
        "matte_iou": float(np.mean(overlaps)),
        "matte_iou_worst_frame": min(overlaps),
    }
