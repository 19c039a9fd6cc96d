"""From a texture edit and a frame to the tiles it covers, with its colour there."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant
from inve_core.edits import Texture
from inve_core.media.pictures import read_texture
from inve_core.model import LayeredAtlas
from inve_core.rendering import strokes, textures
from inve_core.rendering.fields import TILE, FieldCache, FrameSize, TileIndices, pixel_area, tile_pixels
from inve_core.rendering.painting import FAINTEST
from inve_core.tracking import frame_index, layer_under

T = TypeVar("T")
TEXTURES_KNOWN = 4096
TILES_A_PATCH = 256
# Atlas pixels around a surface texture's outline in which some of its edge may be seen.
SURFACE_SLACK_PX = 4.0


@dataclass(frozen=True, eq=False)
class Patch:
    """What a texture does on some tiles.

    Attributes:
        tiles: [k] indices.
        over: [k, TILE, TILE, 4] premultiplied RGBA, visibility included.
    """

    tiles: TileIndices
    over: Tensor


@dataclass(frozen=True, eq=False)
class Surface:
    """A texture that deforms with the atlas: a table of drawn positions, its video layer, its outline."""

    lookup: textures.DrawnLookup
    layer: int
    chain: strokes.Chain

    def reach(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners [2] and [2] of the box of atlas pixels that it can cover."""
        low, high = self.chain.uv.amin(0), self.chain.uv.amax(0)
        return (low - SURFACE_SLACK_PX).cpu().numpy(), (high + SURFACE_SLACK_PX).cpu().numpy()


class TexturePainter:
    """Places textures once, keeps that, and covers frames with them.

    Args:
        model: the learned shot.
        fields: its baked fields.
        texture_path: turns a texture edit's `image` into a file.
    """

    def __init__(self, model: LayeredAtlas, fields: FieldCache, texture_path: Callable[[str], Path]):
        self.model = model
        self.fields = fields
        self.texture_path = texture_path
        self._known: OrderedDict[tuple[str, Texture], object] = OrderedDict()
        self._pyramids: dict[str, textures.TexturePyramid] = {}

    def patches(self, edit: Texture, size: FrameSize) -> Iterator[Patch]:
        """What an edit does on a frame, some tiles at a time; nothing where it touches none.

        Raises:
            MediaError: its picture cannot be read.
            PointError: it names a frame or a video layer that the shot lacks.
        """
        tiles = self.tiles(edit, size)
        step = min(TILES_A_PATCH, self.fields.capacity)
        for low in range(0, len(tiles), step):
            yield self._patch(edit, size, tiles[low : low + step])

    def tiles(self, edit: Texture, size: FrameSize) -> TileIndices:
        """Tiles of a frame that an edit can touch."""
        if edit.tracking == "surface":
            surface = self.surface(edit)
            bounds, (low, high) = self.fields.bounds(size), surface.reach()
            shown_low, shown_high = bounds.low[:, surface.layer], bounds.high[:, surface.layer]
            reached = (shown_high >= low).all(1) & (shown_low <= high).all(1)
            return np.flatnonzero(reached & bounds.seen[:, surface.layer])
        outline = torch.tensor(
            textures.Placement.of(edit).outline(2), dtype=torch.float32, device=self.model.device
        )
        corners = self._motion(edit)[1].from_drawn(size.t, outline) * self._to_pixels(size)
        low, high = corners.amin(0).cpu().numpy() - 2, corners.amax(0).cpu().numpy() + 2
        return size.tiles_within(*low, *high)

    def _to_pixels(self, size: FrameSize) -> Tensor:
        """Pixels of the rendered size for a picture pixel, [2]."""
        grid = self.model.geometry.grid
        return torch.tensor((size.width / grid.width, size.height / grid.height), device=self.model.device)

    def _patch(self, edit: Texture, size: FrameSize, tiles: TileIndices) -> Patch:
        visible = self.fields.visibility(size, tiles)
        if edit.tracking == "surface":
            surface = self.surface(edit)
            uv = self.fields.positions(size, surface.layer, tiles)
            colour = self.surface_colour(edit, surface, uv.view(-1, 2), pixel_area(uv).view(-1))
            colour = colour * surface.lookup.inside(uv.view(-1, 2))[:, None]
            shown = visible[..., surface.layer]
        else:
            layer, motion = self._motion(edit)
            to_pixels = self._to_pixels(size)
            pixels = tile_pixels(size, tiles, self.model.device).view(-1, 2)
            drawn, area = motion.to_drawn(size.t, pixels / to_pixels)
            placement = textures.Placement.of(edit)
            colour = textures.paint(self._pyramid(edit), placement, drawn, area / to_pixels.prod())
            # It stands in front of its own layer and is not cut to the layer's outline: only what passes in
            # front of the layer hides it.
            shown = 1 - visible[..., :layer].sum(-1)
        colour = colour.view(len(tiles), TILE, TILE, 4)
        seen = (shown >= FAINTEST) & (colour[..., 3] > 0)
        laid = torch.where(seen[..., None], colour * shown[..., None], torch.zeros_like(colour))
        return Patch(tiles, laid)

    def surface_colour(self, edit: Texture, surface: Surface, uv: Tensor, area: Tensor) -> Tensor:
        """Premultiplied RGBA [n, 4] of a surface texture at atlas positions uv [n, 2] of pixel area [n]."""
        scale = determinant(surface.chain.to_drawn).abs().median()
        placement = textures.Placement.of(edit)
        return textures.paint(self._pyramid(edit), placement, surface.lookup(uv), area * scale)

    def surface(self, edit: Texture) -> Surface:
        """Where a surface texture lies in the atlas, worked out once and kept."""

        def build() -> Surface:
            placement = textures.Placement.of(edit)
            t, layer = self._anchor(edit)
            corners = placement.grid_points(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]))
            outline = [(float(x), float(y)) for x, y in corners]
            chain = strokes.chain_of(self.model, layer, t, outline, 8.0, 1.0, closed=True)
            low, high = chain.uv.amin(0), chain.uv.amax(0)
            slack = (high - low) * 0.05 + 2.0
            lookup = textures.DrawnLookup(self.model, layer, t, low - slack, high + slack)
            return Surface(lookup, layer, chain)

        return self._remember(("surface", edit), build)

    def _motion(self, edit: Texture) -> tuple[int, textures.Similarities]:
        """The video layer of a texture that follows points, and where it goes."""

        def build() -> tuple[int, textures.Similarities]:
            t, layer = self._anchor(edit)
            turning = edit.tracking == "similarity"
            placement = textures.Placement.of(edit)
            return layer, textures.track_placement(self.model, layer, t, placement, turning)

        return self._remember(("motion", edit), build)

    def _anchor(self, edit: Texture) -> tuple[int, int]:
        """Frame index and video layer of a texture."""
        t = frame_index(self.model, edit.frame)
        xy = torch.tensor([[edit.x, edit.y]], dtype=torch.float32, device=self.model.device)
        return t, layer_under(self.model, self.model.geometry.grid.to_working(xy), t, edit.video_layer)

    def _pyramid(self, edit: Texture) -> textures.TexturePyramid:
        if edit.image not in self._pyramids:
            rgba = read_texture(self.texture_path(edit.image))
            self._pyramids[edit.image] = textures.TexturePyramid(rgba, self.model.device)
        return self._pyramids[edit.image]

    def _remember(self, key: tuple[str, Texture], build: Callable[[], T]) -> T:
        if key not in self._known:
            self._known[key] = build()
            while len(self._known) > TEXTURES_KNOWN:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]  # type: ignore[return-value]
