"""The renderer: edit layers bottom to top over the plate, each edit on the tiles that it can touch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inve_core.edits import Adjustment, EditLayer, EditStack
from inve_core.errors import EditError
from inve_core.media.exr import Part
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.model import LayeredAtlas
from inve_core.rendering.adjustments import adjust
from inve_core.rendering.atlas_view import atlas_picture
from inve_core.rendering.fields import TILE, FrameSize, tiles_under
from inve_core.rendering.painting import Painter, Patch
from inve_core.rendering.plate import Canvas, canvas_of, cropped, scaled
from inve_core.source import ShotSource
from inve_core.tracking import frame_index


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
        self.painter = Painter(model, texture_path)

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
            scale: the result's size as a share of the plate's, e.g. 0.5 for a proxy; at most 8.
            region: x, y, width, height in pixels of the result; the rest is left out.
            layers: add a part for each edit layer and each video layer's matte and uv.

        Raises:
            MediaError: the plate or a texture cannot be read.
            EditError: an edit names a frame or video layer that the shot lacks, or the region is empty.
        """
        plate = scaled(self.source.read(frame), scale)
        plate = cropped(plate, region)
        size = FrameSize(frame_index(self.model, frame), plate.spec.width, plate.spec.height)
        canvas = canvas_of(plate.spec)
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
        return atlas_picture(self.painter, names.index(video_layer), stack, long_edge)

    # -- one edit layer ----------------------------------------------------------------------------------

    def _paint_layer(self, layer: EditLayer, size: FrameSize, canvas: Canvas, below: Tensor) -> Tensor | None:
        """Premultiplied RGBA [h, w, 4] of an edit layer over the canvas; None where it touches nothing.

        An adjustment becomes the adjusted colour times its coverage, so that a plain `over` rebuilds it.
        """
        painted: Tensor | None = None
        for edit in layer.edits:
            patch = self.painter.patch(edit, size)
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

    # -- parts ---------------------------------------------------------------------------------------------

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

        visible = whole(self.painter.fields.visibility(size, tiles))
        for layer, name in enumerate(self.model.geometry.video_layers):
            yield self._part(f"matte.{name}", "Y", visible[..., layer : layer + 1], spec, canvas)
            uv = whole(self.painter.fields.uv(size, layer, tiles))
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
