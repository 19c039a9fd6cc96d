"""Atlas position and visibility of a frame's pixels, worked out tile by tile when first asked for.

An edit touches few tiles; those stay in a cache, so that the next version of the edit finds them ready.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inve_core.model import LayeredAtlas

TILE = 64
CHUNK = 65_536
# Opacity this close to none or all is taken as none or all: the network never quite reaches either.
SNAP = 0.02


@dataclass(frozen=True)
class FrameSize:
    """Frame index and the size, in pixels, at which it is rendered."""

    t: int
    width: int
    height: int

    def tile_grid(self) -> tuple[int, int]:
        """Number of tiles in x and in y."""
        return -(-self.width // TILE), -(-self.height // TILE)


Tile = tuple[int, int]  # column and row


def tiles_under(size: FrameSize, low: Tensor, high: Tensor) -> set[Tile]:
    """Tiles of a frame that a box of pixels [2], [2] overlaps."""
    columns, rows = size.tile_grid()
    x0, y0 = (int(v // TILE) for v in low.clamp(0, 1e6).tolist())
    x1, y1 = (int(v // TILE) for v in high.clamp(-1, 1e6).tolist())
    return {(x, y) for y in range(y0, min(y1, rows - 1) + 1) for x in range(x0, min(x1, columns - 1) + 1)}


def tile_pixels(tiles: Sequence[Tile], device: torch.device) -> Tensor:
    """Pixel centres of tiles, [tiles, TILE, TILE, 2]; tiles at the border reach past it."""
    offsets = torch.arange(TILE, device=device, dtype=torch.float32) + 0.5
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    corners = torch.tensor(tiles, device=device, dtype=torch.float32).view(-1, 1, 1, 2) * TILE
    return torch.stack((x, y), -1) + corners


def snap(visible: Tensor) -> Tensor:
    """Stretch visibility so that nearly none is none and nearly all is all."""
    return ((visible - SNAP) / (1 - 2 * SNAP)).clamp(0.0, 1.0)


class FieldCache:
    """Tiles of atlas positions and visibility, the least recently used ones dropped over a memory budget."""

    def __init__(self, model: LayeredAtlas, budget_bytes: int = 1 << 30):
        self.model = model
        self.capacity = max(64, budget_bytes // (TILE * TILE * 2 * 4))
        self._tiles: OrderedDict[tuple[FrameSize, int, Tile], Tensor] = OrderedDict()

    def uv(self, size: FrameSize, layer: int, tiles: Sequence[Tile]) -> Tensor:
        """Atlas positions of a video layer: [tiles, TILE, TILE, 2] pixels of the reference frame."""
        return self._get(size, layer, tiles)

    def visibility(self, size: FrameSize, tiles: Sequence[Tile]) -> Tensor:
        """Visibility of all video layers: [tiles, TILE, TILE, layers], snapped."""
        return self._get(size, -1, tiles)

    def _get(self, size: FrameSize, layer: int, tiles: Sequence[Tile]) -> Tensor:
        missing = [tile for tile in tiles if (size, layer, tile) not in self._tiles]
        if missing:
            for tile, value in zip(missing, self._evaluate(size, layer, missing), strict=True):
                self._tiles[size, layer, tile] = value
        found = []
        for tile in tiles:
            self._tiles.move_to_end((size, layer, tile))
            found.append(self._tiles[size, layer, tile])
        while len(self._tiles) > self.capacity:
            self._tiles.popitem(last=False)
        return torch.stack(found)

    @torch.no_grad()
    def _evaluate(self, size: FrameSize, layer: int, tiles: Sequence[Tile]) -> Tensor:
        model, grid = self.model, self.model.geometry.grid
        pixels = tile_pixels(tiles, model.device).view(-1, 2)
        factors = (grid.working_width / size.width, grid.working_height / size.height)
        results = []
        for xy in (pixels * pixels.new_tensor(factors)).split(CHUNK):
            t = torch.full((len(xy),), size.t, device=xy.device)
            results.append(snap(model.visibility(xy, t)) if layer < 0 else model.map(layer, xy, t))
        return torch.cat(results).view(len(tiles), TILE, TILE, -1)


def pixel_area(uv: Tensor) -> Tensor:
    """Atlas area of each pixel, |det d(uv)/d(pixel)|: [..., h, w, 2] to [..., h, w]."""
    along_x = torch.diff(uv, dim=-2)
    along_x = torch.cat((along_x, along_x[..., -1:, :]), -2)
    along_y = torch.diff(uv, dim=-3)
    along_y = torch.cat((along_y, along_y[..., -1:, :, :]), -3)
    return (along_x[..., 0] * along_y[..., 1] - along_x[..., 1] * along_y[..., 0]).abs().clamp_min(1e-8)
