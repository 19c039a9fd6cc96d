"""A shot's frames, mattes and flow at working size, in memory: what the networks learn from."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from inve_core.coordinates import PictureGrid
from inve_core.errors import MediaError
from inve_core.media.colour import LUMA, linear_to_srgb
from inve_core.motion.flow import GapFlow, flow_over_gaps, gaps_for
from inve_core.source import ShotSource, open_source
from inve_core.threads import mapped_in_threads

__all__ = ["Clip", "ShotSource", "load_clip", "open_source"]

# Called with a stage ("reading", "flow"), the steps done, and the steps in all; may raise Cancelled.
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Clip:
    """One shot in memory.

    Attributes:
        source: where the pictures come from.
        grid: picture size and working size.
        rgb: [n, height, width, 3] uint8, sRGB-encoded for learning; see `encode_for_learning`.
        mattes: [n, mattes, height, width] float32, 0..1, front to back.
        flows: flow over gaps 1, 2, 4, ...; empty for a clip of one frame.
        exposure: the factor that the plate was multiplied by before encoding.
    """

    source: ShotSource
    grid: PictureGrid
    rgb: np.ndarray
    mattes: np.ndarray
    flows: tuple[GapFlow, ...]
    exposure: float

    def __len__(self) -> int:
        return len(self.rgb)

    @cached_property
    def frame_indices(self) -> dict[int, int]:
        """Host frame number to index."""
        return {frame: index for index, frame in enumerate(self.source.frames)}


def encode_for_learning(linear: np.ndarray, exposure: float) -> np.ndarray:
    """Scene-linear float to sRGB-encoded uint8. Losses then weigh differences about as eyes do.

    Values that are not finite count as black; values outside 0..1 after exposure are clipped.
    """
    finite = np.nan_to_num(linear, nan=0.0, posinf=1e6, neginf=0.0) * exposure
    encoded = linear_to_srgb(np.clip(finite, 0.0, 1.0)) * 255 + 0.5
    return encoded.astype(np.uint8)


def choose_exposure(pictures: list[np.ndarray]) -> float:
    """A factor that brings very bright or very dark plates to display range; 1 for ordinary ones."""
    luminance = np.concatenate([np.nan_to_num(p @ LUMA, posinf=0.0, neginf=0.0).ravel() for p in pictures])
    bright = float(np.percentile(luminance, 99))
    if bright > 1.0 or 0.0 < bright < 0.05:
        return 0.9 / bright
    return 1.0


def load_clip(
    source: ShotSource, working_size: int, longest_gap: int = 8, on_progress: OnProgress | None = None
) -> Clip:
    """Decode a shot at working size and compute its flow.

    Args:
        working_size: long edge in pixels; a smaller plate is taken as it is.
        longest_gap: flow is computed over gaps 1, 2, 4, ... up to this many frames.

    Raises:
        MediaError: a picture could not be read, or is smaller than 16 pixels.
        Cancelled: raised by `on_progress`.
    """
    report = on_progress or (lambda stage, done, total: None)
    grid = PictureGrid.fit(source.width, source.height, working_size)
    if min(grid.working_width, grid.working_height) < 16:
        raise MediaError(
            f"frames must be at least 16 pixels high and wide at working size, got "
            f"{grid.working_width}x{grid.working_height}; raise --working-size or use larger frames."
        )
    size = (grid.working_width, grid.working_height)
    count = len(source.frames)
    first, middle, last = source.frames[0], source.frames[count // 2], source.frames[-1]
    exposure = choose_exposure([source.read(frame).display_rgb() for frame in {first, middle, last}])

    def read(frame: int) -> tuple[np.ndarray, np.ndarray]:
        rgb = _resize(np.nan_to_num(source.read(frame).display_rgb()), size)
        mattes = [_resize(matte, size) for matte in source.read_mattes(frame)]
        stacked = np.stack(mattes) if mattes else np.zeros((0, size[1], size[0]), np.float32)
        return encode_for_learning(rgb, exposure), stacked

    pictures = []
    with mapped_in_threads(read, source.frames, _reading_threads(source)) as read_pictures:
        for done, picture in enumerate(read_pictures, 1):
            pictures.append(picture)
            report("reading", done, count)
    rgb = np.stack([picture for picture, _ in pictures])
    mattes = np.stack([matte for _, matte in pictures])

    gaps = gaps_for(count, longest_gap)
    pairs = sum(count - gap for gap in gaps)
    done = 0

    def on_pair() -> None:
        nonlocal done
        done += 1
        report("flow", done, pairs)

    grey = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in rgb])
    flows = flow_over_gaps(grey, mattes, gaps, on_pair)
    return Clip(source, grid, rgb, mattes, flows, exposure)


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _reading_threads(source: ShotSource) -> int:
    # A movie is decoded in order by one reader; picture files are read side by side.
    return 1 if source.has_movie else min(8, os.cpu_count() or 1)
