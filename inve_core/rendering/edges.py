"""A layer's own light at soft edges, where the plate is a mix of it and of what is behind.

At an edge the plate is P = sum_j v_j F_j. An edit that covers share c of layer k turns F_k into
F_k + c (f(F_k) - F_k), and so the plate into P + c v_k (f(F_k) - F_k). Taking P for F_k leaves a fringe of
the other layer's colour. F_k itself is not in the picture, but what it differs from the mix by is known from
the learned colours C: F_k = P + E_k with

    E_k = C_k - sum_j v_j C_j

Then sum_j v_j F_j is P whatever the colours are, and where the plate differs from what was learned (grain,
another exposure) so does F_k. A paint colour s takes the place of f(F_k); an adjustment is f itself.

With several edits each works on what the one before left of F_k, so that a painter composites every layer's
own edits over its own light, as if it were seen wholly, and mixes: P + sum_j v_j (painted_j - F_j). To add
E_k to the picture painted so far would count the first edit's change again, and can be worse than the plate
for F_k.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from inve_core.model import LayeredAtlas

HALF_MAX = 65504.0
_CODE_BELOW = 0.04045


def scene_linear(model: LayeredAtlas, encoded: Tensor) -> Tensor:
    """Colours as the networks learn them, sRGB-encoded, to scene-linear light; any shape.

    `media.colour.srgb_to_linear`, on the colours' own device, with the clip's exposure taken back.
    """
    bright = ((encoded.clamp_min(_CODE_BELOW) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded <= _CODE_BELOW, encoded / 12.92, bright) / model.geometry.exposure


def edge_light(model: LayeredAtlas, xy: Tensor, t: Tensor, visible: Tensor) -> Tensor:
    """How each layer's own light differs from the mix: E of the module's description.

    Args:
        xy: [n, 2] working pixels of frames t [n].
        visible: [n, layers], how much of each layer is seen there, with a sum of 1.

    Returns:
        [n, layers, 3] scene-linear, within half precision's range; zero where a network gives no number.
    """
    layers = range(model.layer_count)
    if not len(xy):
        return xy.new_zeros(0, len(layers), 3)
    colours = model.colours([(k, model.map(k, xy, t)) for k in layers])
    if model.lighting is not None:
        lights = model.log_lights(xy, t)
        colours = [colour * light.exp() for colour, light in zip(colours, lights, strict=True)]
    light = scene_linear(model, torch.stack(colours, 1))
    apart = light - (visible[..., None] * light).sum(1, keepdim=True)
    return apart.nan_to_num(nan=0.0).clamp(-HALF_MAX, HALF_MAX)


def own_light(plate: Tensor, apart: Tensor, visible: Tensor) -> Tensor:
    """F_k, a layer's own light, limited to what the plate can hold.

    No layer's light is below zero, and so none shines through with more than the plate has: v_k F_k <= P.
    Where the learned colours or the visibility are off, an edit would otherwise take more from the plate than
    there is, and leave a black rim. Where the plate itself is below zero, so may the light be.

    Args:
        plate: P, [..., 3].
        apart: E_k, [..., 3].
        visible: v_k, [..., 1], above 0.
    """
    return (plate + apart).maximum(plate.clamp_max(0.0)).minimum(plate.clamp_min(0.0) / visible)


class EdgePool:
    """Edge light of the tiles that have soft pixels; few do, and only these take memory.

    Args:
        capacity: most tiles that are to be kept; see `put`.

    Attributes:
        light: [n, layers, tile, tile, 3] float16, scene-linear; zero at pixels where every layer is seen
            wholly or not at all.
        homes: [tile slots], where a tile's light lies in `light`, -1 where it has none; of a tile whose
            visibility is worked out.
        counts: [tile slots], how many soft pixels such a tile has.
    """

    def __init__(self, model: LayeredAtlas, capacity: int, tile: int):
        self.capacity = capacity
        self.light = torch.empty(
            0, model.layer_count, tile, tile, 3, dtype=torch.float16, device=model.device
        )
        self.homes: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.counts: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._free: list[int] = []

    @property
    def room(self) -> int:
        """How many tiles more fit in."""
        return max(0, len(self._free) + self.capacity - len(self.light))

    def serve(self, tile_slots: int) -> None:
        """Let there be that many tile slots, no fewer than before."""
        added = tile_slots - len(self.homes)
        self.homes = np.concatenate((self.homes, np.full(added, -1)))
        self.counts = np.concatenate((self.counts, np.zeros(added, np.int64)))

    def release(self, tile_slots: npt.NDArray[np.int64]) -> None:
        """Let go of what some tile slots have; others may have the place from now on."""
        held = self.homes[tile_slots]
        self._free += held[held >= 0].tolist()
        self.homes[tile_slots] = -1

    def put(self, tile_slots: npt.NDArray[np.int64], soft: Tensor, light: Tensor) -> None:
        """Keep tiles' light. It never fails: what is asked for at once is kept even beyond the capacity.

        Args:
            tile_slots: [n] of the tiles, each of which loses what it had.
            soft: [n, tile, tile] bool.
            light: [pixels where soft, layers, 3].
        """
        self.release(tile_slots)
        counts = soft.flatten(1).sum(1).cpu().numpy()
        self.counts[tile_slots] = counts
        self.homes[tile_slots[counts > 0]] = self._take(int((counts > 0).sum()))
        homes = torch.from_numpy(self.homes[tile_slots]).to(self.light.device)
        tile, y, x = soft.nonzero(as_tuple=True)
        self.light[homes[homes >= 0]] = 0.0
        self.light[homes[tile], :, y, x] = light.to(self.light.dtype)

    def _take(self, count: int) -> list[int]:
        have = len(self.light)
        if len(self._free) < count:
            missing = count - len(self._free)
            grown = max(have + missing, min(self.capacity, max(2 * have, 16)))
            light = self.light.new_empty(grown, *self.light.shape[1:])
            light[:have] = self.light
            self.light = light
            self._free[:0] = range(grown - 1, have - 1, -1)
        taken = self._free[len(self._free) - count :]
        del self._free[len(self._free) - count :]
        return taken
