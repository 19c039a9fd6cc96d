"""Painting from a table of segments as one Triton kernel: many frames' tiles in one launch.

The same as `painting.paint`, whose names this file uses. Each thread has a pixel and walks the entries of its
cells by itself, one for each video layer at once and one of the picture, always the one of the lowest edit
next; a program is one warp, so that only neighbours wait for each other. Triton may be missing or broken, and
then importing this file fails; `backends` finds out.
"""

from typing import Any

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from inve_core.rendering import blending, chains, edit_rows, table
from inve_core.rendering.cells import Ints
from inve_core.rendering.fields import FULL, LARGEST_FOOTPRINT_PX, TILE
from inve_core.rendering.painting import FAINTEST, Canvas, TileFields, Work
from inve_core.rendering.table import PaintTable
from inve_core.rendering.triton_colour import blended, blended_layer, finite_in_half, graded, rest

# Pixels of a program, which is one warp.
WIDE, TALL = 8, 4
_LAUNCH: dict[str, Any] = {"num_warps": 1}
# Larger than any entry's second number.
NOTHING_LEFT = 2**31 - 1
# Numbers of a tile: picture, corner on it, slot, active layers, frame, its first cell, corner on it.
WORK_COLUMNS = 9
# The frame of tiles whose frame nothing was drawn on: that of no edit.
NOT_DRAWN_ON = chains.NO_FRAME - 1

_TILE = tl.constexpr(TILE)
_FULL = tl.constexpr(float(FULL))
_FAINTEST = tl.constexpr(FAINTEST)
_LEAST_AREA = tl.constexpr(1e-8)
_LARGEST_AREA = tl.constexpr(LARGEST_FOOTPRINT_PX**2)
_NOTHING_LEFT = tl.constexpr(NOTHING_LEFT)
_WORK_COLUMNS = tl.constexpr(WORK_COLUMNS)
_EDIT_SHIFT = tl.constexpr(table.EDIT_SHIFT)
_SOLID = tl.constexpr(table.SOLID)
_LAST = tl.constexpr(table.LAST)
_SEGMENT_FLOATS = tl.constexpr(chains.SEGMENT_FLOATS)
_START = tl.constexpr(chains.START)
_END = tl.constexpr(chains.END)
_TO_DRAWN = tl.constexpr(chains.TO_DRAWN)
_ALONG = tl.constexpr(chains.ALONG)
_PER_LENGTH = tl.constexpr(chains.PER_LENGTH)
_SLOPE = tl.constexpr(chains.SLOPE)
_SCALE = tl.constexpr(chains.SCALE)
_WIDTHS = tl.constexpr(chains.WIDTHS)
_OPACITIES = tl.constexpr(chains.OPACITIES)
_EDIT_FLOATS = tl.constexpr(edit_rows.EDIT_FLOATS)
_RADIUS = tl.constexpr(edit_rows.RADIUS)
_SOFTNESS = tl.constexpr(edit_rows.SOFTNESS)
_CLOSED = tl.constexpr(edit_rows.CLOSED)
_TAPERED = tl.constexpr(edit_rows.TAPERED)
_OPACITY = tl.constexpr(edit_rows.OPACITY)
_ADJUSTS = tl.constexpr(edit_rows.ADJUSTS)
_BLEND = tl.constexpr(edit_rows.BLEND)
_VIDEO_LAYER = tl.constexpr(edit_rows.VIDEO_LAYER)
_FRAME = tl.constexpr(edit_rows.FRAME)
_LAYER = tl.constexpr(edit_rows.LAYER)
_LAYER_OPACITY = tl.constexpr(edit_rows.LAYER_OPACITY)
_LAYER_BLEND = tl.constexpr(edit_rows.LAYER_BLEND)
_COLOUR = tl.constexpr(edit_rows.COLOUR)
_ERASE = tl.constexpr(edit_rows.ERASE)
_OPAQUE_WITHIN = tl.constexpr(blending.OPAQUE_WITHIN)


@torch.no_grad()
def paint(edits: PaintTable, fields: TileFields, work: Work, canvas: Canvas) -> None:
    """Paint a table's edits on tiles of a canvas."""
    if not len(work) or not len(edits.entries):
        return
    device = canvas.pixels.device
    layers = fields.uv.shape[1]
    if canvas.index is None:
        bits = work.active.astype(np.int64) @ (1 << np.arange(layers))
        columns = np.column_stack((work.places, work.slots, bits, _frame_columns(edits, work)))
        height, width = canvas.pixels.shape[1:3]
    else:
        # A tile for each of its layers.
        tile, layer = np.nonzero(work.active[:, edits.layers])
        layer = np.array(edits.layers)[layer]
        picture, slots, nothing = work.places[tile, 0], work.slots[tile], np.zeros_like(tile)
        frames = _frame_columns(edits, work)[tile]
        columns = np.column_stack((picture, layer, nothing, slots, 1 << layer, frames))
        height = width = 0
    rows, segments, starts, entries = edits.on(device)
    places, counts = _grids_on(edits, device)
    painted = canvas.pixels if canvas.painted is None else canvas.painted
    # All that plain strokes have no need of is one switch, or there were too many kernels to be compiled.
    effects = edits.has_outlines or edits.has_adjustments or edits.has_blends
    with torch.cuda.device_of(canvas.pixels):
        _paint[(len(columns) * (TILE // WIDE) * (TILE // TALL),)](
            canvas.pixels,
            canvas.touched.view(torch.uint8),
            painted,
            fields.uv,
            fields.visible,
            rows,
            segments,
            starts,
            entries,
            torch.from_numpy(columns.astype(np.int32)).to(device),
            places,
            counts,
            starts if canvas.index is None else canvas.index,
            height,
            width,
            int(canvas.index is not None),
            *work.pixel,
            LAYERS=layers,
            PADDED=triton.next_power_of_2(layers),
            WIDE=WIDE,
            TALL=TALL,
            TAPERS=edits.has_tapers,
            EFFECTS=effects,
            WANTS_PAINTED=canvas.painted is not None,
            **_LAUNCH,
        )


def _frame_columns(edits: PaintTable, work: Work) -> Ints:
    """The last of each tile's WORK_COLUMNS: [n, 4]."""
    firsts = edits.first_cells(work.frames)
    return np.column_stack((np.where(firsts >= 0, work.frames, NOT_DRAWN_ON), firsts, work.corners))


def _grids_on(edits: PaintTable, device: torch.device) -> tuple[Tensor, ...]:
    """Corner and cell [layers + 1, 3] float32, and columns, rows and first cell [layers + 1, 3] int32.

    The last is that of a picture.
    """

    def make() -> tuple[Tensor, ...]:
        grids = (*edits.grids.atlas, edits.grids.picture)
        places = [(grid.x0, grid.y0, grid.cell) for grid in grids]
        counts = [(grid.columns, grid.rows, grid.first) for grid in grids]
        return (
            torch.tensor(places, dtype=torch.float32).to(device),
            torch.tensor(counts, dtype=torch.int32).to(device),
        )

    return edits.copied("grids", device, make)


@triton.jit
def _profile(z, soft):
    """As `strokes.edge_profile`."""
    ramp = tl.minimum(tl.maximum(0.5 + 0.5 * z, 0.0), 1.0)
    return tl.where(soft, ramp * ramp * (3.0 - 2.0 * ramp), ramp)


@triton.jit
def _picked(chosen, values):
    """The value of the chosen layer: [layers, pixels] to [pixels]."""
    return tl.sum(tl.where(chosen, values, 0.0), 0)


@triton.jit
def _line(distance, radius, half, soft):
    """As `strokes.line_coverage`."""
    return _profile((radius - distance) / half, soft) - _profile((-radius - distance) / half, soft)


# What no kernel is to be compiled for once more.
@triton.jit(do_not_specialize=["height", "width", "indexed", "pixel_width", "pixel_height", "pixel_span"])
def _paint(
    pixels,
    touched,
    painted,
    uv,
    visible,
    edits,
    segments,
    starts,
    entries,
    work,
    grid_places,
    grid_counts,
    index,
    height,
    width,
    indexed,
    pixel_width,
    pixel_height,
    pixel_span,
    LAYERS: tl.constexpr,
    PADDED: tl.constexpr,
    WIDE: tl.constexpr,
    TALL: tl.constexpr,
    TAPERS: tl.constexpr,
    EFFECTS: tl.constexpr,
    WANTS_PAINTED: tl.constexpr,
):
    """WIDE x TALL pixels of one tile."""
    across: tl.constexpr = _TILE // WIDE
    blocks: tl.constexpr = across * (_TILE // TALL)
    tile = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    numbers = work + tile * _WORK_COLUMNS
    picture = tl.load(numbers).to(tl.int64)
    corner_x = tl.load(numbers + 1)
    corner_y = tl.load(numbers + 2)
    slot = tl.load(numbers + 3).to(tl.int64)
    active = tl.load(numbers + 4)
    frame = tl.load(numbers + 5)
    first_cell = tl.load(numbers + 6)

    lane = tl.arange(0, WIDE * TALL)
    tile_x = block % across * WIDE + lane % WIDE
    tile_y = block // across * TALL + lane // WIDE
    x = corner_x + tile_x
    y = corner_y + tile_y
    pixel = tile_y * _TILE + tile_x
    if indexed != 0:
        row = tl.load(index + picture * (_TILE * _TILE) + pixel).to(tl.int64)
        inside = row >= 0
        place = (row * LAYERS + corner_x) * 4
    else:
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        place = ((picture * height + y) * width + x) * 4
    # Layers stand before pixels, so that a thread has all layers of its own pixel.
    layer = tl.arange(0, PADDED)
    present = (layer < LAYERS) & (((active >> layer) & 1) == 1)
    known = inside[None, :] & present[:, None]
    plane = uv + (slot * LAYERS + layer[:, None]) * (_TILE * _TILE * 2)
    u = tl.load(plane + pixel[None, :] * 2, mask=known, other=0.0)
    v = tl.load(plane + pixel[None, :] * 2 + 1, mask=known, other=0.0)
    shown = tl.load(
        visible + (slot * (_TILE * _TILE) + pixel[None, :]) * LAYERS + layer[:, None], mask=known, other=0
    )
    known = known & (shown > 0) & (u == u) & (v == v)
    grid = grid_places + layer[:, None] * 3
    real = layer[:, None] < LAYERS
    cell_px = tl.load(grid + 2, mask=real, other=1.0)
    column = tl.floor((u - tl.load(grid, mask=real, other=0.0)) / cell_px)
    grid_row = tl.floor((v - tl.load(grid + 1, mask=real, other=0.0)) / cell_px)
    counts = grid_counts + layer[:, None] * 3
    columns = tl.load(counts, mask=real, other=1)
    rows = tl.load(counts + 1, mask=real, other=1)
    # What is no number must not become an index.
    column = tl.minimum(tl.maximum(tl.where(known, column, 0.0), 0.0), (columns - 1).to(tl.float32))
    grid_row = tl.minimum(tl.maximum(tl.where(known, grid_row, 0.0), 0.0), (rows - 1).to(tl.float32))
    cell = grid_row.to(tl.int32) * columns + column.to(tl.int32) + tl.load(counts + 2, mask=real, other=0)
    begin = tl.load(starts + cell, mask=known, other=0)
    end = tl.load(starts + cell + 1, mask=known, other=0)
    # What was drawn on this very frame is found by the place in its picture.
    on_frame = inside & (first_cell >= 0)
    picture_x = ((tl.load(numbers + 7) + tile_x).to(tl.float32) + 0.5) * pixel_width
    picture_y = ((tl.load(numbers + 8) + tile_y).to(tl.float32) + 0.5) * pixel_height
    grid = grid_places + LAYERS * 3
    cell_px = tl.load(grid + 2)
    column = tl.floor((picture_x - tl.load(grid)) / cell_px)
    grid_row = tl.floor((picture_y - tl.load(grid + 1)) / cell_px)
    counts = grid_counts + LAYERS * 3
    columns = tl.load(counts)
    column = tl.minimum(tl.maximum(column, 0.0), (columns - 1).to(tl.float32))
    grid_row = tl.minimum(tl.maximum(grid_row, 0.0), (tl.load(counts + 1) - 1).to(tl.float32))
    cell = grid_row.to(tl.int32) * columns + column.to(tl.int32) + first_cell
    drawn_begin = tl.load(starts + cell, mask=on_frame, other=0)
    drawn_end = tl.load(starts + cell + 1, mask=on_frame, other=0)
    steps = tl.max(tl.sum(end - begin, 0) + drawn_end - drawn_begin, 0)
    if steps > 0:
        left = pixel - (tile_x == _TILE - 1).to(tl.int32)
        top = pixel - _TILE * (tile_y == _TILE - 1).to(tl.int32)
        left_place = plane + left[None, :] * 2
        top_place = plane + top[None, :] * 2
        ux = tl.load(left_place + 2, mask=known, other=0.0) - tl.load(left_place, mask=known, other=0.0)
        vx = tl.load(left_place + 3, mask=known, other=0.0) - tl.load(left_place + 1, mask=known, other=0.0)
        uy = tl.load(top_place + _TILE * 2, mask=known, other=0.0) - tl.load(top_place, mask=known, other=0.0)
        vy = tl.load(top_place + _TILE * 2 + 1, mask=known, other=0.0) - tl.load(
            top_place + 1, mask=known, other=0.0
        )
        area = tl.abs(ux * vy - vx * uy)
        area = tl.where(area == area, area, 0.0)
        span = tl.sqrt(tl.minimum(tl.maximum(area, _LEAST_AREA), _LARGEST_AREA))
        share = tl.where(indexed != 0, 1.0, shown.to(tl.float32) / _FULL)

        below_r = tl.load(pixels + place, mask=inside, other=0.0).to(tl.float32)
        below_g = tl.load(pixels + place + 1, mask=inside, other=0.0).to(tl.float32)
        below_b = tl.load(pixels + place + 2, mask=inside, other=0.0).to(tl.float32)
        below_a = tl.load(pixels + place + 3, mask=inside, other=0.0).to(tl.float32)
        zero = tl.zeros([WIDE * TALL], tl.float32)
        top_r = zero
        top_g = zero
        top_b = zero
        top_a = zero
        level = zero - 1.0
        layer_opacity = zero
        layer_blend = zero
        widest = zero
        keeps = zero > 1.0
        changed = zero > 1.0
        best = zero + 1e30
        scale = zero
        crossings = tl.zeros([WIDE * TALL], tl.int32)
        for _ in range(steps):
            left_over = begin < end
            tags = tl.load(entries + begin * 2 + 1, mask=left_over, other=_NOTHING_LEFT)
            # An edit lies on one video layer, so that the lowest is one entry of one layer or of the frame.
            lowest = tl.min(tags, 0)
            drawn_left = drawn_begin < drawn_end
            drawn_tag = tl.load(entries + drawn_begin * 2 + 1, mask=drawn_left, other=_NOTHING_LEFT)
            drawn = drawn_tag < lowest
            tag = tl.minimum(lowest, drawn_tag)
            live = tag != _NOTHING_LEFT
            chosen = left_over & (tags == tag[None, :])
            number = tl.sum(tl.load(entries + begin * 2, mask=chosen, other=0), 0)
            number += tl.load(entries + drawn_begin * 2, mask=drawn, other=0)
            begin += chosen.to(tl.int32)
            drawn_begin += drawn.to(tl.int32)
            at_u = tl.where(drawn, picture_x, _picked(chosen, u))
            at_v = tl.where(drawn, picture_y, _picked(chosen, v))
            segment = segments + number * _SEGMENT_FLOATS
            start_u = tl.load(segment + _START, mask=live, other=0.0)
            start_v = tl.load(segment + _START + 1, mask=live, other=0.0)
            du = at_u - start_u
            dv = at_v - start_v
            away_x = tl.load(segment + _TO_DRAWN, mask=live, other=0.0) * du
            away_x += tl.load(segment + _TO_DRAWN + 1, mask=live, other=0.0) * dv
            away_y = tl.load(segment + _TO_DRAWN + 2, mask=live, other=0.0) * du
            away_y += tl.load(segment + _TO_DRAWN + 3, mask=live, other=0.0) * dv
            along_x = tl.load(segment + _ALONG, mask=live, other=0.0)
            along_y = tl.load(segment + _ALONG + 1, mask=live, other=0.0)
            part = (away_x * along_x + away_y * along_y) * tl.load(
                segment + _PER_LENGTH, mask=live, other=0.0
            )
            part = tl.minimum(tl.maximum(part, 0.0), 1.0)
            away_x -= part * along_x
            away_y -= part * along_y
            distance = away_x * away_x + away_y * away_y
            closer = live & (distance < best)
            best = tl.where(closer, distance, best)
            scale = tl.where(closer, tl.load(segment + _SCALE, mask=live, other=0.0), scale)
            if TAPERS:
                # Where widths change the nearest segment is not always the one that covers most.
                edit = edits + (tag >> _EDIT_SHIFT) * _EDIT_FLOATS
                tapers = live & (tl.load(edit + _TAPERED, mask=live, other=0.0) > 0)
                first = tl.load(segment + _WIDTHS, mask=tapers, other=1.0)
                factor = first + (tl.load(segment + _WIDTHS + 1, mask=tapers, other=1.0) - first) * part
                first = tl.load(segment + _OPACITIES, mask=tapers, other=1.0)
                opacity = first + (tl.load(segment + _OPACITIES + 1, mask=tapers, other=1.0) - first) * part
                softness = tl.load(edit + _SOFTNESS, mask=tapers, other=1.0) * factor
                footprint = tl.where(drawn, pixel_span, _picked(chosen, span))
                footprint = footprint * tl.load(segment + _SCALE, mask=tapers, other=0.0) / 2
                half = tl.where(tapers, tl.maximum(footprint, softness), 1.0)
                radius = tl.load(edit + _RADIUS, mask=tapers, other=1.0) * factor
                cover = _line(tl.sqrt(distance), radius, half, footprint < softness) * opacity
                widest = tl.where(tapers, tl.maximum(widest, cover), widest)
            if EFFECTS:
                end_v = tl.load(segment + _END + 1, mask=live, other=0.0)
                slope = tl.load(segment + _SLOPE, mask=live, other=0.0)
                straddles = (start_v > at_v) != (end_v > at_v)
                crossings += (live & straddles & (at_u < start_u + dv * slope)).to(tl.int32)
            done = live & ((tag & _LAST) != 0)
            if tl.max(done.to(tl.int32), 0) > 0:
                edit = edits + (tag >> _EDIT_SHIFT) * _EDIT_FLOATS
                radius = tl.load(edit + _RADIUS, mask=done, other=1.0)
                softness = tl.load(edit + _SOFTNESS, mask=done, other=1.0)
                footprint = tl.where(drawn, pixel_span, _picked(chosen, span)) * scale / 2
                half = tl.maximum(footprint, softness)
                half = tl.where(done, half, 1.0)
                soft = footprint < softness
                distance = tl.sqrt(best)
                cover = _line(distance, radius, half, soft)
                if TAPERS:
                    cover = tl.where(tl.load(edit + _TAPERED, mask=done, other=0.0) > 0, widest, cover)
                if EFFECTS:
                    outline = tl.load(edit + _CLOSED, mask=done, other=0.0) > 0
                    signed = tl.where(crossings % 2 == 1, distance, -distance)
                    filled = _profile(signed / half, soft)
                    filled = tl.where((tag & _SOLID) != 0, 1.0, filled)
                    cover = tl.where(outline, filled, cover)
                # Of what was drawn here the atlas's entries are passed over, and layers that are not wanted.
                own = (tl.load(edit + _FRAME, mask=done, other=0.0) == frame) & (drawn == 0)
                video_layer = tl.load(edit + _VIDEO_LAYER, mask=done & drawn, other=0.0).to(tl.int32)
                drawn_share = tl.load(
                    visible + (slot * (_TILE * _TILE) + pixel) * LAYERS + video_layer,
                    mask=done & drawn & (((active >> video_layer) & 1) == 1),
                    other=0,
                ).to(tl.float32)
                drawn_share = tl.where(indexed != 0, (drawn_share > 0).to(tl.float32), drawn_share / _FULL)
                cover = cover * tl.where(drawn, drawn_share, _picked(chosen, share))
                hit = done & (cover >= _FAINTEST) & (own == 0)
                cover = tl.where(hit, cover * tl.load(edit + _OPACITY, mask=done, other=0.0), 0.0)
                edit_layer = tl.load(edit + _LAYER, mask=done, other=0.0)
                # The edit layers before this one are done with: they become what is below.
                merged = (top_r != 0) | (top_g != 0) | (top_b != 0) | (top_a != 0)
                merged = merged & hit & (edit_layer != level)
                part_r, part_g, part_b, part_a = blended_layer(
                    top_r, top_g, top_b, top_a, below_r, below_g, below_b, below_a,
                    layer_opacity, layer_blend, EFFECTS,
                )  # fmt: skip
                below_r = tl.where(merged, part_r + rest(below_r, part_a), below_r)
                below_g = tl.where(merged, part_g + rest(below_g, part_a), below_g)
                below_b = tl.where(merged, part_b + rest(below_b, part_a), below_b)
                below_a = tl.where(merged & (keeps == 0), part_a + rest(below_a, part_a), below_a)
                top_r = tl.where(merged, 0.0, top_r)
                top_g = tl.where(merged, 0.0, top_g)
                top_b = tl.where(merged, 0.0, top_b)
                top_a = tl.where(merged, 0.0, top_a)
                changed = changed | merged

                laid_r = tl.load(edit + _COLOUR, mask=hit, other=0.0)
                laid_g = tl.load(edit + _COLOUR + 1, mask=hit, other=0.0)
                laid_b = tl.load(edit + _COLOUR + 2, mask=hit, other=0.0)
                laid_a = tl.load(edit + _COLOUR + 3, mask=hit, other=0.0)
                adjusts = tl.load(edit + _ADJUSTS, mask=hit, other=0.0) > 0
                next_blend = tl.load(edit + _LAYER_BLEND, mask=hit, other=0.0)
                covered = laid_a * cover
                if EFFECTS:
                    # Strokes of a layer that is itself blended meet that layer alone.
                    alone = next_blend != 0
                    r = tl.where(alone, top_r, top_r + rest(below_r, top_a))
                    g = tl.where(alone, top_g, top_g + rest(below_g, top_a))
                    b = tl.where(alone, top_b, top_b + rest(below_b, top_a))
                    a = tl.where(alone, top_a, top_a + rest(below_a, top_a))
                    blend = tl.load(edit + _BLEND, mask=hit, other=0.0)
                    laid_r = blended(blend, laid_r, laid_a, r, a)
                    laid_g = blended(blend, laid_g, laid_a, g, a)
                    laid_b = blended(blend, laid_b, laid_a, b, a)
                    erases = blend == _ERASE
                    laid_r = tl.where(erases, 0.0, laid_r)
                    laid_g = tl.where(erases, 0.0, laid_g)
                    laid_b = tl.where(erases, 0.0, laid_b)
                    laid_a = tl.where(erases, 0.0, laid_a)
                    if tl.max((hit & adjusts).to(tl.int32), 0) > 0:
                        new_r, new_g, new_b = graded(edit, hit & adjusts, r, g, b, a)
                        laid_r = tl.where(adjusts, new_r, laid_r)
                        laid_g = tl.where(adjusts, new_g, laid_g)
                        laid_b = tl.where(adjusts, new_b, laid_b)
                # Where nothing is laid even NaN stays out.
                top_r = tl.where(hit, laid_r * cover + rest(top_r, covered), top_r)
                top_g = tl.where(hit, laid_g * cover + rest(top_g, covered), top_g)
                top_b = tl.where(hit, laid_b * cover + rest(top_b, covered), top_b)
                top_a = tl.where(hit, laid_a * cover + rest(top_a, covered), top_a)
                layer_opacity = tl.where(
                    hit, tl.load(edit + _LAYER_OPACITY, mask=hit, other=0.0), layer_opacity
                )
                layer_blend = tl.where(hit, next_blend, layer_blend)
                level = tl.where(hit, edit_layer, level)
                keeps = (hit & adjusts) | ((hit == 0) & keeps)
                best = tl.where(done, 1e30, best)
                scale = tl.where(done, 0.0, scale)
                widest = tl.where(done, 0.0, widest)
                crossings = tl.where(done, 0, crossings)

        merged = (top_r != 0) | (top_g != 0) | (top_b != 0) | (top_a != 0)
        part_r, part_g, part_b, part_a = blended_layer(
            top_r, top_g, top_b, top_a, below_r, below_g, below_b, below_a,
            layer_opacity, layer_blend, EFFECTS,
        )  # fmt: skip
        new_r = part_r + rest(below_r, part_a)
        new_g = part_g + rest(below_g, part_a)
        new_b = part_b + rest(below_b, part_a)
        if WANTS_PAINTED:
            # As `blending.lay_over` has it where alpha stays as it is.
            clear = merged & keeps & ((tl.abs(below_a - 1.0) <= _OPAQUE_WITHIN) == 0)
            tl.store(painted + place, tl.where(clear, new_r - below_r, part_r), mask=merged & inside)
            tl.store(painted + place + 1, tl.where(clear, new_g - below_g, part_g), mask=merged & inside)
            tl.store(painted + place + 2, tl.where(clear, new_b - below_b, part_b), mask=merged & inside)
            tl.store(painted + place + 3, tl.where(clear, 0.0, part_a), mask=merged & inside)
        below_r = tl.where(merged, new_r, below_r)
        below_g = tl.where(merged, new_g, below_g)
        below_b = tl.where(merged, new_b, below_b)
        below_a = tl.where(merged & (keeps == 0), part_a + rest(below_a, part_a), below_a)
        changed = (changed | merged) & inside
        kind = pixels.dtype.element_ty
        if kind == tl.float16:
            below_r = finite_in_half(below_r)
            below_g = finite_in_half(below_g)
            below_b = finite_in_half(below_b)
            below_a = finite_in_half(below_a)
        tl.store(pixels + place, below_r.to(kind), mask=changed)
        tl.store(pixels + place + 1, below_g.to(kind), mask=changed)
        tl.store(pixels + place + 2, below_b.to(kind), mask=changed)
        tl.store(pixels + place + 3, below_a.to(kind), mask=changed)
        tl.store(touched + place // 4, tl.full([WIDE * TALL], 1, tl.uint8), mask=changed)
