"""Painting where layers mix: each video layer's edits over its own light, and then the mix.

At a pixel with 0 < visibility < 1 the plate is a mix, P = sum_j v_j F_j, and an edit of one layer must change
that layer's light F_j alone (see `edges`). So these pixels are painted once for each video layer, by the same
painters, over F_j and as if the layer were seen wholly; what comes out is P + sum_j v_j (painted_j - F_j). It
takes the place of what was painted there over the mix.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.edits import EditLayer
from inve_core.rendering.backends import Painter
from inve_core.rendering.blending import OPAQUE_WITHIN, lay_layer
from inve_core.rendering.fields import FieldCache
from inve_core.rendering.painting import Canvas, Work
from inve_core.rendering.soft_pixels import SoftPixels, SoftTiles, mixed
from inve_core.rendering.table import PaintTable
from inve_core.rendering.texturing import Patch

Ints = npt.NDArray[np.int64]


class SoftEdges:
    """The soft pixels of the tiles that edits have reached so far, of some frames of one size.

    Args:
        fields: where tiles come from; they are worked out when they are painted on.
        plates: [k, h, w, 4] the frames without edits.
        painter: the code that paints.
    """

    def __init__(self, fields: FieldCache, plates: Tensor, painter: Painter):
        self._fields = fields
        self._plates = plates
        self._painter = painter
        self._known: dict[tuple[int, int, int], int] = {}
        self._pixels: SoftPixels | None = None
        # [rows, layers, 4] what has been painted over each layer's light, and textures that are not yet laid
        # over that; [rows, layers] where something was painted.
        self._now = self._touched = plates.new_empty(0)
        self._tops: Tensor | None = None

    def paint(self, table: PaintTable, work: Work, part: Tensor | None = None) -> None:
        """Paint a table's edits on the soft pixels of tiles.

        Args:
            part: as `Canvas.painted`, of the size of the plates; it is corrected at soft pixels.
        """
        which, tiles = self._find(work.places, work.slots)
        if self._pixels is None or not len(which):
            return
        places = np.zeros((len(tiles), 3), np.int64)
        places[:, 0] = tiles
        own_work = replace(work.of(which), places=places)
        before = None if part is None else self._mixed(self._pixels)
        painted = None if part is None else torch.zeros_like(self._now)
        self._painter.paint(
            table, self._fields, own_work, Canvas(self._now, self._touched, painted, self._pixels.rows)
        )
        if part is not None and before is not None and painted is not None:
            rows = self._pixels.rows[self._on_device(tiles)].view(-1)
            self._correct(part, self._pixels, before, painted, rows[rows >= 0].long())

    def cover(self, picture: int, corners: Ints, slots: Ints, patch: Patch) -> None:
        """Add a texture to those of the edit layer that `lay` is to lay.

        Args:
            picture: number of the plate.
            corners: [k, 2] of the patch's tiles, on the plate.
            slots: [k] where their fields are.
        """
        which, tiles = self._find(np.column_stack((np.full(len(corners), picture), corners)), slots)
        if self._pixels is None or not len(which):
            return
        rows = self._pixels.rows[self._on_device(tiles)]
        soft = rows >= 0
        where, colour = rows[soft].long(), patch.colour[self._on_device(which)][soft]
        if self._tops is None:
            self._tops = torch.zeros_like(self._now)
        behind = self._now.shape[1] if patch.in_front else patch.layer + 1
        for layer in range(patch.layer, behind):
            self._tops[where, layer] = colour + self._tops[where, layer] * (1 - colour[:, 3:])

    def lay(self, edit_layer: EditLayer, part: Tensor | None = None) -> None:
        """Lay textures over what has been painted.

        Args:
            part: as in `paint`.
        """
        if self._tops is None or self._pixels is None:
            return
        before = None if part is None else self._mixed(self._pixels)
        changed = (self._tops != 0).any(-1) & (self._pixels.shown > 0)
        over, self._now[changed] = lay_layer(edit_layer, self._tops[changed], self._now[changed])
        self._touched |= changed
        self._tops = None
        if part is not None and before is not None:
            painted = torch.zeros_like(self._now)
            painted[changed] = over
            self._correct(part, self._pixels, before, painted, changed.any(1).nonzero()[:, 0])

    def finish(self, canvas: Canvas) -> None:
        """Put the mix in the place of what was painted there over the plates."""
        if self._pixels is not None:
            self._painter.mix(self._pixels, self._plates, self._now, self._touched, canvas)

    # -- tiles -------------------------------------------------------------------------------------------

    def _find(self, places: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Which of some tiles have soft pixels, and which tiles of `SoftPixels.rows` they are.

        Args:
            places: [n, 3] picture, and x and y of the corner on it.
            slots: [n] where their fields are.
        """
        which = np.flatnonzero(self._fields.edges.homes[slots] >= 0)
        keys = [(picture, x, y) for picture, x, y in places[which].tolist()]
        new = [number for number, key in enumerate(keys) if key not in self._known]
        for number in new:
            self._known[keys[number]] = len(self._known)
        if new:
            self._add(places[which[new]], slots[which[new]])
        return which, np.array([self._known[key] for key in keys], np.int64)

    def _add(self, places: Ints, slots: Ints) -> None:
        edges = self._fields.edges
        columns = np.column_stack((places, slots, edges.homes[slots]))
        tiles = SoftTiles(self._fields.visible, edges.light, columns, edges.counts[slots])
        added = self._painter.lift(tiles, self._plates, len(self._now))
        now, touched = added.own.clone(), torch.zeros_like(added.shown, dtype=torch.bool)
        if self._pixels is not None:
            added = self._pixels.joined(added)
            now, touched = torch.cat((self._now, now)), torch.cat((self._touched, touched))
        if self._tops is not None:
            more = self._tops.new_zeros(len(now) - len(self._tops), *self._tops.shape[1:])
            self._tops = torch.cat((self._tops, more))
        self._pixels, self._now, self._touched = added, now, touched

    def _on_device(self, numbers: Ints) -> Tensor:
        return torch.from_numpy(numbers).to(self._plates.device)

    # -- the mix -----------------------------------------------------------------------------------------

    def _mixed(self, pixels: SoftPixels) -> Tensor:
        return mixed(pixels, self._plates, self._now, self._touched)

    def _correct(
        self, part: Tensor, pixels: SoftPixels, before: Tensor, painted: Tensor, rows: Tensor
    ) -> None:
        """Set `part` at some rows: what, laid *over* the mix as it was before, makes it what it is.

        Args:
            before: [all rows, 4] that mix.
            painted: [all rows, layers, 4] what was laid over each layer.
            rows: [n].
        """
        rows = rows[pixels.targets[rows] >= 0]
        before, after = before[rows], self._mixed(pixels)[rows]
        shown, touched = pixels.shown[rows], self._touched[rows]
        alpha = (shown * painted[rows, :, 3]).sum(1)[:, None]
        # Over what is not opaque only one alpha gives that of the mix.
        clear = 1 - before[:, 3:]
        gained = (after - before)[:, 3:] / torch.where(clear == 0, torch.ones_like(clear), clear)
        alpha = torch.where(clear.abs() > OPAQUE_WITHIN, gained, alpha)
        whole = torch.cat((after[:, :3] - before[:, :3] * (1 - alpha), alpha), -1)
        changed = (touched & (shown > 0)).any(1)[:, None]
        part.view(-1, 4)[pixels.targets[rows]] = torch.where(changed, whole, torch.zeros_like(whole))
