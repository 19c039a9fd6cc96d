"""From a texture edit and a frame to the tiles it covers, with its colour there.

All kinds of tracking come down to where a pixel lies in the placed picture, and how that changes from pixel
to pixel. For what follows points both are those of one homography; for what deforms with the atlas, of a
look-up through it. On the frame that it was placed on, every texture lies exactly as placed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import Tensor

from inve_core.edits import Texture
from inve_core.errors import PointError
from inve_core.media.pictures import read_texture
from inve_core.model import LayeredAtlas
from inve_core.rendering import textures
from inve_core.rendering.bounded import BoundedCache
from inve_core.rendering.fields import TILE, FieldCache, FrameSize, TileIndices, tile_pixels
from inve_core.rendering.painting import FAINTEST
from inve_core.rendering.pinning import Motion, track_placement
from inve_core.rendering.placements import Floats, Placement, projected
from inve_core.rendering.surfaces import Surface, surface_on_atlas, surface_on_frame
from inve_core.source import FileStamp
from inve_core.tracking import frame_index, layer_index, layer_under

PYRAMID_BYTES = 1 << 30
PLACE_BYTES = 128 << 20
TILES_A_PATCH = 256
AUTO_POINTS_A_SIDE = 9
# The least depth, for a largest of about one, at which a plane seen in perspective is still in front.
HORIZON = 1e-6


@dataclass(frozen=True, eq=False)
class Patch:
    """What a texture does on some tiles.

    Attributes:
        tiles: [k] indices.
        colour: [k, TILE, TILE, 4] premultiplied RGBA, the texture's opacity included.
        shown: [k, TILE, TILE], how much of that is seen.
        layer: index of its video layer.
        in_front: whether it stands in front of that layer, hidden only by those before it, and is not a part
            of it.
    """

    tiles: TileIndices
    colour: Tensor
    shown: Tensor
    layer: int
    in_front: bool

    @property
    def over(self) -> Tensor:
        """What it lays over the plate, [k, TILE, TILE, 4] premultiplied RGBA, visibility included."""
        seen = (self.shown >= FAINTEST)[..., None]
        return torch.where(seen, self.colour * self.shown[..., None], torch.zeros_like(self.colour))


@dataclass(frozen=True, eq=False)
class Pinned:
    """A texture that follows points: its video layer, and where it goes."""

    layer: int
    motion: Motion

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.motion.nbytes


class TexturePainter:
    """Places textures once, keeps that, and covers frames with them.

    Args:
        model: the learned shot.
        fields: its baked fields.
        texture_path: turns a texture edit's `image` into a file.
        pyramid_bytes: most memory for pictures, on the model's device.
    """

    def __init__(
        self,
        model: LayeredAtlas,
        fields: FieldCache,
        texture_path: Callable[[str], Path],
        pyramid_bytes: int = PYRAMID_BYTES,
    ):
        self.model = model
        self.fields = fields
        self.texture_path = texture_path
        self._surfaces: BoundedCache[Texture, Surface] = BoundedCache(PLACE_BYTES)
        self._pinned: BoundedCache[Texture, Pinned] = BoundedCache(PLACE_BYTES)
        self._pyramids: BoundedCache[FileStamp, textures.TexturePyramid] = BoundedCache(pyramid_bytes)

    def patches(self, edit: Texture, size: FrameSize) -> Iterator[Patch]:
        """What an edit does on a frame, some tiles at a time; nothing where it touches none.

        Args:
            edit: its `video_layer` is "auto" only where its edit layer's is, too.

        Raises:
            MediaError: its picture cannot be read.
            PointError: it names a frame or a video layer that the shot lacks, or none in atlas space.
        """
        if not edit.opacity:
            return
        tiles = self.tiles(edit, size)
        step = min(TILES_A_PATCH, self.fields.capacity)
        for low in range(0, len(tiles), step):
            yield self._patch(edit, size, tiles[low : low + step])

    def tiles(self, edit: Texture, size: FrameSize) -> TileIndices:
        """Tiles of a frame that an edit can touch."""
        to_drawn = self._to_drawn(edit, size.t)
        if to_drawn is None:
            surface = self.surface(edit)
            bounds, (low, high) = self.fields.bounds(size), surface.reach()
            shown_low, shown_high = bounds.low[:, surface.layer], bounds.high[:, surface.layer]
            reached = (shown_high >= low).all(1) & (shown_low <= high).all(1)
            return np.flatnonzero(reached & bounds.seen[:, surface.layer])
        corners = projected(np.linalg.inv(to_drawn), Placement.of(edit).corners) * self._to_pixels(size)
        low, high = corners.min(0) - 2, corners.max(0) + 2
        return size.tiles_within(float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def surface(self, edit: Texture) -> Surface:
        """Where a texture with "surface" tracking lies in the atlas, worked out once and kept."""

        def build() -> Surface:
            placement = Placement.of(edit)
            if edit.space == "atlas":
                return surface_on_atlas(self.model, self._atlas_layer(edit), placement)
            t, layer = self._anchor(edit, placement)
            return surface_on_frame(self.model, layer, t, placement)

        return self._surfaces.get(_place_of(edit), build)

    def surface_colour(self, edit: Texture, surface: Surface, uv: Tensor, area: Tensor) -> Tensor:
        """Premultiplied RGBA [n, 4] of a texture, its opacity included, at some atlas positions.

        Args:
            uv: [n, 2] atlas pixels.
            area: [n], of a pixel, which is a square in the atlas, in atlas pixels.
        """
        half = area.sqrt() / 2
        none = torch.zeros_like(half)
        right, down = torch.stack((half, none), 1), torch.stack((none, half), 1)
        place = [self._share(edit, surface, uv + step) for step in (right, -right, down, -down)]
        jacobian = torch.stack((place[0] - place[1], place[2] - place[3]), -1)
        return self._paint(edit, self._share(edit, surface, uv), jacobian) * edit.opacity

    # -- where it lies -----------------------------------------------------------------------------------

    def _patch(self, edit: Texture, size: FrameSize, tiles: TileIndices) -> Patch:
        visible = self.fields.visibility(size, tiles)
        to_drawn = self._to_drawn(edit, size.t)
        if to_drawn is None:
            surface = self.surface(edit)
            uv = self.fields.positions(size, surface.layer, tiles)
            flat = uv.view(-1, 2)
            place = self._share(edit, surface, flat).view(uv.shape)
            colour = self._paint(edit, place.view(-1, 2), differences(place).view(-1, 2, 2))
            colour = colour * surface.lookup.inside(flat)[:, None]
        else:
            to_pixels = np.diag((*self._to_pixels(size), 1.0))
            to_texture = Placement.of(edit).to_texture() @ to_drawn @ np.linalg.inv(to_pixels)
            pixels = tile_pixels(size, tiles, self.model.device).view(-1, 2)
            colour = self._paint(edit, *share_and_jacobian(to_texture, pixels))
        in_front = edit.tracking != "surface"
        layer = self._pin(edit).layer if in_front else self.surface(edit).layer
        # What stands in front is not cut to the layer's outline.
        shown = 1 - visible[..., :layer].sum(-1) if in_front else visible[..., layer]
        colour = colour.view(len(tiles), TILE, TILE, 4) * edit.opacity
        colour = torch.where(colour[..., 3:] > 0, colour, torch.zeros_like(colour))
        return Patch(tiles, colour, shown, layer, in_front)

    def _paint(self, edit: Texture, place: Tensor, jacobian: Tensor) -> Tensor:
        path = self.texture_path(edit.image)
        try:
            stamp = FileStamp.of(str(path))
        except OSError:
            # Reading it says what is wrong.
            stamp = FileStamp(str(path), 0, 0)

        def build() -> textures.TexturePyramid:
            return textures.TexturePyramid(read_texture(path), self.model.device)

        return textures.paint(self._pyramids.get(stamp, build), place, jacobian)

    def _to_drawn(self, edit: Texture, t: int) -> Floats | None:
        """[3, 3] picture pixels of frame index t to drawn ones; None where no homography says it."""
        if edit.tracking != "surface":
            return self._pin(edit).motion.to_drawn(t)
        return np.eye(3) if self.surface(edit).drawn_t == t else None

    def _share(self, edit: Texture, surface: Surface, uv: Tensor) -> Tensor:
        """Atlas pixels [n, 2] to shares of the texture, [n, 2]."""
        return share_and_jacobian(Placement.of(edit).to_texture(), surface.lookup(uv))[0]

    def _to_pixels(self, size: FrameSize) -> tuple[float, float]:
        """Pixels of the rendered size for a picture pixel, in x and in y."""
        grid = self.model.geometry.grid
        return size.width / grid.width, size.height / grid.height

    def _pin(self, edit: Texture) -> Pinned:
        def build() -> Pinned:
            placement = Placement.of(edit)
            t, layer = self._anchor(edit, placement)
            return Pinned(layer, track_placement(self.model, layer, t, placement, edit.tracking))

        return self._pinned.get(_place_of(edit), build)

    def _anchor(self, edit: Texture, placement: Placement) -> tuple[int, int]:
        """Frame index and video layer of a texture.

        `auto` goes by its anchor or, where that lies outside of the picture, by what of it lies inside.
        """
        t, grid = frame_index(self.model, edit.frame), self.model.geometry.grid
        candidates = placement.anchor[None]
        for points in (candidates, placement.grid(AUTO_POINTS_A_SIDE)):
            inside = ((points >= 0) & (points <= (grid.width, grid.height))).all(1)
            if inside.any():
                candidates = points[inside]
                break
        xy = torch.tensor(candidates, dtype=torch.float32, device=self.model.device)
        return t, layer_under(self.model, grid.to_working(xy), t, edit.video_layer)

    def _atlas_layer(self, edit: Texture) -> int:
        """Index of the video layer on whose atlas a texture was placed."""
        layer = layer_index(self.model, edit.video_layer)
        if layer < 0:
            raise PointError(
                "a texture in atlas space must name its video layer, got 'auto'; say whose atlas it is."
            )
        return layer


def share_and_jacobian(to_texture: Floats, xy: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a homography, and its derivative; single precision, about the middle of the points.

    Args:
        to_texture: [3, 3], from where xy are, with a positive homogeneous coordinate where it holds.
        xy: [n, 2].

    Returns:
        Shares [n, 2], NaN on and behind the horizon, and d(share)/d(xy) [n, 2, 2].
    """
    low, high = (edge.double().cpu().numpy() for edge in xy.nan_to_num().aminmax(dim=0))
    # Far from the origin single precision would cost a good part of a pixel's share of a small texture.
    middle = np.clip((low + high) / 2, -1e6, 1e6)
    shift = np.eye(3)
    shift[:2, 2] = middle
    shifted = to_texture @ shift
    matrix = xy.new_tensor(shifted / np.abs(shifted[2]).max())
    x, y = (xy - xy.new_tensor(middle)).unbind(-1)
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in matrix.unbind(0))
    w = torch.where(w > HORIZON, w, torch.full_like(w, torch.nan))
    share = torch.stack((u, v), -1) / w[:, None]
    jacobian = (matrix[:2, :2] - share[..., None] * matrix[2, :2]) / w[:, None, None]
    return share, jacobian


def differences(place: Tensor) -> Tensor:
    """d(place)/d(pixel) inside tiles, by central differences: [k, h, w, 2] to [k, h, w, 2, 2]."""
    down, across = torch.gradient(place, dim=(1, 2))
    return torch.stack((across, down), -1)


def _place_of(edit: Texture) -> Texture:
    """An edit reduced to what decides where it goes, so that its look can change at no cost."""
    return msgspec.structs.replace(edit, image="-", flip="none", opacity=1.0, id=None)
