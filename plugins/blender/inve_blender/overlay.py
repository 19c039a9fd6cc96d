"""What is drawn over the preview: the line being drawn, the brush, tracked points, outlines of textures.

Everything stands in pixels of the source picture and comes to its place by one matrix a redraw, so that
panning, zooming and moving the strip need nothing new. What was compiled for the GPU is kept by the identity
of what it shows. The gpu module is touched first when something is drawn: in background mode never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import bpy

from inve_client.plugin.messages import RefusedError

from . import compat, documents, results
from .previews import Canvas, Preview, canvas_of
from .properties import settings_of, shot_of

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument
    from inve_client.plugin.points import Track

    from .drawing import StrokeCapture
    from .texture_box import TextureBox

Color = tuple[float, float, float, float]
Place = tuple[float, float]

_OUTLINE: Color = (1.0, 1.0, 1.0, 0.35)
_CURSOR: Color = (1.0, 1.0, 1.0, 0.9)
_SHADOW: Color = (0.0, 0.0, 0.0, 0.6)
_PATH: Color = (0.2, 0.9, 1.0, 0.9)
_HIDDEN_PATH: Color = (0.2, 0.9, 1.0, 0.25)
_ACTIVE_PATH: Color = (1.0, 0.9, 0.2, 0.95)
_HIDDEN_ACTIVE_PATH: Color = (1.0, 0.9, 0.2, 0.3)
_TEXTURE: Color = (0.6, 1.0, 0.5, 0.9)
_CIRCLE_STEPS = 48
_POINT_DOTS = 5.0
_HANDLE_DOTS = 5.0
_KEPT_BATCHES = 256
_RECENT_S = 0.5


@dataclass(eq=False)
class Drawing:
    """A line that is drawn, or was a moment ago.

    Attributes:
        strip: the name of the strip.
        frame: the source's number of the frame that it is drawn on.
        capture: the line.
        color: as the screen shows it.
        ids: of the edits that it became.
    """

    strip: str
    frame: int
    capture: StrokeCapture
    color: Color
    ids: list[str] = field(default_factory=list)
    _ribbon: Any = None
    _batches: list[tuple[Any, Any]] = field(default_factory=list)

    def draw(self, pixels_per_dot: float) -> None:
        """Draw it, in pixels of the source."""
        capture = self.capture
        if self._ribbon is None:
            from .ribbon import Ribbon

            brush = capture.brush
            # An outline is a thin line on the screen, whatever the softness of its edge.
            width = (lambda _: 2 * pixels_per_dot) if capture.closed else brush_width(brush)
            self._ribbon = Ribbon(width)
        end = self._ribbon.update(capture.vertices, capture.tail())
        sealed = self._ribbon.sealed
        while self._batches and (
            len(self._batches) > len(sealed) or self._batches[-1][0] is not sealed[len(self._batches) - 1]
        ):
            self._batches.pop()
        for strip in sealed[len(self._batches) :]:
            self._batches.append((strip, _batch("TRI_STRIP", strip)))
        for _, batch in self._batches:
            _draw(batch, self.color)
        if end:
            _draw(_batch("TRI_STRIP", end), self.color)
        if capture.closed and len(capture.vertices) > 1:
            last = (capture.tail() or capture.vertices)[-1]
            _draw(_batch("LINES", [capture.vertices[0][:2], last[:2]]), self.color)


@dataclass(eq=False)
class State:
    """What there is to draw besides what the file has.

    Attributes:
        drawing: the line that is being drawn.
        fresh: lines that went out, until the picture shows them.
        box: the texture that is being placed or moved.
        held: the id of the edit that is being moved.
        mouse: where the running tool's brush is, in dots of `region`; None where there is none.
        brush_width: of the brush's circle in pixels of the source; 0 for none.
        region: where the tool was last.
    """

    drawing: Drawing | None = None
    fresh: list[Drawing] = field(default_factory=list)
    box: TextureBox | None = None
    held: str = ""
    mouse: Place | None = None
    brush_width: float = 0.0
    region: Any = None


state = State()
_handler: Any = None
_kept: dict[tuple[int, str], tuple[Any, Any]] = {}


def brush_width(brush: Any) -> Any:
    """Pressure -> width in pixels of the source."""
    return lambda pressure: brush.width * brush.width_factor(pressure)


def start() -> None:
    """Draw from now on; called by register."""
    global _handler
    if not bpy.app.background:
        _handler = bpy.types.SpaceSequenceEditor.draw_handler_add(draw, (), "PREVIEW", "POST_PIXEL")


def stop() -> None:
    """Draw no more; called by unregister."""
    global _handler
    if _handler is not None:
        bpy.types.SpaceSequenceEditor.draw_handler_remove(_handler, "PREVIEW")
        _handler = None
    clear()
    _kept.clear()


def clear() -> None:
    """Forget what a tool has drawn."""
    global state
    state = State()


def drop_fresh(document: EditDocument) -> None:
    """Forget lines whose edits were undone or removed."""
    there = {edit["id"] for layer in document.layers for edit in layer["edits"]}
    state.fresh = [one for one in state.fresh if any(edit in there for edit in one.ids)]


def shown(strip: bpy.types.bpy_struct, revisions: Mapping[int, int]) -> None:
    """The picture shows edits by now, so that the overlay need not.

    Args:
        strip: the source.
        revisions: the source's number of a frame -> of the edits that it is shown with.
    """
    document = documents.in_memory(strip)
    if document is None or not state.fresh:
        return
    sent = (step for step in document.pending if step.kind == "patch_edits")
    waits = {patch["edit"]["id"] for step in sent for patch in step.edits if "edit" in patch}
    state.fresh = [
        one
        for one in state.fresh
        if one.strip != strip.name
        or revisions.get(one.frame, -1) < (document.revision or 0)
        or not waits.isdisjoint(one.ids)
    ]


def to_screen(color: Sequence[float]) -> tuple[float, float, float]:
    """A scene-linear colour as a screen has it (sRGB), without the scene's view transform."""
    return tuple(_encoded(min(max(value, 0.0), 1.0)) for value in color)  # type: ignore[return-value]


def draw() -> None:
    """Blender's entry, once for each redraw of a preview."""
    context = bpy.context
    strip = results.active_source(context)
    if strip is None or not strip.inve.shot:
        return
    area, region, space = context.area, context.region, context.space_data
    try:
        canvas = canvas_of(context, strip, Preview(area, region, space), recent_s=_RECENT_S)
    except RefusedError:
        # What cannot be painted on has nothing to show; a tool says why when it is used.
        return
    import gpu
    from mathutils import Matrix

    settings = settings_of(compat.sequencer_scene(context))
    gpu.state.blend_set("ALPHA")
    gpu.matrix.push()
    try:
        gpu.matrix.multiply_matrix(Matrix(_to_region(canvas)))
        _draw_canvas(canvas, settings)
    finally:
        gpu.matrix.pop()
        gpu.state.line_width_set(1.0)
        gpu.state.blend_set("NONE")


def _draw_canvas(canvas: Canvas, settings: Any) -> None:
    from .texture_box import TextureBox

    dot = canvas.pixels_per_dot
    if settings.show_textures:
        for edit in placed_textures(canvas):
            if edit["id"] != state.held:
                corners = TextureBox.from_edit(edit).corners if "x" in edit else edit["corners"]
                _draw_loop(corners, _TEXTURE)
    if settings.show_tracks:
        _draw_tracks(canvas, dot)
    name = canvas.strip.name
    state.fresh = [one for one in state.fresh if (one.strip, one.frame) == (name, canvas.frame)]
    for drawing in (*state.fresh, *((state.drawing,) if state.drawing is not None else ())):
        drawing.draw(dot)
    if state.box is not None:
        _draw_box(state.box, dot)
    if state.mouse is None or state.region != canvas.region:
        return
    left, top, right, bottom = canvas.geometry.visible
    _draw_loop(((left, top), (right, top), (right, bottom), (left, bottom)), _OUTLINE)
    if state.brush_width > 0:
        region = canvas.region
        x, y = canvas.to_source(region.x + state.mouse[0], region.y + state.mouse[1])
        radius = max(state.brush_width / 2, dot)
        _draw_loop(_circle(x, y, radius + dot), _SHADOW)
        _draw_loop(_circle(x, y, radius), _CURSOR)


def _draw_box(box: TextureBox, dot: float) -> None:
    _draw_loop(box.corners, _CURSOR)
    for x, y in (*box.corners, box.turner(dot)):
        _draw(_batch("TRI_FAN", _circle(x, y, _HANDLE_DOTS * dot)), _TEXTURE)
    top = box.at(0.5, 0.0)
    _draw(_batch("LINES", [top, box.turner(dot)]), _CURSOR)


def _draw_tracks(canvas: Canvas, dot: float) -> None:
    import gpu

    from . import trackpoints

    group = shot_of(canvas.strip)
    for number, track in enumerate(trackpoints.of(canvas.strip)):
        is_active = number == group.active_track
        seen, hidden = (_ACTIVE_PATH, _HIDDEN_ACTIVE_PATH) if is_active else (_PATH, _HIDDEN_PATH)
        gpu.state.line_width_set(2.0 if is_active else 1.0)
        for what, color in (("seen", seen), ("hidden", hidden)):
            batch = _kept_batch(track, what)
            if batch is not None:
                _draw(batch, color)
        if canvas.frame in track.frames:
            index = track.frames.index(canvas.frame)
            x, y, radius = track.x[index], track.y[index], _POINT_DOTS * dot
            if track.visible[index]:
                _draw(_batch("TRI_FAN", _circle(x, y, radius)), seen)
            else:
                _draw_loop(_circle(x, y, radius), seen)
            _draw_loop(_circle(x, y, radius + dot), _SHADOW)
    gpu.state.line_width_set(1.0)


def path_pieces(track: Track, *, visible: bool) -> list[Place]:
    """Ends of the straight pieces of a track's path: those between frames where it is seen, or all others."""
    pieces: list[Place] = []
    places = list(track.places())
    for (_, x, y, seen), (_, next_x, next_y, next_seen) in pairwise(places):
        if (seen and next_seen) == visible:
            pieces += [(x, y), (next_x, next_y)]
    return pieces


def _kept_batch(track: Track, what: str) -> Any:
    """The compiled path of a track; the track is kept with it, so that its identity is not given away."""
    key = (id(track), what)
    if key not in _kept:
        if len(_kept) >= _KEPT_BATCHES:
            _kept.clear()
        pieces = path_pieces(track, visible=what == "seen")
        _kept[key] = (track, _batch("LINES", pieces) if pieces else None)
    return _kept[key][1]


def placed_textures(canvas: Canvas) -> list[Mapping[str, Any]]:
    """The textures that were placed on a canvas's frame and are switched on, the lowest first."""
    document = documents.in_memory(canvas.strip)
    if document is None:
        return []
    return [
        edit
        for layer in document.layers
        if layer["kind"] == "texture" and layer.get("enabled", True)
        for edit in layer["edits"]
        if edit["frame"] == canvas.frame and edit.get("space", "frame") == "frame"
    ]


def _to_region(canvas: Canvas) -> tuple[tuple[float, ...], ...]:
    """The 4x4 matrix from pixels of the source to dots of the region.

    `view_to_region` gives whole dots, so it is taken from the way back, which is exact.
    """
    region = canvas.region
    width, height = region.width, region.height
    left, below = region.view2d.region_to_view(0, 0)
    right, above = region.view2d.region_to_view(width, height)
    sx, sy = width / (right - left), height / (above - below)
    a, b, c, d, e, f = canvas.geometry.matrix
    return (
        (a * sx, b * sx, 0.0, (c - left) * sx),
        (d * sy, e * sy, 0.0, (f - below) * sy),
        (0.0, 0.0, 1.0, 0.0),
        (0.0, 0.0, 0.0, 1.0),
    )


def _circle(x: float, y: float, radius: float) -> list[Place]:
    turn = math.tau / _CIRCLE_STEPS
    return [
        (x + radius * math.cos(turn * step), y + radius * math.sin(turn * step))
        for step in range(_CIRCLE_STEPS)
    ]


def _draw_loop(places: Sequence[Place], color: Color) -> None:
    # Not a LINE_LOOP, which Metal and Vulkan have not.
    _draw(_batch("LINE_STRIP", [*places, places[0]]), color)


def _batch(kind: str, places: Sequence[Place]) -> Any:
    from gpu_extras.batch import batch_for_shader

    return batch_for_shader(
        _shader(), "TRI_STRIP" if kind == "TRI_FAN" else kind, {"pos": _strip(kind, places)}
    )


def _strip(kind: str, places: Sequence[Place]) -> list[Place]:
    """Places in the order of their kind; a convex fan as a strip, for fans are gone from newer GPUs."""
    if kind != "TRI_FAN":
        return list(places)
    order: list[Place] = []
    for index in range((len(places) + 1) // 2):
        order += [places[index], places[-1 - index]]
    return order


def _draw(batch: Any, color: Color) -> None:
    shader = _shader()
    shader.bind()
    shader.uniform_float("color", color)
    batch.draw(shader)


def _shader() -> Any:
    import gpu

    # Blender keeps its built-in shaders itself.
    return gpu.shader.from_builtin(compat.uniform_color_shader())


def _encoded(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
