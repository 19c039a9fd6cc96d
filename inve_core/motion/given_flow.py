"""Flow that somebody gives, in the place of what is computed between neighbouring frames.

A given field is of the whole picture: at an outline it holds the motion of one side and then of the other.
Flow is wanted of each video layer by itself, so each takes the vectors of its own pixels and carries them
outward.
"""

import cv2
import numpy as np

from inve_core.motion.separation import MARGIN_PX, inner


def at_working_size(vectors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Vectors in pixels of a smaller picture.

    Args:
        vectors: [height, width, 2] float32, pixels; NaN where nothing is known.
        size: the picture's width and height.

    Returns:
        [h, w, 2] float32, pixels of that picture; NaN where less than half of a pixel's vectors are known.
    """
    height, width = vectors.shape[:2]
    if (width, height) == size:
        return vectors
    scale = np.array([size[0] / width, size[1] / height], np.float32)
    known = np.isfinite(vectors[..., 0])
    if known.all():
        return np.asarray(cv2.resize(vectors, size, interpolation=cv2.INTER_AREA), np.float32) * scale
    weight = known.astype(np.float32)
    mean = cv2.resize(np.where(known[..., None], vectors, np.float32(0)), size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(share >= 0.5, mean / share * scale, np.float32(np.nan)), np.float32)


def of_layer(vectors: np.ndarray, share: np.ndarray, picture_width: int) -> np.ndarray:
    """One video layer's vectors, everywhere.

    Args:
        vectors: [h, w, 2] float32, pixels, of a part of a picture; NaN where nothing is known.
        share: [h, w], how much of each pixel shows the layer.
        picture_width: of the whole picture, pixels.

    Returns:
        [h, w, 2] float32. Beyond the layer, and at its outline, the vector of its nearest pixel; where
        nothing is known of the layer itself, one that leaves the picture, which never counts.
    """
    known = np.isfinite(vectors).all(-1)
    seen = share > 0.5
    if seen.all() and known.all():
        return vectors
    away = np.array([picture_width, 0], np.float32)
    # At an outline, vectors of both sides were averaged.
    own = inner(seen, MARGIN_PX) & known
    if not own.any():
        return np.broadcast_to(away, vectors.shape).copy()
    _, labels = cv2.distanceTransformWithLabels(
        (~own).view(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.empty((int(labels.max()) + 1, 2), np.float32)
    by_label[labels[own]] = vectors[own]
    result: np.ndarray = np.where(own[..., None], vectors, by_label[labels])
    result[seen & ~known] = away
    return result
