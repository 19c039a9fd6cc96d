"""Painting where layers mix: each video layer's edits over its own light, and then the mix.

At a pixel with 0 < visibility < 1 the plate is a mix, P = sum_j v_j F_j, and an edit of one layer must change
that layer's light F_j alone (see `edges`). So the tiles that hold such pixels are painted once for each video
layer, by the same painters, over F_j and as if the layer were seen wholly; what comes out is
P + sum_j v_j (painted_j - F_j). It takes the place of what was painted there over the mix.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.edits import EditLayer
from inve_core.rendering.blending import OPAQUE_WITHIN, lay_layer, stored
from inve_core.rendering.edges import own_light
from inve_core.rendering.fields import FULL, TILE, FieldCache
from inve_core.rendering.painting import FAINTEST, Canvas, TileFields, Work
from inve_core.rendering.table import PaintTable
from inve_core.rendering.texturing import Patch

Paint = Callable[[PaintTable, TileFields, Work, Canvas], None]
Ints = npt.NDArray[np.int64]


class _Tiles(NamedTuple):
    """Fields of a few tiles; see `painting.TileFields`."""

    uv: Tensor
    visible: Tensor


class SoftEdges:
    """The tiles with soft pixels that edits have reached so far, of some frames of one size.

    Args:
        fields: where tiles come from; they are worked out when they are painted on.
        plates: [k, h, w, 4] the frames without edits.
        paint: a painter.
    """

    def __init__(self, fields: FieldCache, plates: Tensor, paint: Paint):
        self._fields = fields
        self._plates = plates
        self._paint = paint
        layers = fields.model.layer_count
        self._known: dict[tuple[int, int, int], int] = {}
        # [n, TILE, TILE] where a tile's pixels are among those of all plates.
        self._targets = torch.empty(0, TILE, TILE, dtype=torch.long, device=plates.device)
        # [n, TILE, TILE, layers] visibility at soft pixels; zero at all others, outside of the plates, and of
        # layers that are hardly seen.
        self._shown = plates.new_empty(0, TILE, TILE, layers, dtype=torch.float32)
        # [n, layers, TILE, TILE, 4] a layer's light, what has been painted over it, and textures that are not
        # yet laid over that; [n, TILE, TILE, layers] where something was painted.
        self._own = plates.new_empty(0, layers, TILE, TILE, 4, dtype=torch.float32)
        self._now = self._own
        self._tops: Tensor | None = None
        self._touched = self._shown.bool()

    def paint(self, table: PaintTable, work: Work, part: Tensor | None = None) -> None:
        """Paint a table's edits on those of the tiles that have soft pixels.

        Args:
            part: as `Canvas.painted`, of the size of the plates; it is corrected at soft pixels.
        """
        which, rows = self._find(work.places, work.slots)
        if not len(which):
            return
        uv = self._fields.uv[self._on_device(work.slots[which])]
        with self._parts(self._on_device(rows), part) as laid:
            for layer in table.layers:
                active = np.flatnonzero(work.active[which, layer])
                if len(active):
                    chosen = self._on_device(active)
                    painted = self._paint_layer(table, layer, self._on_device(rows[active]), uv[chosen], part)
                    if painted is not None:
                        laid[chosen, layer] = painted

    def _paint_layer(
        self, table: PaintTable, layer: int, rows: Tensor, uv: Tensor, part: Tensor | None
    ) -> Tensor | None:
        """Paint one video layer of some tiles; returns what was laid, [n, TILE, TILE, 4], where asked for."""
        shown = self._shown[rows, ..., layer] > 0
        visible = self._fields.visible.new_zeros(*shown.shape, self._shown.shape[-1])
        visible[..., layer] = shown * FULL
        numbers = np.arange(len(rows))
        active = np.zeros((len(rows), self._shown.shape[-1]), bool)
        active[:, layer] = True
        places = np.stack((numbers, np.zeros_like(numbers), np.zeros_like(numbers)), 1)
        now = self._now[rows, layer]
        canvas = Canvas(now, torch.zeros_like(shown), None if part is None else torch.zeros_like(now))
        self._paint(table, _Tiles(uv, visible), Work(places, numbers, active), canvas)
        self._now[rows, layer] = canvas.pixels
        self._touched[rows, ..., layer] |= canvas.touched
        return canvas.painted

    def cover(self, picture: int, corners: Ints, slots: Ints, patch: Patch) -> None:
        """Add a texture to those of the edit layer that `lay` is to lay.

        Args:
            picture: number of the plate.
            corners: [k, 2] of the patch's tiles, on the plate.
            slots: [k] where their fields are.
        """
        which, rows = self._find(np.column_stack((np.full(len(corners), picture), corners)), slots)
        if not len(which):
            return
        where, colour = self._on_device(rows), patch.colour[self._on_device(which)]
        if self._tops is None:
            self._tops = torch.zeros_like(self._own)
        behind = self._shown.shape[-1] if patch.in_front else patch.layer + 1
        for layer in range(patch.layer, behind):
            self._tops[where, layer] = colour + self._tops[where, layer] * (1 - colour[..., 3:])

    def lay(self, edit_layer: EditLayer, part: Tensor | None = None) -> None:
        """Lay textures over what has been painted.

        Args:
            part: as in `paint`.
        """
        if self._tops is None:
            return
        changed = (self._tops != 0).any(-1) & (self._shown.permute(0, 3, 1, 2) > 0)
        rows = changed.flatten(1).any(1).nonzero()[:, 0]
        with self._parts(rows, part) as laid:
            over, result = lay_layer(edit_layer, self._tops[changed], self._now[changed])
            self._now[changed] = result
            self._touched |= changed.permute(0, 2, 3, 1)
            laid[changed[rows]] = over
        self._tops = None

    def finish(self, canvas: Canvas) -> None:
        """Put the mix in the place of what was painted there over the plates."""
        if not len(self._targets):
            return
        soft = (self._shown > 0).any(-1)
        targets, touched = self._targets[soft], self._touched.any(-1)[soft]
        mixed = stored(self._mixed(slice(None))[soft], canvas.pixels.dtype)
        plates = self._plates.reshape(-1, 4)[targets].to(canvas.pixels.dtype)
        canvas.pixels.view(-1, 4)[targets] = torch.where(touched[:, None], mixed, plates)
        canvas.touched.view(-1)[targets] = touched

    # -- tiles -------------------------------------------------------------------------------------------

    def _find(self, places: Ints, slots: Ints) -> tuple[Ints, Ints]:
        """Which of some tiles have soft pixels, and where their state is.

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
        fields, device = self._fields, self._plates.device
        corners, homes = self._on_device(places), self._on_device(fields.edges.homes[slots])
        _, height, width, _ = self._plates.shape
        steps = torch.arange(TILE, device=device)
        x, y = (corners[:, 1, None] + steps)[:, None, :], (corners[:, 2, None] + steps)[:, :, None]
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        rows = (corners[:, 0, None, None] * height + y.clamp(0, height - 1)) * width
        targets = rows + x.clamp(0, width - 1)
        plate = self._plates.reshape(-1, 4)[targets].float()[:, None]
        shown = fields.visible[self._on_device(slots)].float() / FULL
        soft = inside & ((shown > 0) & (shown < 1)).any(-1)
        shown = torch.where(soft[..., None] & (shown >= FAINTEST), shown, torch.zeros_like(shown))
        light = own_light(
            plate[..., :3],
            fields.edges.light[homes].float(),
            shown.permute(0, 3, 1, 2)[..., None].clamp_min(FAINTEST),
        )
        own = torch.cat((light, plate[..., 3:].expand(*light.shape[:-1], 1)), -1)
        self._targets = torch.cat((self._targets, targets))
        self._shown = torch.cat((self._shown, shown))
        self._touched = torch.cat((self._touched, torch.zeros_like(shown, dtype=torch.bool)))
        self._own, self._now = torch.cat((self._own, own)), torch.cat((self._now, own))
        if self._tops is not None:
            self._tops = torch.cat((self._tops, torch.zeros_like(own)))

    def _on_device(self, numbers: Ints) -> Tensor:
        return torch.from_numpy(numbers).to(self._plates.device)

    # -- the mix -----------------------------------------------------------------------------------------

    def _mixed(self, rows: Tensor | slice) -> Tensor:
        """The mix of what has been painted, [n, TILE, TILE, 4]."""
        plate = self._plates.reshape(-1, 4)[self._targets[rows]].float()
        share = self._shown[rows].permute(0, 3, 1, 2)[..., None]
        touched = self._touched[rows].permute(0, 3, 1, 2)[..., None]
        change = torch.where(touched, self._now[rows] - self._own[rows], torch.zeros_like(share))
        return plate + (share * change).sum(1)

    @contextmanager
    def _parts(self, rows: Tensor, part: Tensor | None) -> Iterator[Tensor]:
        """Within it each layer's part of some tiles may be set, [n, layers, TILE, TILE, 4].

        With them `part` is set at these tiles' soft pixels: what, laid *over* the mix as it was, makes it
        what it is.
        """
        if part is None:
            yield self._own.new_zeros(len(rows), *self._own.shape[1:])
            return
        before = self._mixed(rows)
        laid = torch.zeros_like(self._own[rows])
        yield laid
        share = self._shown[rows].permute(0, 3, 1, 2)
        after = self._mixed(rows)
        alpha = (share * laid[..., 3]).sum(1)[..., None]
        # Over what is not opaque only one alpha gives that of the mix.
        clear = 1 - before[..., 3:]
        gained = (after - before)[..., 3:] / torch.where(clear == 0, torch.ones_like(clear), clear)
        alpha = torch.where(clear.abs() > OPAQUE_WITHIN, gained, alpha)
        rgb = after[..., :3] - before[..., :3] * (1 - alpha)
        whole = torch.cat((rgb, alpha), -1)
        soft = (share > 0).any(1)
        changed = self._touched[rows].any(-1)[..., None]
        part.view(-1, 4)[self._targets[rows][soft]] = torch.where(changed, whole, torch.zeros_like(whole))[
            soft
        ]
