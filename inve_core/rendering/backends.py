"""Which code paints on a device: Triton kernels where the hash grids use theirs and they work, else torch."""

import functools
import itertools
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.edits import Adjustment, ColorDecision, EditLayer, Stroke
from inve_core.encodings.backends import grid_backend
from inve_core.rendering import chains, painting, soft_pixels, table
from inve_core.rendering.cells import CellGrid, CellGrids, picture_cells
from inve_core.rendering.edit_rows import BLENDS, edit_rows, flattened
from inve_core.rendering.fields import FULL, TILE, DrawnPixel
from inve_core.rendering.painting import Canvas, TileFields, Work
from inve_core.rendering.soft_pixels import SoftPixels, SoftTiles
from inve_core.rendering.table import PaintTable


class Painter(NamedTuple):
    """The code that paints: `painting.paint`, `lift` and `mix` of `soft_pixels`, or what does the same."""

    paint: Callable[[PaintTable, TileFields, Work, Canvas], None]
    lift: Callable[[SoftTiles, Tensor, int], SoftPixels]
    mix: Callable[[SoftPixels, Tensor, Tensor, Tensor, Canvas], None]


TORCH = Painter(painting.paint, soft_pixels.lift, soft_pixels.mix)

# Shares of values above one. A pixel whose coverage is just at the faintest may fall on either side;
# and what grades it may enlarge that; all else is single precision.
TOLERANCE = 4 * painting.FAINTEST
MEAN_TOLERANCE = 1e-5


def painter_on(device: torch.device) -> Painter:
    """The painting code for a device; the first call for a GPU compiles the kernels and checks them."""
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    return _chosen(device)


@functools.cache
def _chosen(device: torch.device) -> Painter:
    if grid_backend(device).name != "triton":
        return TORCH
    # Whatever goes wrong here, torch still paints.
    try:
        from inve_core.rendering import triton_paint, triton_soft

        fast = Painter(triton_paint.paint, triton_soft.lift, triton_soft.mix)
        wrong = mismatch(device, fast)
    except Exception as error:  # noqa: BLE001
        wrong = f"its kernel does not run ({type(error).__name__}: {error})".splitlines()[0][:200]
    if wrong is None:
        return fast
    warnings.warn(
        f"Painting on {device} runs several times slower than it could, in plain torch: {wrong}.",
        RuntimeWarning,
        stacklevel=3,
    )
    return TORCH


@functools.cache
def warm_up(device: torch.device, layers: int, kind: torch.dtype) -> None:
    """Compile what painting needs on a device, so that no artist waits for it at the first stroke.

    Args:
        layers: number of video layers.
        kind: the plates' type.
    """
    painter = painter_on(device)
    if painter is TORCH:
        return
    for tapers, effects in itertools.product((False, True), repeat=2):
        case = made_up_case(device, layers, tapers=tapers, effects=effects)
        _painted_by(painter, case._replace(plates=case.plates.to(kind)))


def mismatch(device: torch.device, painter: Painter) -> str | None:
    """What a painter gets wrong on a small made-up frame, or None where it gets nothing wrong."""
    case = made_up_case(device)
    both = zip(_painted_by(TORCH, case), _painted_by(painter, case), strict=True)
    for (right, ours), where in zip(both, ("", " at soft edges"), strict=True):
        untouched = (ours.pixels == case.plates).all(-1)
        if not bool((ours.touched | untouched).all()):
            return f"it changes pixels that nothing touches{where}"
        error = (ours.pixels - right.pixels).abs() / right.pixels.abs().clamp_min(1.0)
        worst, mean = float(error.max()), float(error.mean())
        if not (worst <= TOLERANCE and mean <= MEAN_TOLERANCE):
            return f"its picture differs by up to {worst:.1e}, {mean:.1e} on average{where}"
        missed = int((ours.touched != right.touched).sum())
        if missed > 5:
            return f"it touches {missed} other pixels{where}"
    return None


def _painted_by(painter: Painter, case: "MadeUpCase") -> tuple[Canvas, Canvas]:
    """What becomes of a case's plates, and of them with soft pixels painted layer by layer."""
    edits, fields, work, plates, soft = case
    canvases = []
    for _ in range(2):
        touched = torch.zeros(plates.shape[:3], dtype=torch.bool, device=plates.device)
        canvases.append(Canvas(plates.clone(), touched))
        painter.paint(edits, fields, work, canvases[-1])
    pixels = painter.lift(soft, plates, 0)
    now, touched = pixels.own.clone(), torch.zeros_like(pixels.shown, dtype=torch.bool)
    places = np.zeros_like(work.places)
    places[:, 0] = np.arange(len(work))
    painter.paint(edits, fields, replace(work, places=places), Canvas(now, touched, None, pixels.rows))
    painter.mix(pixels, plates, now, touched, canvases[1])
    return canvases[0], canvases[1]


class MadeUpFields(NamedTuple):
    """See `painting.TileFields`."""

    uv: Tensor
    visible: Tensor


class MadeUpCase(NamedTuple):
    """Edits, tiles, two pictures that they lie on [2, h, w, 4] float32, and the same tiles' own light."""

    edits: PaintTable
    fields: MadeUpFields
    work: Work
    plates: Tensor
    soft: SoftTiles


MADE_UP_FRAMES = (5, 7)


def made_up_case(
    device: torch.device,
    layers: int = 2,
    seed: int = 0,
    lines: int = 24,
    *,
    tapers: bool = True,
    effects: bool = True,
) -> MadeUpCase:
    """Lines and outlines on several video layers, and two pictures of a size that is no multiple of anything.

    The pictures are two frames; of three edits one was drawn on the first, and one on neither of them.

    Args:
        tapers: some lines change their width and opacity.
        effects: there are outlines, adjustments and blends, not strokes laid over alone.
    """
    rng = np.random.default_rng(seed)
    height, width = 70, 101
    atlas = tuple(CellGrid(4.0, 4.0, 8.0, 12, 10, 120 * k) for k in range(layers))
    # A little more than the pictures, which are a part of frames of 128 pixels squared.
    pixel = DrawnPixel(0.8, 0.9, math.sqrt(0.8 * 0.9))
    grids = CellGrids(atlas, picture_cells(103, 116), 1.0)
    edits: list[Stroke | Adjustment] = []
    mapped = []
    for number in range(lines):
        third = number * 3 // lines
        drawn = rng.random(2) * (width, height) + np.cumsum(rng.normal(0, 9, (int(rng.integers(3, 9)), 2)), 0)
        edit = _made_up_edit(rng, drawn, number, tapers, effects, grades=effects and third == 1)
        edits.append(edit)
        count = len(drawn) if edit.closed else len(drawn) - 1
        turns = (np.eye(2) + rng.normal(0, 0.15, (count, 2, 2))).astype(np.float32)
        upright = np.tile(np.eye(2, dtype=np.float32), (count, 1, 1))
        ends = np.roll(drawn, -1, 0)[:count]
        taper = np.column_stack(
            (edit.point_widths or np.ones(len(drawn)), edit.point_opacities or np.ones(len(drawn)))
        )
        in_atlas, on_frame = (
            chains.segment_rows(
                (drawn * scale)[:count].astype(np.float32), (ends * scale).astype(np.float32), to_drawn,
                taper[:count], np.roll(taper, -1, 0)[:count],
            )
            for to_drawn, scale in ((turns, 1.0), (upright, np.array((pixel.width, pixel.height))))
        )  # fmt: skip
        own = [(MADE_UP_FRAMES[0], on_frame), (MADE_UP_FRAMES[1] + 1, on_frame), (chains.NO_FRAME, None)]
        mapped.append(chains.MappedLine(int(rng.integers(layers)), in_atlas, *own[number // 2 % 3]))
    parts = [tuple(edits[number] for number in range(lines) if number * 3 // lines == k) for k in range(3)]
    stack = [
        EditLayer(name="a", kind="sketch", edits=parts[0], blend="screen" if effects else "over"),
        EditLayer(name="b", kind="adjustment" if effects else "sketch", edits=parts[1], opacity=0.7),
        EditLayer(name="c", kind="sketch", edits=parts[2]),
    ]
    rows = edit_rows(*flattened(stack))
    made = table.build_table(grids, mapped, rows, 2.0)

    # Four tiles for each of two pictures, whose uv is the position, a little bent.
    corners = np.array([(x, y) for y in (0, TILE) for x in (0, TILE)])
    x, y = np.meshgrid(np.arange(TILE) + 0.5, np.arange(TILE) + 0.5)
    spots = np.stack((x, y), -1)[None] + corners[:, None, None]
    bends = [spots + 3 * np.sin(spots[..., ::-1] / 17 + phase) for phase in range(2 * layers)]
    uv = (
        np.stack(bends, 0)
        .reshape(2, layers, 4, TILE, TILE, 2)
        .swapaxes(1, 2)
        .reshape(8, layers, TILE, TILE, 2)
    )
    visible = np.clip(rng.random((8, TILE, TILE, layers)) * 2 - 0.5, 0, 1) * FULL
    fields = MadeUpFields(
        torch.from_numpy(uv.astype(np.float32)).to(device),
        torch.from_numpy(visible.round().astype(np.int16)).to(device),
    )
    # The pictures are a part of the frame, so that tiles stick out on every side.
    places = np.concatenate([np.column_stack((np.full(4, k), corners - (9, 5))) for k in range(2)])
    frames, on_frames = np.repeat(MADE_UP_FRAMES, 4), np.concatenate((corners, corners))
    work = Work(places, np.arange(8), np.ones((8, layers), bool), frames, on_frames, pixel)
    plates = torch.from_numpy(rng.random((2, height, width, 4), np.float32)).to(device)
    soft = ((fields.visible > 0) & (fields.visible < FULL)).any(-1).flatten(1).sum(1).cpu().numpy()
    light = torch.from_numpy(rng.normal(0, 0.3, (8, layers, TILE, TILE, 3)).astype(np.float16)).to(device)
    columns = np.column_stack((places, np.arange(8), np.arange(8)))
    return MadeUpCase(made, fields, work, plates, SoftTiles(fields.visible, light, columns, soft))


def _made_up_edit(
    rng: np.random.Generator, drawn: npt.NDArray, number: int, tapers: bool, effects: bool, grades: bool
) -> Stroke | Adjustment:
    """A stroke or an adjustment through points [n, 2], whose number decides what is special about it."""
    shape: dict[str, Any] = {
        "frame": 0,
        "points": tuple((float(x), float(y)) for x, y in drawn),
        "width": float(rng.choice([0.4, 5.0, 30.0])),
        "hardness": float(rng.choice([1.0, 0.5, 0.0])),
        "closed": effects and number % 4 == 1,
    }
    if tapers and number % 4 == 2:
        shape["point_widths"] = tuple(rng.uniform(0, 1.5, len(drawn)).tolist())
        shape["point_opacities"] = tuple(rng.random(len(drawn)).tolist())
    if not grades:
        red, green, blue, alpha = (float(one) for one in rng.random(4))
        blend = BLENDS[int(rng.integers(len(BLENDS)))] if effects else "over"
        return Stroke(**shape, color=(red, green, blue, alpha), blend=blend)
    curve: dict[str, Any] = {}
    if number % 2 == 0:
        cdl = ColorDecision(
            slope=(1.1, 0.9, 1.0), offset=(-0.02, 0.0, 0.03), power=(1.0, 1.2, 0.8), saturation=0.9
        )
        curve = {"contrast": 0.9, "gamma": 1.1, "exposure": -0.2, "cdl": cdl}
    return Adjustment(
        **shape, **curve, hue=float(rng.uniform(-60, 60)), saturation=float(rng.uniform(0, 1.5)),
        brightness=0.05, opacity=0.8,
    )  # fmt: skip
