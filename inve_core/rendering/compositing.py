"""Edits of a table laid over colours, pixel by pixel, in their order."""

from typing import NamedTuple

import torch
from torch import Tensor

from inve_core.rendering import edit_rows
from inve_core.rendering.blending import Laid, blended, lay_over, rest
from inve_core.rendering.edit_rows import ADJUSTS, COLOUR, LAYER, LAYER_BLEND, LAYER_OPACITY
from inve_core.rendering.grading import graded
from inve_core.rendering.table import PaintTable


class Composite(NamedTuple):
    """What edits make of pixels.

    Attributes:
        colours: [n, 4] premultiplied.
        changed: [n] bool, where that is not what was there before.
        part: [n, 4] what, laid *over* what is below the last edit layer, makes it so.
    """

    colours: Tensor
    changed: Tensor
    part: Tensor


def composite(
    edits: PaintTable, below: Tensor, place: Tensor, rank: Tensor, numbers: Tensor, covers: Tensor
) -> Composite:
    """Lay edits over pixels: the lowest of each pixel, then the next of each, and so on.

    Args:
        below: [n, 4] float32, premultiplied.
        place: [m] the pixel of each cover.
        rank: [m] how many covers of its pixel come before it.
        numbers: [m] its edit.
        covers: [m] how much that covers, 0..1.
    """
    rows, below = edits.heads(below.device), below.clone()
    top = torch.zeros_like(below)
    # The edit that was laid last.
    last = torch.zeros(len(below), dtype=torch.long, device=below.device)
    touched = torch.zeros(len(below), dtype=torch.bool, device=below.device)
    order = rank.argsort(stable=True)
    for chosen in order.split(torch.bincount(rank).tolist()):
        at, number, cover = place[chosen], numbers[chosen], covers[chosen]
        row, before = rows[number], rows[last[at]]
        ground, own = below[at], top[at]
        fresh = (before[:, LAYER] != row[:, LAYER]) & (own != 0).any(-1)
        if bool(fresh.any()):
            merged = _lay_over(edits, before, own, ground).result
            ground = torch.where(fresh[:, None], merged, ground)
            own = torch.where(fresh[:, None], torch.zeros_like(own), own)
            touched[at] |= fresh
            below[at] = ground
        top[at] = _with_edit(edits, number, row, cover * row[:, edit_rows.OPACITY], own, ground)
        last[at] = number
    part, result = _lay_over(edits, rows[last], top, below)
    painted = (top != 0).any(-1)
    colours = torch.where(painted[:, None], result, below)
    return Composite(colours, touched | painted, torch.where(painted[:, None], part, torch.zeros_like(part)))


def _lay_over(edits: PaintTable, row: Tensor, top: Tensor, below: Tensor) -> Laid:
    """Lay edit layers over what is below them, each of which is that of an edit of `row` [n, HEAD_FLOATS]."""
    blend = row[:, LAYER_BLEND] if edits.has_blends else None
    keeps = row[:, ADJUSTS] > 0 if edits.has_adjustments else None
    return lay_over(top, below, row[:, LAYER_OPACITY], blend, keeps)


def _with_edit(
    edits: PaintTable, numbers: Tensor, row: Tensor, cover: Tensor, top: Tensor, ground: Tensor
) -> Tensor:
    """An edit layer with one edit more, premultiplied [n, 4].

    Args:
        numbers, row, cover: [n], [n, HEAD_FLOATS] and [n] of the edit.
        top: [n, 4] the layer so far.
        ground: [n, 4] what is below it.
    """
    laid = row[:, COLOUR : COLOUR + 4] * cover[:, None]
    if not edits.has_adjustments and not edits.has_blends:
        return laid + rest(top, laid[:, 3:])
    beneath, left = top + rest(ground, top[:, 3:]), rest(top, laid[:, 3:])
    if edits.has_blends:
        # Strokes of a layer that is itself blended meet that layer alone.
        alone = (row[:, LAYER_BLEND] != edit_rows.OVER)[:, None]
        laid = blended(row[:, edit_rows.BLEND], laid, torch.where(alone, top, beneath))
    if edits.has_adjustments:
        adjusts = (row[:, ADJUSTS] > 0).nonzero()[:, 0]
        full = edits.on(row.device)[0][numbers[adjusts]]
        laid[adjusts, :3] = graded(full, beneath[adjusts]) * cover[adjusts, None]
    return laid + left
