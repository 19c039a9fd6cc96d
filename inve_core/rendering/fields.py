"""Atlas position and visibility of frames' pixels: worked out once, tile by tile, and kept on the device.

A tile holds the uv of each video layer and every layer's visibility, and where there are soft edges also each
layer's own light (`edges`). What nobody asked for yet is not worked out; `bake` works out everything. Of each
tile it is also known which part of the atlas it can show: from a coarse lattice at first, exactly once its
pixels have been worked out.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.coordinates import PictureGrid
from inve_core.model import LayeredAtlas
from inve_core.rendering.edges import EdgePool, edge_light

TILE = 64
TILE_PIXELS = TILE * TILE
POINTS_A_CALL = {"cpu": 1 << 16, "cuda": 1 << 21}
BUDGET_BYTES = 1 << 30
# One tile in so many can have a soft edge before tiles of other frames must give way for it.
TILES_AN_EDGE = 4
# Frames and sizes of which it is remembered what their tiles can show: a few kilobytes each.
FRAMES_KNOWN = 512
# Opacity this close to none or all is taken as none or all: the network never quite reaches either.
SNAP = 0.02
# Visibility is kept as integers from 0 to this; none and all are exact.
FULL = 32767
LATTICE_PX = 8.0
# What lies between the lattice's points may stick out of their box by as much as the lattice bends there,
# and by this share of a step and this many atlas pixels, for what bends between them.
SLACK_STEPS = 0.1
SLACK_PX = 0.25
SLACK_FOOTPRINT = 1.25
# A pixel that spans more of the atlas than this lies at a horizon, where nothing is to be seen.
LARGEST_FOOTPRINT_PX = 64.0

TileIndices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FrameSize:
    """Frame index and the size, in pixels, at which it is rendered."""

    t: int
    width: int
    height: int

    @property
    def columns(self) -> int:
        """Number of tiles side by side."""
        return -(-self.width // TILE)

    @property
    def rows(self) -> int:
        """Number of tiles on top of each other."""
        return -(-self.height // TILE)

    def tiles_within(self, left: float, top: float, right: float, bottom: float) -> TileIndices:
        """Indices (row by row) of the tiles that a box of pixels overlaps, edges included."""
        x0, x1 = (int(np.clip(np.floor(x / TILE), -1, self.columns)) for x in (left, right))
        y0, y1 = (int(np.clip(np.floor(y / TILE), -1, self.rows)) for y in (top, bottom))
        columns = np.arange(max(x0, 0), min(x1 + 1, self.columns))
        rows = np.arange(max(y0, 0), min(y1 + 1, self.rows))
        return (rows[:, None] * self.columns + columns).ravel()

    def corners(self, tiles: TileIndices) -> TileIndices:
        """Upper left pixels of tiles, [n, 2] x and y."""
        return np.stack((tiles % self.columns, tiles // self.columns), 1) * TILE


class DrawnPixel(NamedTuple):
    """A pixel of a rendered frame, in pixels of the picture that is drawn on.

    Attributes:
        width, height: of the pixel.
        span: the side of a square of its area.
    """

    width: float
    height: float
    span: float

    @classmethod
    def of(cls, grid: PictureGrid, size: FrameSize) -> "DrawnPixel":
        """Of a frame that is rendered at a size."""
        width, height = grid.width / size.width, grid.height / size.height
        return cls(width, height, min(math.sqrt(width * height), LARGEST_FOOTPRINT_PX * max(grid.factors)))


@dataclass(eq=False)
class TileBounds:
    """What each tile of a frame can show of each video layer's atlas.

    Attributes:
        low, high: [tiles, layers, 2] corners of a box of atlas pixels.
        footprint: [tiles, layers] how many atlas pixels a pixel spans at most.
        seen: [tiles, layers] false where the layer is known to be hidden.
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    footprint: npt.NDArray[np.float32]
    seen: npt.NDArray[np.bool_]

    @classmethod
    def unknown(cls, tiles: int, layers: int) -> "TileBounds":
        """Of tiles that may show anything, until they are worked out."""
        corner = np.full((tiles, layers, 2), 1e30, np.float32)
        footprint = np.full((tiles, layers), LARGEST_FOOTPRINT_PX, np.float32)
        return cls(-corner, corner, footprint, np.ones((tiles, layers), bool))


@dataclass(eq=False)
class _Frame:
    bounds: TileBounds
    slots: npt.NDArray[np.int64]  # [tiles], -1 where a tile has none
    ready: npt.NDArray[np.bool_]  # [tiles, layers + 1], visibility last


class FieldCache:
    """Tiles of atlas positions and visibility; the frames least recently asked for give way.

    Args:
        model: the learned shot.
        budget_bytes: most memory that tiles take on the model's device.

    Attributes:
        uv: [slots, layers, TILE, TILE, 2] float32 atlas pixels.
        visible: [slots, TILE, TILE, layers] int16, 0 to FULL, snapped.
        edges: the layers' own light at pixels with 0 < visible < FULL: of pixel (x, y) of the tile in a slot
            it is edges.light[e, :, y, x] with e = edges.homes[slot], and none where e is -1.
        generation: goes up whenever tiles are worked out, give way or are forgotten.
    """

    def __init__(self, model: LayeredAtlas, budget_bytes: int = BUDGET_BYTES):
        self.model = model
        layers = model.layer_count
        edge_bytes = TILE_PIXELS * layers * 3 * 2
        self.tile_bytes = TILE_PIXELS * layers * (2 * 4 + 2) + edge_bytes // TILES_AN_EDGE
        self.capacity = max(64, budget_bytes // self.tile_bytes)
        self.uv = torch.empty(0, layers, TILE, TILE, 2, device=model.device)
        self.visible = torch.empty(0, TILE, TILE, layers, dtype=torch.int16, device=model.device)
        self.edges = EdgePool(model, self.capacity // TILES_AN_EDGE, TILE)
        self.generation = 0
        self._free: list[int] = []
        self._frames: OrderedDict[FrameSize, _Frame] = OrderedDict()

    # -- what is kept ------------------------------------------------------------------------------------

    def bounds(self, size: FrameSize) -> TileBounds:
        """What a frame's tiles can show."""
        return self._frame(size).bounds

    def slots(
        self, size: FrameSize, tiles: TileIndices, layers: Iterable[int], visible: bool = True
    ) -> npt.NDArray[np.int64]:
        """Where some tiles' values lie in `uv` and `visible`; works out those that are missing.

        The slots hold until the next call that asks for other tiles. At most `capacity` tiles at once.
        """
        if len(tiles) > self.capacity:
            raise ValueError(f"at most {self.capacity} tiles at once, got {len(tiles)}; ask for fewer.")
        frame = self._home(size, tiles)
        for plane in (*layers, *([self.model.layer_count] if visible else [])):
            missing = tiles[~frame.ready[tiles, plane]]
            for low in range(0, len(missing), self._tiles_a_call):
                self._evaluate([(size, frame)], plane, missing[low : low + self._tiles_a_call])
        return frame.slots[tiles]

    def _home(self, size: FrameSize, tiles: TileIndices) -> _Frame:
        """A frame, some of whose tiles have slots now."""
        frame = self._frame(size)
        homeless = tiles[frame.slots[tiles] < 0]
        if len(homeless):
            frame.slots[homeless] = self._take(len(homeless), frame, tiles)
            frame.ready[homeless] = False
        return frame

    def bake(self, sizes: Sequence[FrameSize], on_frame: Callable[[int], None] = lambda done: None) -> int:
        """Work out whole frames, in the order given, as many as fit side by side. Returns how many did.

        Args:
            on_frame: called after each, with how many there are by then; may raise to end it.
        """
        totals = np.cumsum([size.columns * size.rows for size in sizes])
        fitting = min(FRAMES_KNOWN, int((totals <= self.capacity).sum()))
        # Room for all of them at once: to grow step by step takes up to twice as much for a moment.
        if fitting and totals[fitting - 1] > len(self.uv):
            self._grow(int(totals[fitting - 1]))
        done = 0
        while done < fitting:
            first = sizes[done]
            count = first.columns * first.rows
            tiles = np.arange(count)
            # Frames of one size, as many as one call takes: each call costs a GPU more than a frame's values.
            most = max(1, self._tiles_a_call // count)
            several = []
            for size in sizes[done : min(fitting, done + most)]:
                if (size.width, size.height) != (first.width, first.height):
                    break
                if size not in self._frames:
                    # What its tiles can show is known exactly in a moment, without a lattice.
                    self._know(size, TileBounds.unknown(count, self.model.layer_count))
                several.append((size, self._home(size, tiles)))
            unknown = sum(int((~frame.ready[:, -1]).sum()) for _, frame in several)
            if done and unknown > self.edges.room:
                # Their edges could take the place of the frames before them, which are wanted more.
                break
            if all(not frame.ready.any() for _, frame in several) and count <= self._tiles_a_call:
                for plane in range(self.model.layer_count + 1):
                    self._evaluate(several, plane, tiles)
            else:
                for size, _ in several:
                    self.slots(size, tiles, range(self.model.layer_count))
            for _ in several:
                done += 1
                on_frame(done)
        return done

    def positions(self, size: FrameSize, layer: int, tiles: TileIndices) -> Tensor:
        """Atlas positions of a video layer: [n, TILE, TILE, 2] pixels of the reference frame."""
        slots = torch.from_numpy(self.slots(size, tiles, (layer,), visible=False))
        return self.uv[slots.to(self.model.device), layer]

    def visibility(self, size: FrameSize, tiles: TileIndices) -> Tensor:
        """Visibility of all video layers: [n, TILE, TILE, layers], snapped."""
        slots = torch.from_numpy(self.slots(size, tiles, ()))
        return self.visible[slots.to(self.model.device)].float() / FULL

    def has_room(self, size: FrameSize) -> bool:
        """Whether a frame's tiles fit in without any other's giving way."""
        if size not in self._frames and len(self._frames) >= FRAMES_KNOWN:
            return False
        frame, room = self._frame(size), len(self._free) + self.capacity - len(self.uv)
        homeless = frame.slots < 0
        unknown = homeless | ~frame.ready[:, -1]
        return int(homeless.sum()) <= room and int(unknown.sum()) <= self.edges.room

    def clear(self) -> None:
        """Forget everything; the memory stays taken."""
        for frame in self._frames.values():
            self._drop(frame)
        self._frames.clear()
        self.generation += 1

    # -- room --------------------------------------------------------------------------------------------

    @property
    def _tiles_a_call(self) -> int:
        return POINTS_A_CALL.get(self.model.device.type, 1 << 16) // TILE_PIXELS

    def _frame(self, size: FrameSize) -> _Frame:
        if size not in self._frames:
            self._know(size, lattice_bounds(self.model, size))
        self._frames.move_to_end(size)
        return self._frames[size]

    def _know(self, size: FrameSize, bounds: TileBounds) -> None:
        count = size.columns * size.rows
        ready = np.zeros((count, self.model.layer_count + 1), bool)
        self._frames[size] = _Frame(bounds, np.full(count, -1), ready)
        while len(self._frames) > FRAMES_KNOWN:
            self._drop(self._frames.popitem(last=False)[1])

    def _take(self, count: int, frame: _Frame, wanted: TileIndices) -> list[int]:
        """Slots for `count` tiles of a frame whose `wanted` tiles must stay."""
        have = len(self.uv)
        if len(self._free) < count and have < self.capacity:
            self._grow(min(self.capacity, max(2 * have, have + count, 64)))
        for other in list(self._frames.values()):
            if len(self._free) >= count:
                break
            if other is not frame:
                self._drop(other)
        if len(self._free) < count:
            unwanted = np.ones(len(frame.slots), bool)
            unwanted[wanted] = False
            self._drop(frame, unwanted)
        taken = self._free[len(self._free) - count :]
        del self._free[len(self._free) - count :]
        return taken

    def _grow(self, slots: int) -> None:
        have = len(self.uv)
        # Both are there before either is used: there may not be room for the second.
        uv, visible = (old.new_empty(slots, *old.shape[1:]) for old in (self.uv, self.visible))
        uv[:have], visible[:have] = self.uv, self.visible
        self.uv, self.visible = uv, visible
        self.edges.serve(slots)
        self._free[:0] = range(slots - 1, have - 1, -1)

    def _drop(self, frame: _Frame, which: npt.NDArray[np.bool_] | None = None) -> None:
        dropped = frame.slots >= 0 if which is None else which & (frame.slots >= 0)
        self._free += frame.slots[dropped].tolist()
        self.edges.release(frame.slots[dropped])
        frame.slots[dropped] = -1
        self.generation += bool(dropped.any())

    # -- values ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _evaluate(self, frames: list[tuple[FrameSize, _Frame]], plane: int, tiles: TileIndices) -> None:
        """Work out the same tiles of frames of one size: a layer's positions, or last of all visibility."""
        self.generation += 1
        model, grid, (size, _) = self.model, self.model.geometry.grid, frames[0]
        pixels = tile_pixels(size, tiles, model.device).view(-1, 2)
        factors = (grid.working_width / size.width, grid.working_height / size.height)
        xy = (pixels * pixels.new_tensor(factors)).repeat(len(frames), 1)
        times = torch.tensor([one.t for one, _ in frames], device=xy.device)
        t = times.repeat_interleave(len(pixels), output_size=len(xy))
        homes = np.concatenate([frame.slots[tiles] for _, frame in frames])
        slots = torch.from_numpy(homes).to(model.device)
        if plane == model.layer_count:
            visible = snap(model.visibility(xy, t)).view(len(homes), TILE, TILE, -1)
            kept = (visible * FULL).round().to(torch.int16)
            self.visible[slots] = kept
            self._keep_edges([frame for _, frame in frames], homes, kept, xy, t)
            found = (kept.amax((1, 2)) > 0).cpu().numpy()
        else:
            uv = model.map(plane, xy, t).view(len(homes), TILE, TILE, 2)
            self.uv[slots, plane] = uv
            # Where a network gives no number the tile may show anything.
            low, high = uv.amin((1, 2)).nan_to_num(nan=-1e30), uv.amax((1, 2)).nan_to_num(nan=1e30)
            footprint = pixel_area(uv).amax((1, 2)).sqrt()
            found = torch.cat((low, high, footprint[:, None]), 1).cpu().numpy()
        for (_, frame), values in zip(frames, np.split(found, len(frames)), strict=True):
            bounds = frame.bounds
            if plane == model.layer_count:
                bounds.seen[tiles] = values
            else:
                bounds.low[tiles, plane], bounds.high[tiles, plane] = values[:, :2], values[:, 2:4]
                bounds.footprint[tiles, plane] = values[:, 4]
            frame.ready[tiles, plane] = True

    def _keep_edges(
        self, frames: list[_Frame], slots: npt.NDArray[np.int64], visible: Tensor, xy: Tensor, t: Tensor
    ) -> None:
        """Work out the edge light of tiles whose visibility is known; other frames' tiles give way for it.

        Args:
            frames: the tiles' frames, which stay.
            slots: [n] of the tiles.
            visible: [n, TILE, TILE, layers], as it is kept.
            xy, t: their pixels, [n * TILE_PIXELS, 2] and [n * TILE_PIXELS].
        """
        soft = ((visible > 0) & (visible < FULL)).any(-1)
        count = int(soft.flatten(1).any(1).sum())
        for other in list(self._frames.values()):
            if self.edges.room >= count:
                break
            if not any(other is frame for frame in frames):
                self._drop(other)
        where = soft.view(-1).nonzero()[:, 0]
        shown = visible.view(len(xy), -1)[where].float() / FULL
        self.edges.put(slots, soft, edge_light(self.model, xy[where], t[where], shown))


def tile_pixels(size: FrameSize, tiles: TileIndices, device: torch.device) -> Tensor:
    """Pixel centres of tiles, [n, TILE, TILE, 2]; tiles at the border reach past it."""
    offsets = torch.arange(TILE, device=device, dtype=torch.float32) + 0.5
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    corners = torch.from_numpy(size.corners(tiles).astype(np.float32)).to(device)
    return torch.stack((x, y), -1) + corners.view(-1, 1, 1, 2)


def snap(visible: Tensor) -> Tensor:
    """Stretch visibility so that nearly none is none and nearly all is all."""
    return ((visible - SNAP) / (1 - 2 * SNAP)).clamp(0.0, 1.0)


def pixel_area(uv: Tensor) -> Tensor:
    """Atlas area of each pixel, |det d(uv)/d(pixel)|: [..., h, w, 2] to [..., h, w]."""
    along_x = torch.diff(uv, dim=-2)
    along_x = torch.cat((along_x, along_x[..., -1:, :]), -2)
    along_y = torch.diff(uv, dim=-3)
    along_y = torch.cat((along_y, along_y[..., -1:, :, :]), -3)
    area = (along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]).abs()
    return area.nan_to_num(nan=0.0).clamp(1e-8, LARGEST_FOOTPRINT_PX**2)


@torch.no_grad()
def lattice_bounds(model: LayeredAtlas, size: FrameSize) -> TileBounds:
    """What tiles can show, by the mapping at a few points of each: a little more than they do show."""
    grid, tiles = model.geometry.grid, size.columns * size.rows
    factors = (grid.working_width / size.width, grid.working_height / size.height)
    steps = [max(1, int(np.ceil(TILE * factor / LATTICE_PX))) for factor in factors]
    if max(steps) > TILE:
        # So small a picture has few tiles, and working them out takes fewer points than such a lattice.
        return TileBounds.unknown(tiles, model.layer_count)
    x, y = (np.arange(step + 1) * (TILE / step) for step in steps)
    offsets = np.stack(np.meshgrid(x, y), -1).reshape(1, -1, 2)
    places = (size.corners(np.arange(tiles))[:, None] + offsets) * factors
    xy = torch.from_numpy(places.astype(np.float32)).to(model.device).view(-1, 2)
    t = torch.full((len(xy),), size.t, device=xy.device)
    call = POINTS_A_CALL.get(model.device.type, 1 << 16)
    layers = range(model.layer_count)
    shape = (tiles, steps[1] + 1, steps[0] + 1, 2)
    uv = torch.stack(
        [
            torch.cat([model.map(k, *part) for part in zip(xy.split(call), t.split(call), strict=True)])
            for k in layers
        ],
        1,
    )
    values = np.moveaxis(uv.cpu().numpy().reshape(*shape[:3], len(layers), 2), 3, 1)
    low, high = values.min((2, 3)), values.max((2, 3))
    along_x, along_y = np.diff(values, axis=3), np.diff(values, axis=2)
    slack = SLACK_PX + SLACK_STEPS * np.maximum(_largest(along_x), _largest(along_y))
    slack += _largest(np.diff(along_x, axis=3)) + _largest(np.diff(along_y, axis=2))
    dx, dy = along_x[:, :, :-1], along_y[:, :, :, :-1]
    pixels_a_cell = (TILE / steps[0]) * (TILE / steps[1])
    area = np.abs(dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]).max((2, 3)) / pixels_a_cell
    footprint = np.minimum(np.sqrt(np.nan_to_num(area)) * SLACK_FOOTPRINT, LARGEST_FOOTPRINT_PX)
    return TileBounds(
        np.nan_to_num(low - slack, nan=-1e30).astype(np.float32),
        np.nan_to_num(high + slack, nan=1e30).astype(np.float32),
        footprint.astype(np.float32),
        np.ones((tiles, len(layers)), bool),
    )


def _largest(differences: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Largest absolute value in each tile and layer, for u and v: [tiles, layers, h, w, 2] to [..., 2]."""
    return np.abs(differences).max((2, 3), initial=0.0)
