"""A shot's frames, mattes and flow at working size, in memory: what the networks learn from."""

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from inve_core.coordinates import PictureGrid
from inve_core.errors import MediaError
from inve_core.media.colour import LUMA, SRGB_CODE_BELOW
from inve_core.motion.flow import GapFlow, gaps_for
from inve_core.motion.flow_jobs import GivenFlow, begin_flow
from inve_core.motion.given_flow import at_working_size
from inve_core.source import ShotSource, open_source
from inve_core.threads import opencv_threads, thread_pool, usable_cores

__all__ = ["Clip", "ShotSource", "load_clip", "open_source"]

PROBED_PIXELS = 100_000

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
    # These take the other number where one is none.
    light = np.fmin(np.fmax(linear * np.float32(exposure), np.float32(0)), np.float32(1))
    # As `colour.linear_to_srgb`, by OpenCV's power, which is several times as fast.
    power = cv2.pow(light, 1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    code = np.where(light <= SRGB_CODE_BELOW, light * np.float32(12.92), power)
    return (code * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def choose_exposure(pictures: list[np.ndarray]) -> float:
    """A factor that brings very bright or very dark plates to display range; 1 for ordinary ones."""
    # A regular share of a large picture's pixels tells as much.
    steps = [max(1, math.isqrt(p.shape[0] * p.shape[1] // PROBED_PIXELS)) for p in pictures]
    probes = [p[::step, ::step] @ np.array(LUMA, np.float32) for p, step in zip(pictures, steps, strict=True)]
    luminance = np.concatenate([np.nan_to_num(p, posinf=0.0, neginf=0.0).ravel() for p in probes])
    bright = float(np.percentile(luminance, 99))
    if bright > 1.0 or 0.0 < bright < 0.05:
        return 0.9 / bright
    return 1.0


def load_clip(
    source: ShotSource,
    working_size: int,
    longest_gap: int = 8,
    on_progress: OnProgress | None = None,
    device: str = "cpu",
) -> Clip:
    """Decode a shot at working size and make its flow, each pair of frames as soon as both are there.

    Args:
        working_size: long edge in pixels; a smaller plate is taken as it is.
        longest_gap: flow is computed over gaps 1, 2, 4, ... up to this many frames.
        device: `cpu`, or the GPU that is to help; the flow then stays in its memory, where it fits.

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
    gaps = gaps_for(count, longest_gap)
    shape = (count, size[1], size[0])
    rgb = np.empty((*shape, 3), np.uint8)
    mattes = np.empty((count, len(source.matte_patterns), *shape[1:]), np.float32)
    threads = usable_cores()
    with opencv_threads(1), thread_pool(threads) as pool, _reading_pool(source, pool) as reading:
        probes = sorted({source.frames[0], source.frames[count // 2], source.frames[-1]})
        exposure = choose_exposure(list(reading.map(source.read_display_rgb, probes)))

        def read(i: int) -> None:
            linear = source.read_display_rgb(source.frames[i])
            if not np.isfinite(linear).all():
                # Else one such pixel would spoil those that it is averaged with.
                linear = np.nan_to_num(linear)
            rgb[i] = encode_for_learning(_resize(linear, size), exposure)
            for layer, matte in enumerate(source.read_mattes(source.frames[i])):
                mattes[i, layer] = _resize(matte, size)

        readings = [reading.submit(read, i) for i in range(count)]

        def frames(i: int) -> tuple[np.ndarray, np.ndarray]:
            readings[i].result()
            return cv2.cvtColor(rgb[i], cv2.COLOR_RGB2GRAY), mattes[i]

        def given(i: int) -> tuple[np.ndarray | None, np.ndarray | None]:
            ahead, behind = source.read_flow(source.frames[i])
            return (
                None if ahead is None else at_working_size(ahead, size),
                None if behind is None else at_working_size(behind, size),
            )

        on_device = device if device.startswith("cuda") else None
        asked: GivenFlow | None = None if source.flow_pattern is None else given
        flow = begin_flow(pool, threads, frames, shape, mattes.shape[1], gaps, on_device, asked)
        for done, one in enumerate(readings, 1):
            one.result()
            report("reading", done, count)
        pairs = itertools.count(1)
        flows = flow.collect(lambda: report("flow", next(pairs), flow.pairs))
    return Clip(source, grid, rgb, mattes, flows, exposure)


def _resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[1::-1] == size:
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


@contextlib.contextmanager
def _reading_pool(source: ShotSource, pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """What to read pictures with: files are read side by side, a movie in order, by a thread of its own."""
    if not source.has_movie:
        yield pool
        return
    with thread_pool(1) as alone:
        yield alone
