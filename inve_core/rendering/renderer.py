"""The renderer: edit layers bottom to top over the plate, on the tiles that they can touch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from inve_core.edits import EditStack
from inve_core.errors import EditError
from inve_core.media.exr import Part
from inve_core.media.pictures import Picture, PictureSpec, sample_type
from inve_core.model import LayeredAtlas
from inve_core.rendering.atlas_view import atlas_picture
from inve_core.rendering.backends import painter_on, warm_up
from inve_core.rendering.blending import lay_layer, stored
from inve_core.rendering.fields import BUDGET_BYTES, TILE, FieldCache, FrameSize, TileIndices
from inve_core.rendering.painting import Canvas, Work
from inve_core.rendering.plate import canvas_of, cropped
from inve_core.rendering.plates import BUDGET_BYTES as PLATE_BUDGET_BYTES
from inve_core.rendering.plates import DevicePlates, PlateCache
from inve_core.rendering.program import Programs, Step, TableStep, TextureStep, Window
from inve_core.rendering.soft_edges import SoftEdges
from inve_core.rendering.table import PaintTable
from inve_core.rendering.texturing import TexturePainter
from inve_core.source import ShotSource
from inve_core.tracking import frame_index

# Tiles of the frames that are painted together; soft edges take a third of a megabyte for each that has some.
TILES_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Rendered:
    """An edited frame.

    Attributes:
        picture: the plate with the edits; untouched pixels have the plate's very bits.
        parts: with `layers`, each edit layer premultiplied, bottom to top, then each video layer's matte and
            uv. Edit layers laid *over* the plate one by one make the picture.
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
        field_bytes: most memory for baked fields, on the model's device.
        plate_bytes: most memory for decoded plates.

    Attributes:
        on_gpu: whether frames are rendered the way that is best for a GPU; a CPU can go it, too.
    """

    def __init__(
        self,
        model: LayeredAtlas,
        source: ShotSource,
        texture_path: Callable[[str], Path] = Path,
        *,
        field_bytes: int = BUDGET_BYTES,
        plate_bytes: int = PLATE_BUDGET_BYTES,
    ):
        self.model = model
        self.source = source
        self.fields = FieldCache(model, field_bytes)
        self.textures = TexturePainter(model, self.fields, texture_path)
        self._programs = Programs(model)
        self._plates = PlateCache(source, plate_bytes)
        self._device_plates = DevicePlates(model.device)
        self.on_gpu = model.device.type == "cuda"

    # -- public ------------------------------------------------------------------------------------------

    def bake(
        self,
        frames: Sequence[int] | None = None,
        scale: float = 1.0,
        on_frame: Callable[[int], None] = lambda done: None,
    ) -> int:
        """Work out frames' atlas positions and visibility ahead of the first edit, and compile what paints.

        Args:
            frames: host frame numbers, the most wanted first; all of the shot's by default.
            scale: the size at which they will be rendered.
            on_frame: called after each, with how many are done by then; may raise to end it.

        Returns:
            How many fit into the memory for baked fields; the others are worked out when asked for.

        Raises:
            PointError: the shot has no such frame.
        """
        half = sample_type(self.source.source_type) is np.float16
        # Soft edges and what lies between edit layers are painted in single precision.
        for kind in (torch.float16, torch.float32) if half else (torch.float32,):
            warm_up(self.model.device, self.model.layer_count, kind)
        self._programs.record()
        wanted = self.model.geometry.frames if frames is None else frames
        return self.fields.bake([self._size(frame, scale) for frame in wanted], on_frame)

    def _size(self, frame: int, scale: float) -> FrameSize:
        # As `plate.scaled` rounds.
        width, height = (max(1, round(side * scale)) for side in (self.source.width, self.source.height))
        return FrameSize(frame_index(self.model, frame), width, height)

    def prefetch(self, frame: int, scale: float = 1.0) -> None:
        """Read a frame's plate ahead, in any thread. A movie is best read in order, and is not read ahead.

        Raises:
            MediaError: it cannot be read.
        """
        if not self.source.has_movie:
            self._plates.read(frame, scale)

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
        whole = self._plates.read(frame, scale)
        plate = cropped(whole, region)
        size = FrameSize(frame_index(self.model, frame), plate.spec.width, plate.spec.height)
        canvas = canvas_of(plate.spec)
        window = Window(canvas.x, canvas.y, canvas.width, canvas.height)
        if self.on_gpu and stack.rendered:
            # All tiles at once take a GPU less time than to find out which of them are wanted.
            self.fields.bake([size])
        # Overscan is passed through, and it may be all that there is.
        steps = self._programs.steps(stack, apart=layers) if canvas.width and canvas.height else []
        if self.on_gpu and not layers:
            pixels, touched = self._paint_on_gpu(steps, size, window, plate, frame, scale, whole)
            return Rendered(replace(plate, pixels=pixels), (), touched)
        pixels = plate.pixels.copy()
        x0, y0 = canvas.x - plate.spec.data_window[0], canvas.y - plate.spec.data_window[1]
        view = pixels[y0 : y0 + canvas.height, x0 : x0 + canvas.width]
        parts: list[Part] = []
        if layers:
            touched = self._paint_apart(stack, steps, size, window, view, plate.spec, parts)
            parts += self._video_layer_parts(size, plate.spec, window)
        else:
            touched = self._paint(steps, size, window, view)
        return Rendered(replace(plate, pixels=pixels), tuple(parts), touched)

    @torch.no_grad()
    def render_on_device(self, stack: EditStack, frames: Sequence[int], plates: Tensor) -> Tensor:
        """Render several frames whose plates are on the model's device, and leave them there.

        Args:
            frames: k host frame numbers.
            plates: [k, height, width, 4] float16 or float32, at any one size; they are not written to.

        Returns:
            The edited frames, as the plates in shape and type.

        Raises:
            MediaError: a texture cannot be read.
            PointError: the shot has no such frame, or lacks a frame or video layer that an edit names.
        """
        _, height, width, _ = plates.shape
        if not len(frames):
            return plates.clone()
        sizes = [FrameSize(frame_index(self.model, frame), width, height) for frame in frames]
        steps = self._programs.steps(stack, apart=False)
        window = Window(0, 0, width, height)
        return self._on_canvas(steps, sizes, window, plates)[0]

    @torch.no_grad()
    def atlas(
        self,
        video_layer: str,
        stack: EditStack | None = None,
        long_edge: int = 512,
        frame: int | None = None,
    ) -> Picture:
        """A video layer's atlas as a picture, with the edits on it where a stack is given.

        With `frame`, a host frame number, what of it is not seen there is dimmed.

        Raises:
            EditError: no such video layer.
            MediaError: a texture cannot be read.
            PointError: the shot has no such frame, or lacks a frame or video layer that an edit names.
        """
        names = self.model.geometry.video_layers
        if video_layer not in names:
            raise EditError(
                f"video_layer must be one of {', '.join(names)}, got {video_layer!r}; use one of these."
            )
        t = None if frame is None else frame_index(self.model, frame)
        steps = self._programs.steps(stack, apart=False) if stack else []
        return atlas_picture(self.textures, names.index(video_layer), steps, long_edge, t)

    # -- on the host's pictures --------------------------------------------------------------------------

    def _paint_on_gpu(
        self,
        steps: list[Step],
        size: FrameSize,
        window: Window,
        plate: Picture,
        frame: int,
        scale: float,
        whole: Picture,
    ) -> tuple[np.ndarray, int]:
        """A plate's pixels with the edits on them, and how many were touched.

        The plate stays on the device, and the whole result comes back in one copy to page-locked memory: for
        the host to move its pictures about takes several times as long.

        Args:
            plate: all or a part of `whole`, the frame's plate at a scale.
        """
        left, top, width, height = plate.spec.data_window
        x, y = left - whole.spec.data_window[0], top - whole.spec.data_window[1]
        pixels = self._device_plates.get(frame, scale, whole)[y : y + height, x : x + width]
        touched = 0
        if steps:
            pixels = pixels.clone()
            row, column = window.y - top, window.x - left
            inner = pixels[row : row + window.height, column : column + window.width]
            result, changed = self._on_canvas(steps, [size], window, inner[None].contiguous())
            inner.copy_(result[0])
            touched = int(changed.sum())
        host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=pixels.is_cuda)
        host.copy_(pixels)
        return host.numpy(), touched

    def _paint(self, steps: list[Step], size: FrameSize, window: Window, view: np.ndarray) -> int:
        """Paint on `view` [h, w, 4], in place; only the part with edits goes to the device and back."""
        part = self._reached(steps, size, window)
        if part is None:
            return 0
        y, x = part.y - window.y, part.x - window.x
        inner = view[y : y + part.height, x : x + part.width]
        plates = torch.from_numpy(np.ascontiguousarray(inner)).to(self.model.device)[None]
        result, touched = self._on_canvas(steps, [size], part, plates)
        inner[...] = result[0].cpu().numpy()
        return int(touched.sum())

    def _reached(self, steps: list[Step], size: FrameSize, window: Window) -> Window | None:
        """The part of a window that edits can touch."""
        low, high = [], []
        for step in steps:
            if isinstance(step, TextureStep):
                corners = [size.corners(self.textures.tiles(edit, size)) for edit in step.edits]
            else:
                corners = [
                    work.places[:, 1:] + (window.x, window.y)
                    for _, work in step.works(self.fields, size, window)
                ]
            for corner in corners:
                if len(corner):
                    low.append(corner.min(0))
                    high.append(corner.max(0) + TILE)
        if not low:
            return None
        left, top = np.maximum(np.min(low, 0), (window.x, window.y)).tolist()
        far = (window.x + window.width, window.y + window.height)
        right, bottom = np.minimum(np.max(high, 0), far).tolist()
        if left >= right or top >= bottom:
            return None
        return Window(left, top, right - left, bottom - top)

    def _paint_apart(
        self,
        stack: EditStack,
        steps: list[Step],
        size: FrameSize,
        window: Window,
        view: np.ndarray,
        spec: PictureSpec,
        parts: list[Part],
    ) -> int:
        """As `_paint`, and add a part for each edit layer."""
        plates = torch.from_numpy(np.ascontiguousarray(view)).to(self.model.device)[None]
        touched = torch.zeros(plates.shape[:3], dtype=torch.bool, device=plates.device)
        canvas = Canvas(plates.to(torch.float32, copy=True), touched)
        edges = self._soft_edges(plates)
        # By name, which no two layers share: the steps may be those of an equal stack that came before.
        by_layer = {
            (step.layer if isinstance(step, TextureStep) else step.layers[0]).name: step for step in steps
        }
        for layer in stack.layers:
            step, painted = by_layer.get(layer.name), None
            if step is not None:
                painted = torch.zeros_like(canvas.pixels)
                self._run(step, [size], window, replace(canvas, painted=painted), edges)
            values = None if painted is None else painted[0]
            parts.append(self._part(f"edit.{layer.name}", "RGBA", values, spec, window))
        edges.finish(canvas)
        result = torch.where(canvas.touched[..., None], stored(canvas.pixels, plates.dtype), plates)
        view[...] = result[0].cpu().numpy()
        return int(canvas.touched.sum())

    # -- on the device -----------------------------------------------------------------------------------

    def _on_canvas(
        self, steps: list[Step], sizes: list[FrameSize], window: Window, plates: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Paint a window of frames of one size. Returns new pictures and [k, h, w] bool, what was touched."""
        touched = torch.zeros(plates.shape[:3], dtype=torch.bool, device=plates.device)
        # Between steps nothing is rounded to half precision.
        current = plates.clone() if len(steps) <= 1 else plates.to(torch.float32, copy=True)
        at_once = max(1, TILES_AT_ONCE // (sizes[0].columns * sizes[0].rows))
        for low in range(0, len(sizes), at_once):
            part = slice(low, low + at_once)
            canvas, edges = Canvas(current[part], touched[part]), self._soft_edges(plates[part])
            for step in steps:
                self._run(step, sizes[part], window, canvas, edges)
            edges.finish(canvas)
        if current.dtype == plates.dtype:
            return current, touched
        return torch.where(touched[..., None], stored(current, plates.dtype), plates), touched

    def _soft_edges(self, plates: Tensor) -> SoftEdges:
        return SoftEdges(self.fields, plates, painter_on(plates.device))

    def _run(
        self, step: Step, sizes: list[FrameSize], window: Window, canvas: Canvas, edges: SoftEdges
    ) -> None:
        if isinstance(step, TextureStep):
            for number, size in enumerate(sizes):
                self._paint_textures(step, size, window, canvas, number, edges)
            edges.lay(step.layer, canvas.painted)
            return
        for table, work in self._batches(step, sizes, window):
            painter_on(canvas.pixels.device).paint(table, self.fields, work, canvas)
            edges.paint(table, work, canvas.painted)

    def _batches(
        self, step: TableStep, sizes: list[FrameSize], window: Window
    ) -> Iterator[tuple[PaintTable, Work]]:
        """Tiles of several frames, as many in a batch as the fields can hold."""
        waiting: list[tuple[PaintTable, Work]] = []
        for number, size in enumerate(sizes):
            if waiting and not self.fields.has_room(size):
                # What this frame needs may cost the waiting ones their place.
                yield _joined(waiting)
                waiting = []
            for table, work in step.works(self.fields, size, window):
                waiting.append((table, work.on_picture(number)))
                if not self.fields.has_room(size):
                    yield _joined(waiting)
                    waiting = []
        if waiting:
            yield _joined(waiting)

    def _paint_textures(
        self,
        step: TextureStep,
        size: FrameSize,
        window: Window,
        canvas: Canvas,
        number: int,
        edges: SoftEdges,
    ) -> None:
        """Lay one layer of textures over picture `number` of a canvas."""
        painted: Tensor | None = None
        height, width = canvas.pixels.shape[1:3]
        for edit in step.edits:
            for patch in self.textures.patches(edit, size):
                if painted is None:
                    painted = torch.zeros(height, width, 4, device=canvas.pixels.device)
                for where, laid in _on_window(patch.tiles, patch.over, size, window):
                    painted[where] = laid + painted[where] * (1 - laid[..., 3:])
                corners = size.corners(patch.tiles) - (window.x, window.y)
                edges.cover(number, corners, self.fields.slots(size, patch.tiles, ()), patch)
        if painted is None:
            return
        changed = (painted != 0).any(-1)
        below = canvas.pixels[number][changed]
        part, result = lay_layer(step.layer, painted[changed], below.float())
        canvas.pixels[number][changed] = stored(result, below.dtype)
        canvas.touched[number] |= changed
        if canvas.painted is not None:
            canvas.painted[number][changed] = part

    # -- parts ---------------------------------------------------------------------------------------------

    def _part(
        self, name: str, channels: str, values: Tensor | None, spec: PictureSpec, window: Window
    ) -> Part:
        """An EXR part over the data window; zero outside of `window`. values: [h, w, channels]."""
        x, y, width, height = spec.data_window
        pixels = np.zeros((height, width, len(channels)), spec.dtype if channels == "RGBA" else np.float32)
        if values is not None:
            rows = slice(window.y - y, window.y - y + window.height)
            columns = slice(window.x - x, window.x - x + window.width)
            kind = torch.float16 if pixels.dtype == np.float16 else torch.float32
            pixels[rows, columns] = stored(values, kind).cpu().numpy()
        return Part(name, tuple(channels), pixels)

    def _video_layer_parts(self, size: FrameSize, spec: PictureSpec, window: Window) -> Iterator[Part]:
        tiles = size.tiles_within(
            window.x, window.y, window.x + window.width - 1, window.y + window.height - 1
        )
        layers = range(self.model.layer_count)
        visible = torch.zeros(window.height, window.width, len(layers), device=self.model.device)
        uv = torch.zeros(len(layers), window.height, window.width, 2, device=self.model.device)
        for low in range(0, len(tiles), self.fields.capacity):
            part = tiles[low : low + self.fields.capacity]
            for where, values in _on_window(part, self.fields.visibility(size, part), size, window):
                visible[where] = values
            for k in layers:
                for where, values in _on_window(part, self.fields.positions(size, k, part), size, window):
                    uv[k][where] = values
        for k, name in enumerate(self.model.geometry.video_layers):
            yield self._part(f"matte.{name}", "Y", visible[..., k : k + 1], spec, window)
            unit = self.model.geometry.boxes[k].to_unit(uv[k])
            yield self._part(f"uv.{name}", "uv", unit, spec, window)


def _joined(waiting: list[tuple[PaintTable, Work]]) -> tuple[PaintTable, Work]:
    """One batch of several; the table for the largest pixels holds for all."""
    table = max((table for table, _ in waiting), key=lambda one: one.footprint_px)
    return table, Work.joined([work for _, work in waiting])


def _on_window(
    tiles: TileIndices, values: Tensor, size: FrameSize, window: Window
) -> Iterator[tuple[tuple[slice, slice], Tensor]]:
    """Tile by tile, cut to a window: where it goes in the window, and its values [k, TILE, TILE, ...]."""
    for k, (x, y) in enumerate(size.corners(tiles).tolist()):
        left, top = max(x, window.x), max(y, window.y)
        right, bottom = min(x + TILE, window.x + window.width), min(y + TILE, window.y + window.height)
        if left < right and top < bottom:
            inner = (slice(top - y, bottom - y), slice(left - x, right - x))
            outer = (slice(top - window.y, bottom - window.y), slice(left - window.x, right - window.x))
            yield outer, values[k][inner]
