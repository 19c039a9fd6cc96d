"""*Paint* and *Adjust Region*: lines drawn in the preview, each a step that goes out at the pen's release.

Scripts call the same operators with `points`, in pixels of the source picture, on the current frame:

    bpy.ops.inve.paint(points="[[10, 20], [30, 25]]")             # or json.dumps of a list
    bpy.ops.inve.paint(points="[[10, 20, 1.0], [30, 25, 0.5]]")   # the third is a pen's pressure
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import bpy
from bpy.props import StringProperty

from inve_client.plugin.messages import RefusedError

from .. import compat, documents, overlay
from ..previews import Canvas, canvas_of
from ..properties import InveScene, settings_of, shot_of
from .base import active_strip
from .tool import PreviewTool

_JITTER_DOTS = 2.0
"""How far a hand trembles, in dots of the screen."""
_LEAST_SIZE, _MOST_SIZE = 0.5, 16384.0
_SIZE_STEP = 1.15
_NOT_IN_PICTURE = "must touch the picture of {!r}, got none of it inside; draw on the picture."


def _points_property() -> Any:
    """Places of a line, for scripts. A collection would need every field of every point to be given."""
    return StringProperty(
        name="Points",
        description="JSON: [x, y] or [x, y, pressure] of each point, in pixels of the source picture",
        options={"SKIP_SAVE", "HIDDEN"},
    )


class DrawTool(PreviewTool):
    """Mixin: a line is drawn with the brush."""

    help = "draw; Ctrl-Z takes a line back, [ and ] change the size, ESC ends"
    drawing: Any = None
    points: str
    _began: float

    def run(self, context: bpy.types.Context) -> None:
        """Draw the points that were given; they stay where they are."""
        if not self.points:
            raise RefusedError(
                f"{self.bl_label} must be given `points` where there is no mouse, got none; give it some."
            )
        strip = active_strip(context)
        canvas = canvas_of(context, strip)
        capture = self._capture(canvas, settings_of(compat.sequencer_scene(context)), 0.0)
        for number, (x, y, pressure) in enumerate(_places(self.points)):
            # A second lies between them, in which no pressure is evened out: a script says what it means.
            capture.add(x, y, pressure, float(number))
        self._put(context, canvas, capture)

    def press(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """A line begins."""
        canvas, settings = self.canvas, settings_of(compat.sequencer_scene(context))
        # What cannot be painted is refused now, not after the work of drawing it.
        self.check(settings)
        jitter = _JITTER_DOTS * canvas.pixels_per_dot if settings.use_smoothing else 0.0
        capture = self._capture(canvas, settings, jitter)
        self.drawing = overlay.Drawing(canvas.strip.name, canvas.frame, capture, self.color(settings))
        overlay.state.drawing = self.drawing
        self._began = time.perf_counter()
        self.drag(context, event)

    def drag(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """The line goes on."""
        pressure = event.pressure if getattr(event, "is_tablet", False) else 1.0
        self.drawing.capture.add(*self.place(event), pressure, time.perf_counter() - self._began)

    def release(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """The line is done, and goes out."""
        drawing, self.drawing = self.drawing, None
        overlay.state.drawing = None
        drawing.ids = self._put(context, self.canvas, drawing.capture)
        overlay.state.fresh.append(drawing)

    def cancel(self, context: bpy.types.Context) -> None:
        """The line is not wanted."""
        self.drawing = overlay.state.drawing = None

    def key(self, context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """The brush's size."""
        if event.type not in ("LEFT_BRACKET", "RIGHT_BRACKET"):
            return False
        settings = settings_of(compat.sequencer_scene(context))
        factor = _SIZE_STEP if event.type == "RIGHT_BRACKET" else 1 / _SIZE_STEP
        settings.brush_size = min(max(settings.brush_size * factor, _LEAST_SIZE), _MOST_SIZE)
        return True

    def brush_width(self, context: bpy.types.Context) -> float:
        """The brush's; an outline is drawn with a point."""
        settings = settings_of(compat.sequencer_scene(context))
        return 0.0 if self.is_closed(settings) else settings.brush_size

    def _capture(self, canvas: Canvas, settings: InveScene, jitter: float) -> Any:
        from ..drawing import Brush, StrokeCapture

        geometry = canvas.geometry
        brush = Brush(
            settings.brush_size,
            jitter,
            pressure_width=settings.use_pressure_size and not self.is_closed(settings),
            pressure_opacity=settings.use_pressure_opacity and not self.is_closed(settings),
        )
        width, height = geometry.picture_width, geometry.picture_height
        return StrokeCapture(brush, width, height, closed=self.is_closed(settings))

    def _put(self, context: bpy.types.Context, canvas: Canvas, capture: Any) -> list[str]:
        """Make the line's edits, in one step; gives their ids."""
        from ..edits import layer_for

        strip = canvas.strip
        settings = settings_of(compat.sequencer_scene(context))
        lines = capture.finish()
        if not lines:
            raise RefusedError(f"{self.bl_label} " + _NOT_IN_PICTURE.format(strip.name))
        edits = self.edits(settings, lines, canvas.frame)
        name = layer_for(documents.of(strip), self.layer_kind, active_layer(strip))
        ids = documents.change(strip, lambda document: document.add_edits(name, edits))
        activate_layer(strip, name)
        return ids

    # What tells the two apart

    layer_kind: str

    def is_closed(self, settings: InveScene) -> bool:
        """Whether the line is an outline."""
        raise NotImplementedError

    def check(self, settings: InveScene) -> None:
        """Refuse what would do nothing."""

    def color(self, settings: InveScene) -> tuple[float, float, float, float]:
        """The overlay's, as the screen shows it."""
        raise NotImplementedError

    def edits(self, settings: InveScene, lines: Sequence[Any], frame: int) -> list[dict[str, Any]]:
        """The edits of a drawn line."""
        raise NotImplementedError


class INVE_OT_paint(DrawTool, bpy.types.Operator):
    """Paint strokes on the active strip, in the preview."""

    bl_idname = "inve.paint"
    bl_label = "Paint"
    bl_description = "Paint strokes on the active strip, in the preview; they appear on all of its frames"
    layer_kind = "sketch"

    points: _points_property()

    def is_closed(self, settings: InveScene) -> bool:
        """A stroke is a line."""
        return False

    def color(self, settings: InveScene) -> tuple[float, float, float, float]:
        """The brush's."""
        return (*overlay.to_screen(settings.brush_color), settings.brush_opacity)

    def edits(self, settings: InveScene, lines: Sequence[Any], frame: int) -> list[dict[str, Any]]:
        """Strokes."""
        from ..edits import strokes

        return strokes(
            lines,
            frame,
            width=settings.brush_size,
            hardness=settings.brush_hardness,
            color=settings.brush_color,
            opacity=settings.brush_opacity,
        )


class INVE_OT_adjust_region(DrawTool, bpy.types.Operator):
    """Change the colour of a region of the active strip, in the preview."""

    bl_idname = "inve.adjust_region"
    bl_label = "Adjust Region"
    bl_description = (
        "Draw around a region, or over it, in the preview: its colour is changed on all frames as set below"
    )
    layer_kind = "adjustment"

    points: _points_property()

    def is_closed(self, settings: InveScene) -> bool:
        """As it is set."""
        return settings.use_outline

    def check(self, settings: InveScene) -> None:
        """It must change something."""
        from ..edits import changed_values

        changed_values(changes_of(settings))

    def color(self, settings: InveScene) -> tuple[float, float, float, float]:
        """The same for all adjustments: their effect has no colour of its own."""
        return (1.0, 0.85, 0.2, 0.6)

    def edits(self, settings: InveScene, lines: Sequence[Any], frame: int) -> list[dict[str, Any]]:
        """Adjustments."""
        from ..edits import adjustments

        return adjustments(
            lines,
            frame,
            closed=settings.use_outline,
            width=settings.brush_size,
            hardness=settings.brush_hardness,
            changes=changes_of(settings),
        )


class INVE_OT_readjust(PreviewTool, bpy.types.Operator):
    """Give the newest region of the active layer the values that are set."""

    bl_idname = "inve.readjust"
    bl_label = "Apply to Last Region"
    bl_description = "Give the newest region of the active adjustment layer the values that are set"

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """There is nothing to draw."""
        return self.execute(context)

    def run(self, context: bpy.types.Context) -> None:
        """One step."""
        from ..edits import layer_for, readjusted

        strip = active_strip(context)
        document = documents.of(strip)
        name = layer_for(document, "adjustment", active_layer(strip))
        edits = next((layer["edits"] for layer in document.layers if layer["name"] == name), ())
        if not edits:
            raise RefusedError(
                "An adjustment layer must have a region to change, got none; draw one with Adjust Region."
            )
        edit = readjusted(edits[-1], changes_of(settings_of(compat.sequencer_scene(context))))
        documents.change(strip, lambda document: document.replace_edit(edit))


def changes_of(settings: InveScene) -> dict[str, float]:
    """What Adjust Region changes."""
    return {name: getattr(settings, name) for name in ("hue", "saturation", "brightness", "exposure")}


def active_layer(strip: bpy.types.bpy_struct) -> str:
    """The name of the layer that is active in the list, "" where there is none."""
    group = shot_of(strip)
    in_list = 0 <= group.active_layer < len(group.layers)
    return group.layers[group.active_layer].known_name if in_list else ""


def activate_layer(strip: bpy.types.bpy_struct, name: str) -> None:
    """Make a layer the active one of the list."""
    group = shot_of(strip)
    for index, row in enumerate(group.layers):
        if row.known_name == name:
            group.active_layer = index


def _places(text: str) -> list[tuple[float, float, float]]:
    """x, y and pressure of each point of a script's JSON.

    Raises:
        RefusedError: it is not as it must be.
    """
    import json

    try:
        given = []
        for point in json.loads(text):
            x, y, pressure = (*map(float, point), 1.0)[:3]
            if not all(map(math.isfinite, (x, y, pressure))):
                raise ValueError("a number is not finite")
            given.append((x, y, pressure))
    except (ValueError, TypeError) as error:
        raise RefusedError(
            f"`points` must be a JSON list of [x, y] or [x, y, pressure], got what cannot be read: {error}; "
            f"use json.dumps."
        ) from error
    return given


CLASSES = (INVE_OT_paint, INVE_OT_adjust_region, INVE_OT_readjust)
