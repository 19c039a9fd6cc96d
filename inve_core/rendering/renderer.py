"""The renderer: edit layers bottom to top over the plate, each edit on the tiles that it can touch."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from inve_core.coordinates import determinant
from inve_core.edits import Adjustment, Edit, EditLayer, EditStack, Stroke, Texture
from inve_core.errors import EditError
from inve_core.media.exr import Part
from inve_core.media.pictures import Picture, PictureSpec, read_texture
from inve_core.model import LayeredAtlas
from inve_core.rendering import strokes, textures
from inve_core.rendering.adjustments import adjust, is_identity
from inve_core.rendering.atlas_view import atlas_picture
from inve_core.rendering.fields import (
    TILE,
    FieldCache,
    FrameSize,
    Tile,
    pixel_area,
    tile_pixels,
    tiles_under,
)
from inve_core.source import ShotSource
from inve_core.tracking import frame_index, layer_under

T = TypeVar("T")
GEOMETRY_CACHE = 4096
# Coverage below this is none: half a step of an 8-bit matte.
FAINTEST = 1 / 512


@dataclass(frozen=True, eq=False)
class Rendered:
    """An edited frame.

    Attributes:
        picture: the plate with the edits; untouched pixels have the plate's very bits.
        parts: with `layers`, each edit layer premultiplied, then each video layer's matte and uv.
        touched: number of pixels that an edit changed.
    """

    picture: Picture
    parts: tuple[Part, ...]
    touched: int


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


@dataclass(frozen=True)
class Canvas:
    """The part of the frame that is drawn on, in pixels of the rendered size."""

    x: int
    y: int
    width: int
    height: int


class Renderer:
    """Renders edit stacks over one shot.

    Args:
        model: the learned shot.
        source: its pictures.
        texture_path: turns a texture edit's `image` into a file.
    """

    def __init__(self, model: LayeredAtlas, source: ShotSource, texture_path: Callable[[str], Path] = Path):
        self.model = model
        self.source = source
        self.texture_path = texture_path
        self.fields = FieldCache(model)
        self._geometry: OrderedDict[tuple[str, Edit], object] = OrderedDict()
        self._pyramids: dict[str, textures.TexturePyramid] = {}

    # -- public ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def render(
        self,
        stack: EditStack,
        frame: int,
        *,
        scale: float = 1.0,
        region: tuple[int, int, int, int] | None = None,
        layers: bool = False,
    ) -> Rendered:
        """Render one frame.

        Args:
            frame: host frame number.
            scale: of the result's size, 1 or less for a proxy.
            region: x, y, width, height in pixels of the result; the rest is left out.
            layers: add a part for each edit layer and each video layer's matte and uv.

        Raises:
            MediaError: the plate or a texture cannot be read.
            EditError: an edit names a frame or video layer that the shot lacks, or the region is empty.
        """
        plate = _scaled(self.source.read(frame), scale)
        plate = _cropped(plate, region)
        size = FrameSize(frame_index(self.model, frame), plate.spec.width, plate.spec.height)
        canvas = _canvas(plate.spec)
        pixels = plate.pixels.copy()
        x0, y0 = canvas.x - plate.spec.data_window[0], canvas.y - plate.spec.data_window[1]
        view = pixels[y0 : y0 + canvas.height, x0 : x0 + canvas.width]
        current = torch.from_numpy(view.astype(np.float32)).to(self.model.device)
        touched = torch.zeros(current.shape[:2], dtype=torch.bool, device=current.device)
        parts = []
        for layer in stack.layers:
            painted = self._paint_layer(layer, size, canvas, current) if _is_seen(layer) else None
            if painted is not None:
                changed = (painted != 0).any(-1)
                over = painted[changed] + current[changed] * (1 - painted[changed][:, 3:])
                if layer.kind == "adjustment":
                    over[:, 3] = current[changed][:, 3]
                current[changed] = over
                touched |= changed
            if layers:
                parts.append(self._part(f"edit.{layer.name}", "RGBA", painted, plate.spec, canvas))
        changed_here = touched.cpu().numpy()
        view[changed_here] = current[touched].cpu().numpy().astype(view.dtype)
        if layers:
            parts += self._video_layer_parts(size, plate.spec, canvas)
        return Rendered(replace(plate, pixels=pixels), tuple(parts), int(changed_here.sum()))

    @torch.no_grad()
    def atlas(self, video_layer: str, stack: EditStack | None = None, long_edge: int = 512) -> Picture:
        """A video layer's atlas as a picture, with the edits on it where a stack is given.

        Raises:
            EditError: no such video layer.
        """
        names = self.model.geometry.video_layers
        if video_layer not in names:
            raise EditError(
                f"video_layer must be one of {', '.join(names)}, got {video_layer!r}; use one of these."
            )
        return atlas_picture(self, names.index(video_layer), stack, long_edge)

    # -- one edit layer ----------------------------------------------------------------------------------

    def _paint_layer(self, layer: EditLayer, size: FrameSize, canvas: Canvas, below: Tensor) -> Tensor | None:
        """Premultiplied RGBA [h, w, 4] of an edit layer over the canvas; None where it touches nothing.

        An adjustment becomes the adjusted colour times its coverage, so that a plain `over` rebuilds it.
        """
        painted: Tensor | None = None
        for edit in layer.edits:
            patch = self._patch(edit, size)
            if patch is None:
                continue
            if painted is None:
                painted = torch.zeros(canvas.height, canvas.width, 4, device=self.model.device)
            for tile, cover, colour in _on_canvas(patch, canvas):
                cover = cover * layer.opacity
                here = painted[tile]
                if colour is None:
                    assert isinstance(edit, Adjustment)
                    beneath = here + below[tile] * (1 - here[..., 3:])
                    solid = torch.ones_like(cover)[..., None]
                    over = torch.cat((adjust(beneath, edit), solid), -1) * cover[..., None]
                    # NaN in the plate must not spread to where the adjustment does not reach.
                    over = torch.where(cover[..., None] > 0, over, torch.zeros_like(over))
                else:
                    over = colour * cover[..., None]
                painted[tile] = over + here * (1 - over[..., 3:])
        return painted

    def _patch(self, edit: Edit, size: FrameSize) -> Patch | None:
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

    def _part(
        self, name: str, channels: str, values: Tensor | None, spec: PictureSpec, canvas: Canvas
    ) -> Part:
        """An EXR part over the data window; zero outside the canvas. values: [h, w, channels]."""
        x, y, width, height = spec.data_window
        pixels = np.zeros((height, width, len(channels)), spec.dtype if channels == "RGBA" else np.float32)
        if values is not None:
            rows = slice(canvas.y - y, canvas.y - y + canvas.height)
            columns = slice(canvas.x - x, canvas.x - x + canvas.width)
            pixels[rows, columns] = values.cpu().numpy()
        return Part(name, tuple(channels), pixels)

    def _video_layer_parts(self, size: FrameSize, spec: PictureSpec, canvas: Canvas) -> Iterator[Part]:
        low = torch.tensor((canvas.x, canvas.y), dtype=torch.float32)
        high = low + torch.tensor((canvas.width - 1, canvas.height - 1), dtype=torch.float32)
        tiles = sorted(tiles_under(size, low, high))
        columns, rows = size.tile_grid()

        def whole(values: Tensor) -> Tensor:
            full = values.new_zeros(rows * TILE, columns * TILE, values.shape[-1])
            for (x, y), value in zip(tiles, values, strict=True):
                full[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = value
            return full[canvas.y : canvas.y + canvas.height, canvas.x : canvas.x + canvas.width]

        visible = whole(self.fields.visibility(size, tiles))
        for layer, name in enumerate(self.model.geometry.video_layers):
            yield self._part(f"matte.{name}", "Y", visible[..., layer : layer + 1], spec, canvas)
            uv = whole(self.fields.uv(size, layer, tiles))
            unit = self.model.geometry.boxes[layer].to_unit(uv)
            yield self._part(f"uv.{name}", "uv", unit, spec, canvas)


def _is_seen(layer: EditLayer) -> bool:
    return layer.enabled and layer.opacity > 0


def _on_canvas(patch: Patch, canvas: Canvas) -> Iterator[tuple[tuple[slice, slice], Tensor, Tensor | None]]:
    """Tile by tile, cut to the canvas: where it goes on the canvas, its cover and its colour."""
    for k, (column, row) in enumerate(patch.tiles):
        x, y = column * TILE, row * TILE
        left, top = max(x, canvas.x), max(y, canvas.y)
        right, bottom = min(x + TILE, canvas.x + canvas.width), min(y + TILE, canvas.y + canvas.height)
        if left >= right or top >= bottom:
            continue
        inner = (slice(top - y, bottom - y), slice(left - x, right - x))
        outer = (slice(top - canvas.y, bottom - canvas.y), slice(left - canvas.x, right - canvas.x))
        yield outer, patch.cover[k][inner], None if patch.colour is None else patch.colour[k][inner]


def _canvas(spec: PictureSpec) -> Canvas:
    """Where data window and display window overlap; overscan is passed through."""
    x, y, width, height = spec.data_window
    left, top = max(0, x), max(0, y)
    right, bottom = min(spec.width, x + width), min(spec.height, y + height)
    return Canvas(left, top, max(0, right - left), max(0, bottom - top))


def _scaled(plate: Picture, scale: float) -> Picture:
    """A smaller copy of the display window, filtered by area; the plate itself at scale 1."""
    if scale == 1.0:
        return plate
    if not 0 < scale < 1:
        raise EditError(f"scale must be above 0 and at most 1, got {scale:g}; render at 1 for full size.")
    width = max(1, round(plate.spec.width * scale))
    height = max(1, round(plate.spec.height * scale))
    small = cv2.resize(plate.display_rgba(), (width, height), interpolation=cv2.INTER_AREA)
    spec = replace(plate.spec, width=width, height=height, data_window=(0, 0, width, height))
    return replace(plate, spec=spec, pixels=small.astype(plate.pixels.dtype))


def _cropped(plate: Picture, region: tuple[int, int, int, int] | None) -> Picture:
    if region is None:
        return plate
    x, y, width, height = plate.spec.data_window
    left, top = max(region[0], x), max(region[1], y)
    right, bottom = min(region[0] + region[2], x + width), min(region[1] + region[3], y + height)
    if left >= right or top >= bottom:
        raise EditError(
            f"region {region} lies outside the picture's data window {plate.spec.data_window}; "
            "move it inside."
        )
    pixels = plate.pixels[top - y : bottom - y, left - x : right - x]
    spec = replace(plate.spec, data_window=(left, top, right - left, bottom - top))
    return replace(plate, spec=spec, pixels=pixels)
