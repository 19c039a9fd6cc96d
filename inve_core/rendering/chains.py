"""Many edits' strokes and outlines, mapped to the atlas in a few batched calls and kept edit by edit.

The same as `strokes.chain_of_edit` one edit at a time, as plain rows of numbers that a table of segments is
built of. What is kept is on the host: tables are small, and building them is indexing more than arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from inve_core.coordinates import determinant
from inve_core.edits import Line
from inve_core.model import LayeredAtlas
from inve_core.rendering import curves, strokes
from inve_core.rendering.bounded import BoundedCache
from inve_core.rendering.line_networks import LineNetworks
from inve_core.tracking import frame_index, layer_index

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LINE_BYTES = 256 << 20
# What a point of a line takes that is kept to know the line by.
POINT_BYTES = 128
# Where the map is all but flat a segment reaches everywhere; this many atlas pixels are everywhere.
FURTHEST_PX = 1e6

# Columns of a segment's row. SPREAD are the atlas pixels that its reach spans in u and v for each drawn
# pixel; WIDTHS and OPACITIES are factors of the edit's, at its start and at its end.
START, END, TO_DRAWN, ALONG, PER_LENGTH, SLOPE, SCALE, SPREAD = 0, 2, 4, 8, 10, 11, 12, 13
WIDTHS, OPACITIES = 15, 17
SEGMENT_FLOATS = 20
# The index of the frame of what was drawn on the atlas.
NO_FRAME = -1


@dataclass(frozen=True, eq=False)
class MappedLine:
    """A stroke or outline in the atlas, and where it was drawn.

    Attributes:
        layer: index of its video layer.
        segments: [s, SEGMENT_FLOATS], see the columns above.
        frame: index of the frame that it was drawn on, or NO_FRAME.
        drawn: [s, SEGMENT_FLOATS] the same segments on that frame: picture pixels take the place of the
            atlas's. None of what was drawn on no frame.
    """

    layer: int
    segments: Floats
    frame: int = NO_FRAME
    drawn: Floats | None = None

    @property
    def parts(self) -> tuple[Floats, ...]:
        """Its segments in the atlas, and those on its own frame."""
        return (self.segments,) if self.drawn is None else (self.segments, self.drawn)

    @property
    def nbytes(self) -> int:
        """Memory that it takes, with the points that it is known by."""
        return sum(part.nbytes for part in self.parts) + POINT_BYTES * (len(self.segments) + 1)


class LineMapper:
    """Maps the lines that it has not seen before, all of them at once, and remembers what it mapped.

    Args:
        model: the learned shot.
        budget_bytes: most memory for what it remembers.
    """

    def __init__(self, model: LayeredAtlas, budget_bytes: int = LINE_BYTES):
        self.networks = LineNetworks(model)
        self._known: BoundedCache[Line, MappedLine] = BoundedCache(budget_bytes)

    def __call__(self, edits: Sequence[Line]) -> list[MappedLine]:
        """Where edits lie in the atlas.

        Raises:
            PointError: an edit names a frame or a video layer that the shot lacks.
        """
        keys = [_line_of(edit) for edit in edits]
        known = {key: one for key in keys if (one := self._known.find(key)) is not None}
        missing = [key for key in dict.fromkeys(keys) if key not in known]
        if missing:
            for key, line in zip(missing, map_lines(self.networks, missing), strict=True):
                known[key] = line
                self._known.put(key, line)
        return [known[key] for key in keys]


def _line_of(edit: Line) -> Line:
    """An edit reduced to what decides where its segments lie, so that its look can change at no cost."""
    return Line(
        frame=edit.frame,
        points=edit.points,
        width=edit.width,
        point_widths=edit.point_widths,
        point_opacities=edit.point_opacities,
        closed=edit.closed,
        smooth=edit.smooth,
        space=edit.space,
        video_layer=edit.video_layer,
    )


def resample_all(edits: Sequence[Line], places: Floats64 | None = None) -> tuple[Floats64, Floats64, Ints]:
    """`strokes.resample` of many edits at once.

    Args:
        places: [edits, 3] what each edit's points are measured in: the corner (x, y) and the side of a box of
            pixels; pixels by default.

    Returns:
        All points [n, 2] in pixels, their factors of the width and opacities [n, 2], and how many points
        belong to each edit.
    """
    if places is None:
        places = np.tile((0.0, 0.0, 1.0), (len(edits), 1))
    closed = np.array([edit.closed for edit in edits])
    counts = np.array([len(edit.points) for edit in edits]) + closed
    owner = np.repeat(np.arange(len(edits)), counts)
    corners = np.concatenate(
        [np.asarray((*edit.points, edit.points[0]) if edit.closed else edit.points, float) for edit in edits]
    )
    corners = corners * places[owner, 2:] + places[owner, :2]
    spacing = np.clip(np.array([edit.width for edit in edits]) * places[:, 2] / 3, *strokes.SPACING_PX)
    last = np.append(owner[1:] != owner[:-1], True)
    along = np.diff(corners, axis=0, append=corners[-1:])
    along[last] = 0.0
    length = np.hypot(along[:, 0], along[:, 1])
    steps = np.maximum(1, np.ceil(length / spacing[owner])).astype(np.int64)
    # The last corner stands for itself, but an outline's is its first again.
    steps[last & closed[owner]] = 0
    # What bends: spans of smooth edits that have a length.
    smooth = np.array([edit.smooth for edit in edits])
    bent = np.flatnonzero(smooth[owner] & (length > 0))
    spans = curves.spans_of_lines(corners[bent], corners[bent + 1], owner[bent], closed[owner[bent]])
    steps[bent] = curves.span_steps(spans, spacing[owner[bent]])
    source = np.repeat(np.arange(len(corners)), steps)
    share = (np.arange(len(source)) - np.repeat(np.cumsum(steps) - steps, steps)) / steps[source]
    fine = corners[source] + along[source] * share[:, None]
    if len(bent):
        number = np.full(len(corners), -1)
        number[bent] = np.arange(len(bent))
        own = np.flatnonzero(number[source] >= 0)
        fine[own] = curves.evaluate(spans[number[source[own]]], share[own])
    return fine, _tapers(edits, counts, source, share), np.bincount(owner[source], minlength=len(edits))


def _tapers(edits: Sequence[Line], counts: Ints, source: Ints, share: Floats64) -> Floats64:
    """Factors of the width and opacities [n, 2] a share of the way on from the points `source`, each [n].

    Args:
        counts: how many points each edit has, an outline's first one twice.
    """
    if all(edit.point_widths is None and edit.point_opacities is None for edit in edits):
        return np.ones((len(source), 2))
    values = np.ones((int(counts.sum()), 2))
    for edit, low in zip(edits, np.cumsum(counts) - counts, strict=True):
        for column, given in enumerate((edit.point_widths, edit.point_opacities)):
            if given is not None:
                values[low : low + len(given), column] = given
    after = np.minimum(source + 1, len(values) - 1)
    return values[source] + (values[after] - values[source]) * share[:, None]


def map_lines(networks: LineNetworks, edits: Sequence[Line]) -> list[MappedLine]:
    """Map edits to the atlas; `strokes.chain_of_edit` is its twin."""
    model = networks.model
    times = np.array([frame_index(model, edit.frame) for edit in edits])
    layers = _video_layers(networks, edits, times)
    on_atlas = np.array([edit.space == "atlas" for edit in edits])
    boxes = np.array([(box.x0, box.y0, box.size) for box in model.geometry.boxes])
    fine, tapers, counts = resample_all(
        edits, np.where(on_atlas[:, None], boxes[layers], np.array([0.0, 0.0, 1.0]))
    )
    owner = np.repeat(np.arange(len(edits)), counts)
    # What was drawn on the atlas is where it belongs, and measured in sides of the box.
    uv = fine.astype(np.float32)
    back = (np.eye(2) / boxes[layers, 2, None, None])[owner].astype(np.float32)
    for layer in np.unique(layers):
        own = np.flatnonzero((layers[owner] == layer) & ~on_atlas[owner])
        if len(own):
            uv[own], back[own] = _mapped(networks, int(layer), fine[own], times[owner[own]])
    start, end = _segment_ends(counts, np.array([edit.closed for edit in edits]))
    to_drawn = ((back[start] + back[end]) / 2).astype(np.float32)
    rows = segment_rows(uv[start], uv[end], to_drawn, tapers[start], tapers[end])
    # On the frame that it was drawn on a line needs no map.
    upright = np.tile(np.eye(2, dtype=np.float32), (len(start), 1, 1))
    xy = fine.astype(np.float32)
    drawn_rows = segment_rows(xy[start], xy[end], upright, tapers[start], tapers[end])
    ends = np.cumsum(np.bincount(owner[start], minlength=len(edits)))
    parts = zip(
        layers, times, on_atlas, np.split(rows, ends[:-1]), np.split(drawn_rows, ends[:-1]), strict=True
    )
    # Each has its own memory, or one would keep that of all.
    return [
        MappedLine(int(layer), part.copy())
        if nowhere
        else MappedLine(int(layer), part.copy(), int(frame), drawn.copy())
        for layer, frame, nowhere, part, drawn in parts
    ]


def _mapped(networks: LineNetworks, layer: int, xy: Floats64, t: Ints) -> tuple[Floats, Floats]:
    """Atlas positions [n, 2] of picture coordinates, and d(picture pixel)/d(uv) there [n, 2, 2]."""
    half = 0.5
    offsets = np.array([[0, 0], [half, 0], [-half, 0], [0, half], [0, -half]])
    probes = (xy[None] + offsets[:, None]).reshape(-1, 2) / networks.model.geometry.grid.factors
    uv = networks.positions(layer, probes.astype(np.float32), np.tile(t, 5)).reshape(5, -1, 2)
    jacobian = np.stack((uv[1] - uv[2], uv[3] - uv[4]), -1) / (2 * half)
    return uv[0], strokes.invert_jacobian(torch.from_numpy(jacobian)).numpy()


def _video_layers(networks: LineNetworks, edits: Sequence[Line], times: Ints) -> Ints:
    """Index of each edit's video layer; `auto` takes the one most visible under its own points."""
    model = networks.model
    layers = np.array([layer_index(model, edit.video_layer) for edit in edits])
    open_ones = np.flatnonzero(layers < 0)
    if len(open_ones):
        drawn = [np.asarray(edits[int(k)].points) for k in open_ones]
        points, counts = np.concatenate(drawn), np.array([len(one) for one in drawn])
        owner = np.repeat(np.arange(len(open_ones)), counts)
        xy = (points / model.geometry.grid.factors).astype(np.float32)
        first = np.cumsum(counts) - counts
        seen = networks.visibility(xy, times[open_ones][owner])
        layers[open_ones] = np.add.reduceat(seen, first, axis=0).argmax(1)
    return layers


def _segment_ends(counts: Ints, closed: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Indices of each segment's two points; a dot is a segment of no length, an outline ends in its start."""
    first = np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(counts)), counts)
    start = np.arange(len(owner))
    end = start + 1
    last = end == (first + counts)[owner]
    end[last] = first[owner[last]]
    kept = ~last | closed[owner] | (counts == 1)[owner]
    return start[kept], end[kept]


def segment_rows(
    start: Floats,
    end: Floats,
    to_drawn: Floats,
    taper_start: Floats64 | None = None,
    taper_end: Floats64 | None = None,
) -> Floats:
    """Rows [s, SEGMENT_FLOATS] of segments.

    Args:
        start, end: [s, 2] atlas pixels, or picture pixels where they were drawn.
        to_drawn: [s, 2, 2] from these to drawn pixels.
        taper_start, taper_end: [s, 2] factor of the width and opacity there; 1 by default.
    """
    rows = np.zeros((len(start), SEGMENT_FLOATS), np.float32)
    rows[:, START : START + 2], rows[:, END : END + 2] = start, end
    rows[:, TO_DRAWN : TO_DRAWN + 4] = to_drawn.reshape(-1, 4)
    along = (to_drawn @ (end - start)[..., None])[..., 0]
    rows[:, ALONG : ALONG + 2] = along
    rows[:, PER_LENGTH] = 1 / np.maximum((along * along).sum(-1), 1e-12)
    rise = end[:, 1] - start[:, 1]
    rows[:, SLOPE] = (end[:, 0] - start[:, 0]) / np.where(rise == 0, 1, rise)
    area = np.abs(determinant(torch.from_numpy(to_drawn)).numpy())
    rows[:, SCALE] = np.sqrt(area)
    # A disc on the drawn frame is an ellipse in the atlas; this is its bounding box.
    squares = to_drawn.astype(np.float64) ** 2
    reach = np.sqrt(squares.sum(1)[:, ::-1]) / np.maximum(area, 1e-12)[:, None]
    rows[:, SPREAD : SPREAD + 2] = np.minimum(reach, FURTHEST_PX)
    for number, taper in enumerate((taper_start, taper_end)):
        both = np.ones(2) if taper is None else taper.T
        rows[:, WIDTHS + number], rows[:, OPACITIES + number] = both
    return rows
