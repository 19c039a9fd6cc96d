"""The edits of a table as rows of numbers: what painters know of each of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from inve_core.edits import Adjustment, EditLayer, LayerBlend, Line, Stroke, StrokeBlend, Texture
from inve_core.rendering.adjustments import Grade, is_identity

Floats = npt.NDArray[np.float32]

# Columns of an edit's row. OPACITY is the edit's own, LAYER_OPACITY that of its edit layer; BLEND and
# LAYER_BLEND are numbers of BLENDS; FRAME is the index of the frame that it was drawn on, or NO_FRAME.
RADIUS, SOFTNESS, CLOSED, TAPERED, OPACITY, ADJUSTS, BLEND, VIDEO_LAYER = range(8)
LAYER, LAYER_OPACITY, LAYER_BLEND, FRAME = range(8, 12)
# A stroke's, premultiplied; of an adjustment alpha alone, which is 1.
COLOUR = 12
HEAD_FLOATS = 16
# An adjustment's `Grade`.
MATRIX, OFFSET, CURVED, EXPONENT, GAIN, BIAS = 16, 25, 28, 29, 30, 31
SLOPE, LIFT, POWER, SATURATION = 32, 35, 38, 41
EDIT_FLOATS = 44

BLENDS: tuple[StrokeBlend, ...] = ("over", "add", "multiply", "screen", "erase")
OVER, ADD, MULTIPLY, SCREEN, ERASE = range(5)


@dataclass(frozen=True)
class Placed:
    """Where in a table an edit stands: its edit layer, counted from the lowest, and how that one is laid."""

    layer: int
    opacity: float
    blend: LayerBlend = "over"


def targeted(layer: EditLayer) -> Iterator[Line]:
    """A layer's strokes and adjustments that do something; those for `auto` have the layer's video layer."""
    for edit in layer.edits:
        if not isinstance(edit, Texture) and _does_something(edit):
            if edit.video_layer == "auto" != layer.video_layer:
                edit = msgspec.structs.replace(edit, video_layer=layer.video_layer)
            yield edit


def _does_something(edit: Stroke | Adjustment) -> bool:
    # What is wholly transparent must not meet an infinite pixel: nothing of that is no number.
    if isinstance(edit, Stroke):
        return edit.color[3] > 0
    return edit.opacity > 0 and not is_identity(edit)


def flattened(layers: Sequence[EditLayer]) -> tuple[list[Line], list[Placed]]:
    """The edits of sketch and adjustment layers that do something, bottom to top."""
    edits: list[Line] = []
    places: list[Placed] = []
    for number, layer in enumerate(layers):
        own = list(targeted(layer))
        edits += own
        places += [Placed(number, layer.opacity, layer.blend)] * len(own)
    return edits, places


def edit_rows(edits: Sequence[Line], places: Sequence[Placed]) -> Floats:
    """The edits' rows [edits, EDIT_FLOATS], but for their video layer and frame."""
    rows = np.zeros((len(edits), EDIT_FLOATS), np.float32)
    if len(edits):
        rows[:, :HEAD_FLOATS] = [_head(edit, at) for edit, at in zip(edits, places, strict=True)]
    for row, edit in zip(rows, edits, strict=True):
        if isinstance(edit, Adjustment):
            row[MATRIX:] = _grade(edit)
    return rows


def _head(edit: Line, at: Placed) -> list[float]:
    radius, tapered = edit.width / 2, edit.point_widths is not None or edit.point_opacities is not None
    shape = [radius, (1 - edit.hardness) * radius, float(edit.closed), float(tapered)]
    layer = [float(at.layer), at.opacity, float(BLENDS.index(at.blend)), 0.0]
    if isinstance(edit, Stroke):
        red, green, blue, alpha = edit.color
        colour = [red * alpha, green * alpha, blue * alpha, alpha]
        return [*shape, 1.0, 0.0, float(BLENDS.index(edit.blend)), 0.0, *layer, *colour]
    opacity = edit.opacity if isinstance(edit, Adjustment) else 1.0
    return [*shape, opacity, 1.0, 0.0, 0.0, *layer, 0.0, 0.0, 0.0, 1.0]


def _grade(edit: Adjustment) -> list[float]:
    grade = Grade.of(edit)
    curve = [float(grade.curved), grade.exponent, grade.gain, grade.bias]
    parts = (grade.matrix.ravel(), grade.offset, curve, grade.slope, grade.lift, grade.power)
    return [*(float(one) for part in parts for one in part), grade.saturation, 0.0, 0.0]
