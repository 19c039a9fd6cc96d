"""From one edit and one frame to the pixels it covers: a patch of tiles."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant
from inve_core.edits import Adjustment, Edit, Stroke, Texture
from inve_core.media.pictures import read_texture
from inve_core.model import LayeredAtlas
from inve_core.rendering import strokes, textures
from inve_core.rendering.adjustments import is_identity
from inve_core.rendering.fields import (
    TILE,
    FieldCache,
    FrameSize,
    Tile,
    pixel_area,
    tile_pixels,
    tiles_under,
)
from inve_core.tracking import frame_index, layer_under

T = TypeVar("T")
GEOMETRY_CACHE = 4096
# Coverage below this is none: half a step of an 8-bit matte.
FAINTEST = 1 / 512


@dataclass(frozen=True, eq=False)
class Patch:
    """What an edit does on some tiles: how much of each pixel it covers, and with what.

    Attributes:
        tiles: k tiles.
        cover: [k, TILE, TILE] in 0..1, visibility included.
        colour: [k, TILE, TILE, 4] premultiplied RGBA before `cover`; None for an adjustment.
    """

    tiles: list[Tile]
    cover: Tensor
    colour: Tensor | None


class Painter:
    """Maps edits to the atlas once, keeps that, and covers frames with them.

    Args:
        model: the learned shot.
        texture_path: turns a texture edit's `image` into a file.
    """

    def __init__(self, model: LayeredAtlas, texture_path: Callable[[str], Path]):
        self.model = model
        self.texture_path = texture_path
        self.fields = FieldCache(model)
        self._geometry: OrderedDict[tuple[str, Edit], object] = OrderedDict()
        self._pyramids: dict[str, textures.TexturePyramid] = {}

    def patch(self, edit: Edit, size: FrameSize) -> Patch | None:
        """What an edit does on a frame; None where it touches nothing."""
        if isinstance(edit, Texture):
            return self._texture_patch(edit, size)
        if isinstance(edit, Adjustment) and is_identity(edit):
            return None
        chain = self.chain(edit)
        found = self._chain_coverage(chain, size)
        if found is None:
            return None
        tiles, covered = found
        cover = self._visible(covered, self.fields.visibility(size, tiles)[..., chain.layer])
        if isinstance(edit, Adjustment):
            return Patch(tiles, cover, None)
        red, green, blue, alpha = edit.color
        colour = cover.new_tensor((red * alpha, green * alpha, blue * alpha, alpha))
        return Patch(tiles, cover, colour.expand(*cover.shape, 4))

    @staticmethod
    def _visible(covered: Tensor, visible: Tensor) -> Tensor:
        cover = covered * visible
        return torch.where(cover < FAINTEST, torch.zeros_like(cover), cover)

    # -- strokes and outlines ------------------------------------------------------------------------------

    def chain(self, edit: Stroke | Adjustment) -> strokes.Chain:
        """The edit's chain in the atlas, mapped once and kept."""

        def build() -> strokes.Chain:
            t = frame_index(self.model, edit.frame)
            layer = self._video_layer(edit.points, t, edit.video_layer)
            closed = isinstance(edit, Adjustment) and edit.closed
            return strokes.chain_of(self.model, layer, t, edit.points, edit.width, edit.hardness, closed)

        return self._remember(("chain", edit), build)

    def _chain_coverage(self, chain: strokes.Chain, size: FrameSize) -> tuple[list[Tile], Tensor] | None:
        """Tiles that the chain can touch on a frame, and its coverage there [k, TILE, TILE]."""
        places, stretch = self._on_frame(chain, size)
        margin = chain.reach_px * stretch + 3.0
        step = strokes.SEGMENTS_A_CHUNK
        count = len(chain.to_drawn)
        reached: dict[Tile, list[slice]] = {}
        for low in range(0, count, step):
            ends = places[low : low + step + 1]
            if chain.closed and low + step >= count:
                ends = torch.cat((ends, places[:1]))
            for tile in tiles_under(size, ends.amin((0, 1)) - margin, ends.amax((0, 1)) + margin):
                reached.setdefault(tile, []).append(slice(low, min(low + step, count)))
        if chain.closed:
            for tile in tiles_under(size, places.amin((0, 1)) - margin, places.amax((0, 1)) + margin):
                reached.setdefault(tile, [])
        if not reached:
            return None
        tiles = sorted(reached)
        uv = self.fields.uv(size, chain.layer, tiles)
        area = pixel_area(uv)
        covered = [
            self.tile_coverage(chain, reached[tile], uv[k].view(-1, 2), area[k].view(-1))
            for k, tile in enumerate(tiles)
        ]
        return tiles, torch.stack(covered).view(len(tiles), TILE, TILE)

    @staticmethod
    def tile_coverage(chain: strokes.Chain, chunks: Sequence[slice], uv: Tensor, area: Tensor) -> Tensor:
        """Coverage [n] of atlas positions uv [n, 2], of pixel area [n], by some segments of a chain."""
        distance = torch.full_like(area, 1e6)
        # Where no segment is near (deep inside an outline) any segment's scale will do.
        scale = determinant(chain.to_drawn[:1]).abs().expand_as(area).clone()
        for chunk in chunks:
            near, near_scale = strokes.nearest(chain, chunk, uv)
            closer = near < distance
            distance = torch.where(closer, near, distance)
            scale = torch.where(closer, near_scale, scale)
        inside = strokes.inside_outline(chain, uv) if chain.closed else None
        return strokes.coverage(chain, distance, (area * scale).sqrt(), inside)

    def _on_frame(self, chain: strokes.Chain, size: FrameSize) -> tuple[Tensor, float]:
        """Where a chain's points come out on a frame, and how much larger than drawn at most.

        Each point is placed twice, with and without the learned residual, so that a box around both also
        holds the places where the numerical inversion did not find its way. Returns [k, 2 ways, 2] pixels.
        """
        model, grid = self.model, self.model.geometry.grid
        t = torch.full((len(chain.uv),), size.t, device=model.device)
        refined, _ = model.unmap(chain.layer, chain.uv, t)
        plain = model.destabilise(chain.layer, chain.uv, t)
        to_pixels = refined.new_tensor((size.width / grid.working_width, size.height / grid.working_height))
        places = torch.stack((refined, plain), 1) * to_pixels
        # Compare lengths along the chain on this frame with those where it was drawn.
        if len(chain.uv) > 1:
            steps = torch.diff(places[:, 0], dim=0).norm(dim=-1)
            count = len(steps)
            along = (chain.ends - chain.starts)[:count]
            drawn = (chain.to_drawn[:count] @ along[..., None])[..., 0].norm(dim=-1)
            stretch = float((steps / drawn.clamp_min(1e-3)).quantile(0.9))
        else:
            stretch = 1.0
        floor = size.width / grid.width
        return places, float(np.clip(stretch, floor * 0.25, floor * 8.0)) * 1.25

    # -- textures ------------------------------------------------------------------------------------------

    def _texture_patch(self, edit: Texture, size: FrameSize) -> Patch | None:
        if edit.tracking == "surface":
            return self._surface_patch(edit, size)
        placement = textures.Placement.of(edit)
        t = frame_index(self.model, edit.frame)
        layer = self._video_layer([(edit.x, edit.y)], t, edit.video_layer)
        motion = self._remember(
            ("motion", edit),
            lambda: textures.track_placement(
                self.model, layer, t, placement, turning=edit.tracking == "similarity"
            ),
        )
        grid = self.model.geometry.grid
        to_pixels = torch.tensor(
            (size.width / grid.width, size.height / grid.height), device=self.model.device
        )
        outline = torch.tensor(placement.outline(2), dtype=torch.float32, device=self.model.device)
        corners = motion.from_drawn(size.t, outline) * to_pixels
        tiles = sorted(tiles_under(size, corners.amin(0) - 2, corners.amax(0) + 2))
        if not tiles:
            return None
        pixels = tile_pixels(tiles, self.model.device).view(-1, 2)
        drawn, area = motion.to_drawn(size.t, pixels / to_pixels)
        colour = textures.paint(self._pyramid(edit), placement, drawn, area / to_pixels.prod())
        # It stands in front of its own layer and is not cut to the layer's outline: only what passes in
        # front of the layer hides it.
        visible = 1 - self.fields.visibility(size, tiles)[..., :layer].sum(-1)
        shape = (len(tiles), TILE, TILE)
        covered = (colour[:, 3] > 0).float().view(shape)
        return Patch(tiles, self._visible(covered, visible), colour.view(*shape, 4))

    def _surface_patch(self, edit: Texture, size: FrameSize) -> Patch | None:
        lookup, layer, chain = self.surface(edit)
        places, stretch = self._on_frame(chain, size)
        margin = 3.0 + 4.0 * stretch
        tiles = sorted(tiles_under(size, places.amin((0, 1)) - margin, places.amax((0, 1)) + margin))
        if not tiles:
            return None
        uv = self.fields.uv(size, layer, tiles)
        flat = uv.view(-1, 2)
        colour = self.surface_colour(edit, lookup, chain, flat, pixel_area(uv).view(-1))
        shape = (len(tiles), TILE, TILE)
        covered = (lookup.inside(flat) & (colour[:, 3] > 0)).float().view(shape)
        cover = self._visible(covered, self.fields.visibility(size, tiles)[..., layer])
        return Patch(tiles, cover, colour.view(*shape, 4))

    def surface_colour(
        self, edit: Texture, lookup: textures.DrawnLookup, chain: strokes.Chain, uv: Tensor, area: Tensor
    ) -> Tensor:
        """Premultiplied RGBA [n, 4] of a surface texture at atlas positions uv [n, 2] of pixel area [n]."""
        scale = determinant(chain.to_drawn).abs().median()
        return textures.paint(self._pyramid(edit), textures.Placement.of(edit), lookup(uv), area * scale)

    def surface(self, edit: Texture) -> tuple[textures.DrawnLookup, int, strokes.Chain]:
        """A surface texture's table of drawn positions, its video layer, and its outline in the atlas."""

        def build() -> tuple[textures.DrawnLookup, int, strokes.Chain]:
            placement = textures.Placement.of(edit)
            t = frame_index(self.model, edit.frame)
            layer = self._video_layer([(edit.x, edit.y)], t, edit.video_layer)
            corners = placement.grid_points(np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]))
            outline = [(float(x), float(y)) for x, y in corners]
            chain = strokes.chain_of(self.model, layer, t, outline, 8.0, 1.0, closed=True)
            low, high = chain.uv.amin(0), chain.uv.amax(0)
            slack = (high - low) * 0.05 + 2.0
            return textures.DrawnLookup(self.model, layer, t, low - slack, high + slack), layer, chain

        return self._remember(("surface", edit), build)

    def _pyramid(self, edit: Texture) -> textures.TexturePyramid:
        if edit.image not in self._pyramids:
            rgba = read_texture(self.texture_path(edit.image))
            self._pyramids[edit.image] = textures.TexturePyramid(rgba, self.model.device)
        return self._pyramids[edit.image]

    # -- shared --------------------------------------------------------------------------------------------

    def _video_layer(self, points: Sequence[tuple[float, float]], t: int, name: str) -> int:
        xy = torch.tensor(points, dtype=torch.float32, device=self.model.device)
        return layer_under(self.model, self.model.geometry.grid.to_working(xy), t, name)

    def _remember(self, key: tuple[str, Edit], build: Callable[[], T]) -> T:
        if key not in self._geometry:
            self._geometry[key] = build()
            while len(self._geometry) > GEOMETRY_CACHE:
                self._geometry.popitem(last=False)
        self._geometry.move_to_end(key)
        return self._geometry[key]  # type: ignore[return-value]
