"""The layered atlas of one clip: the six networks of the paper and the geometry that they live in.

A mapping takes a pixel to its video layer's reference frame by the layer's parametric motion and adds a
learned residual; the inverse mapping adds its own residual and goes back by the inverse motion:

    M_k(x, y, t) = p + s * F_k(p, t)                with p = P_k,t(x, y)          (INVE, Eq. 1)
    B_k(u, v, t) = P_k,t^-1(uv + s * G_k(uv, t))                                  (INVE, Eq. 2)

Opacity is learned in the same stabilised coordinates p: there an object's outline hardly moves, so that
what one frame teaches serves the others. All positions here are working pixels, all times frame indices.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inve_core.coordinates import Box, PictureGrid, determinant, inverse, shifted, transform_points
from inve_core.encodings.hashgrid import GridSettings
from inve_core.fields import Field, FieldSettings, with_frame
from inve_core.motion.parametric import LayerMotion
from inve_core.presets import FieldShapes

NEWTON_STEPS = 8
# Newton steps end when every point maps this close to its uv, and one further off than LOST_PX is lost.
ARRIVED_PX = 1e-3
LOST_PX = 0.1
PROBE_PX = 0.5


# The lighting network's output of one is this much in log light: it starts out close to no light at all.
LIGHT_UNIT = 0.25


@dataclass(frozen=True)
class TimeAxis:
    """How positions and time share the isotropic unit cube of a grid, so that each has its own finest cell.

    Attributes:
        finest: vertices of the finest level along the cube's edge.
        xy, t: shares of the edge that the positions' and the time's range take.
    """

    finest: float
    xy: float
    t: float

    @classmethod
    def of(cls, finest_xy: float, frames: int, frames_a_cell: float) -> "TimeAxis":
        """`finest_xy` cells along a layer's box, and one for each `frames_a_cell` frames."""
        finest_xy, finest_t = max(2.0, finest_xy), max(2.0, frames / frames_a_cell)
        finest = max(finest_xy, finest_t)
        return cls(finest, finest_xy / finest, finest_t / finest)

    def join(self, unit_xy: Tensor, unit_t: Tensor) -> Tensor:
        """[n, 2] positions and [n] times, both 0..1, to a grid's [n, 3]."""
        return torch.cat((unit_xy.clamp(0.0, 1.0) * self.xy, unit_t[:, None] * self.t), 1)


@dataclass(frozen=True)
class Geometry:
    """What is fixed before learning: sizes, frames, layers and where each layer lies."""

    grid: PictureGrid
    frames: tuple[int, ...]
    video_layers: tuple[str, ...]
    boxes: tuple[Box, ...]
    references: tuple[int, ...]
    motion_models: tuple[str, ...]
    exposure: float

    @classmethod
    def of(
        cls,
        grid: PictureGrid,
        frames: Sequence[int],
        video_layers: Sequence[str],
        motions: Sequence[LayerMotion],
        exposure: float,
    ) -> "Geometry":
        """Of a clip's layers, whose motions are given front to back."""
        return cls(
            grid,
            tuple(frames),
            tuple(video_layers),
            tuple(motion.box for motion in motions),
            tuple(motion.reference for motion in motions),
            tuple(motion.model for motion in motions),
            exposure,
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain data, for the checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Geometry":
        """From what `to_dict` gave."""
        return cls(
            PictureGrid(**values["grid"]),
            tuple(values["frames"]),
            tuple(values["video_layers"]),
            tuple(Box(**box) for box in values["boxes"]),
            tuple(values["references"]),
            tuple(values["motion_models"]),
            values["exposure"],
        )


class LayeredAtlas(nn.Module):
    """Mapping and inverse mapping of each video layer, opacity, and one atlas for all layers."""

    transforms: Tensor  # [layers, frames, 3, 3] frame to reference
    inverse_transforms: Tensor  # [layers, frames, 3, 3] reference to frame

    def __init__(self, geometry: Geometry, transforms: np.ndarray, shapes: FieldShapes):
        super().__init__()
        self.geometry = geometry
        self.shapes = shapes
        self.register_buffer("transforms", torch.from_numpy(transforms.astype(np.float32)))
        back = np.linalg.inv(transforms.astype(np.float64))
        back /= back[..., 2:, 2:]
        self.register_buffer("inverse_transforms", torch.from_numpy(back.astype(np.float32)))
        grid = geometry.grid
        layers = len(geometry.video_layers)
        largest = max(box.size for box in geometry.boxes)
        front = max((box.size for box in geometry.boxes[:-1]), default=1.0)
        self.residual_px = shapes.residual_share * max(grid.working_width, grid.working_height)
        self.atlas_columns = math.ceil(math.sqrt(layers))

        def field(
            dims: int, levels: int, base: int, finest: float, outputs: int, log2_table: int | None = None
        ) -> Field:
            table = shapes.log2_table if log2_table is None else log2_table
            shape = GridSettings.spanning(dims, base, finest, levels, table)
            return Field(FieldSettings(shape, outputs, shapes.width))

        frames = len(geometry.frames)
        self.mapping_axes = [
            TimeAxis.of(box.size / shapes.mapping_cell_px, frames, shapes.mapping_frames_a_cell)
            for box in geometry.boxes
        ]
        lighting_cells = largest * self.atlas_columns / shapes.lighting_cell_px
        self.lighting_axes = TimeAxis.of(lighting_cells, frames, shapes.lighting_frames_a_cell)

        def mappings() -> nn.ModuleList:
            return nn.ModuleList(
                field(3, shapes.mapping_levels, 4, axes.finest, 2) for axes in self.mapping_axes
            )

        self.mappings, self.inverses = mappings(), mappings()
        self.opacity = (
            field(3, shapes.opacity_levels, 16, max(32.0, front), layers - 1) if layers > 1 else None
        )
        self.atlas = field(2, shapes.atlas_levels, 16, max(64.0, largest) * self.atlas_columns, 3)
        self.lighting = (
            field(3, shapes.lighting_levels, 4, self.lighting_axes.finest, 3, shapes.lighting_log2_table)
            if shapes.lighting_levels
            else None
        )
        self.opacity_time_scale = min(1.0, shapes.opacity_px_a_frame * len(geometry.frames) / front)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.transforms.device

    @property
    def layer_count(self) -> int:
        """Number of video layers."""
        return len(self.geometry.video_layers)

    def unit_time(self, t: Tensor) -> Tensor:
        """Frame index [n] to 0..1, frames at the middle of their share."""
        return (t.float() + 0.5) / len(self.geometry.frames)

    def stabilise(self, layer: int, xy: Tensor, t: Tensor) -> Tensor:
        """Parametric motion alone: [n, 2] pixels of frames t [n] to pixels of the reference frame."""
        return transform_points(self.transforms[layer][t], xy)

    def destabilise(self, layer: int, p: Tensor, t: Tensor) -> Tensor:
        """The inverse of `stabilise`."""
        return transform_points(self.inverse_transforms[layer][t], p)

    def residual(self, layer: int, p: Tensor, t: Tensor) -> Tensor:
        """What the mapping network adds to stabilised positions p [n, 2]; [n, 2] pixels."""
        unit = self.geometry.boxes[layer].to_unit(p)
        out: Tensor = self.mappings[layer](self.mapping_axes[layer].join(unit, self.unit_time(t)))
        return out * self.residual_px

    def map(self, layer: int, xy: Tensor, t: Tensor) -> Tensor:
        """Forward mapping M (INVE, Eq. 1): pixels [n, 2] of frames t [n] to atlas uv [n, 2]."""
        p = self.stabilise(layer, xy, t)
        return p + self.residual(layer, p, t)

    def unmap_by_network(self, layer: int, uv: Tensor, t: Tensor) -> Tensor:
        """Inverse mapping B (INVE, Eq. 2): atlas uv [n, 2] to pixels [n, 2] of frames t [n]."""
        unit = self.geometry.boxes[layer].to_unit(uv)
        out: Tensor = self.inverses[layer](self.mapping_axes[layer].join(unit, self.unit_time(t)))
        return self.destabilise(layer, uv + out * self.residual_px, t)

    @torch.no_grad()
    def unmap(self, layer: int, uv: Tensor, t: Tensor, near: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Inverse mapping refined by Newton steps on the forward mapping.

        Steps begin near a place that the caller knows, else at the network's answer or where the layer's
        parametric motion alone has the point, whichever misses by less. Points that do not arrive are tried
        from the other places too.

        Args:
            near: stabilised positions [n, 2], e.g. of the same points on another frame.

        Returns:
            xy [n, 2] pixels of frames t, and how far M(xy, t) still is from uv, [n] pixels.
        """
        by_network = self.stabilise(layer, self.unmap_by_network(layer, uv, t), t)
        starts = torch.stack((uv, by_network))
        misses = torch.stack([(uv - p - self.residual(layer, p, t)).norm(dim=-1) for p in starts])
        # A network that died gives no number, which is no place to begin.
        order = misses.nan_to_num(nan=torch.inf).argsort(0)
        ranked = list(starts.gather(0, order[..., None].expand(-1, -1, 2)))
        if near is not None:
            ranked.insert(0, near)
        p, miss = self.newton(layer, uv, t, ranked[0])
        for start in ranked[1:]:
            lost = (miss > LOST_PX).nonzero()[:, 0]
            if not len(lost):
                break
            other, other_miss = self.newton(layer, uv[lost], t[lost], start[lost])
            closer = other_miss < miss[lost]
            p[lost[closer]], miss[lost[closer]] = other[closer], other_miss[closer]
        return self.destabilise(layer, p, t), miss

    @torch.no_grad()
    def newton(
        self, layer: int, uv: Tensor, t: Tensor, start: Tensor, steps: int = NEWTON_STEPS
    ) -> tuple[Tensor, Tensor]:
        """Newton steps towards the stabilised position that maps to uv; a step that does not help is halved.

        Args:
            start: stabilised positions [n, 2] to begin at.

        Returns:
            Stabilised positions [n, 2], and how far from uv they map, [n] pixels.
        """
        n = len(start)
        p = start
        miss = uv - p - self.residual(layer, p, t)
        for _ in range(steps):
            if not bool((miss.square().sum(-1) > ARRIVED_PX**2).any()):
                break
            probes = torch.cat((p, shifted(p, PROBE_PX, 0), shifted(p, 0, PROBE_PX)))
            moved = (probes + self.residual(layer, probes, t.repeat(3))).view(3, n, 2)
            jacobian = torch.stack((moved[1] - moved[0], moved[2] - moved[0]), -1) / PROBE_PX
            # Where the map folds its Jacobian says nothing; the plain residual is a safe step there.
            folded = determinant(jacobian).abs() < 0.1
            safe = torch.where(folded[:, None, None], torch.eye(2, device=p.device), jacobian)
            step = (inverse(safe) @ miss[..., None])[..., 0]
            better_p, better_miss = p, miss
            for scale in (1.0, 0.5, 0.25):
                trial = p + step * scale
                trial_miss = uv - trial - self.residual(layer, trial, t)
                closer = (trial_miss.norm(dim=-1) < better_miss.norm(dim=-1))[:, None]
                better_p = torch.where(closer, trial, better_p)
                better_miss = torch.where(closer, trial_miss, better_miss)
                if bool(closer.all()):
                    break
            p, miss = better_p, better_miss
        return p, miss.norm(dim=-1)

    @torch.no_grad()
    def stretch(self, layer: int, xy: Tensor, t: Tensor) -> Tensor:
        """How much more the mapping stretches one way than the other at pixels [n, 2]: [n], 1 and above.

        Relative to the layer's parametric motion, so that a homography does not count.
        """
        p = self.stabilise(layer, xy, t)
        here, right, below = (
            shifted(p, *step) + self.residual(layer, shifted(p, *step), t)
            for step in ((0, 0), (1, 0), (0, 1))
        )
        jacobian = torch.stack((right - here, below - here), -1)
        # Sum and product of the squared singular values give their ratio.
        total, area = jacobian.square().sum((-1, -2)), determinant(jacobian).abs()
        apart = (total.square() - 4 * area.square()).clamp_min(0).sqrt()
        return ((total + apart) / (total - apart).clamp_min(1e-12)).sqrt()

    def opacity_logits(self, xy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of each front layer's opacity.

        Returns:
            logits [n, layers - 1] and inside [n, layers - 1] bool: outside a layer's box, which holds
            all of its mattes, opacity is zero whatever the network says.
        """
        front = self.layer_count - 1
        if self.opacity is None:
            empty = xy.new_zeros(len(xy), 0)
            return empty, empty.bool()
        unit = torch.cat([self.geometry.boxes[k].to_unit(self.stabilise(k, xy, t)) for k in range(front)])
        time = self.unit_time(t).repeat(front) * self.opacity_time_scale
        out = self.opacity(with_frame(unit, time)).view(front, len(xy), front)
        logits = torch.stack([out[k, :, k] for k in range(front)], 1)
        inside = ((unit > 0) & (unit < 1)).all(1).view(front, len(xy)).t()
        return logits, inside

    def visibility(self, xy: Tensor, t: Tensor) -> Tensor:
        """How much of each video layer is seen at pixels [n, 2] of frames t: [n, layers], summing to 1."""
        logits, inside = self.opacity_logits(xy, t)
        return visibility_of(torch.sigmoid(logits) * inside)

    def colour(self, layer: int, uv: Tensor) -> Tensor:
        """Atlas colour at uv [n, 2]: [n, 3] in 0..1, encoded for learning."""
        return self.colours([(layer, uv)])[0]

    def colours(self, queries: Sequence[tuple[int, Tensor]]) -> list[Tensor]:
        """Atlas colours of several layers in one call of the network."""
        places = torch.cat([self.atlas_place(layer, uv) for layer, uv in queries])
        out = torch.sigmoid(self.atlas(places))
        return list(out.split([len(uv) for _, uv in queries]))

    def atlas_place(self, layer: int, uv: Tensor) -> Tensor:
        """Uv [n, 2] of a layer to the unit square that all layers share, a page for each."""
        unit = self.geometry.boxes[layer].to_unit(uv).clamp(0.0, 1.0)
        return shifted(unit, *divmod(layer, self.atlas_columns)[::-1]) / self.atlas_columns

    def log_lights(self, xy: Tensor, t: Tensor) -> list[Tensor]:
        """Logarithm of what each layer's atlas colour is multiplied by (as in hashing-nvd), [n, 3] each.

        A function of the stabilised position, and not of the mapping: shading that changes is explained
        here, and no gradient of it can pull the mapping about.

        Args:
            xy: [n, 2] pixels of frames t [n].
        """
        assert self.lighting is not None
        layers = range(self.layer_count)
        places = torch.cat([self.atlas_place(layer, self.stabilise(layer, xy, t)) for layer in layers])
        time = self.unit_time(t).repeat(self.layer_count)
        out: Tensor = self.lighting(self.lighting_axes.join(places, time))
        return list((out * LIGHT_UNIT).split(len(xy)))

    def reconstruct(self, xy: Tensor, t: Tensor) -> Tensor:
        """Colour at pixels [n, 2] of frames t, as the networks remember it: [n, 3], encoded for learning."""
        return self.reconstructions(xy, t)[0]

    def reconstructions(self, xy: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """`reconstruct`, and the same without the lighting term: what mappings and atlas alone explain."""
        visible = self.visibility(xy, t)
        layers = range(self.layer_count)
        colours = self.colours([(layer, self.map(layer, xy, t)) for layer in layers])
        unlit = torch.stack([visible[:, k, None] * colours[k] for k in layers]).sum(0)
        if self.lighting is None:
            return unlit, unlit
        lights = self.log_lights(xy, t)
        lit = torch.stack([visible[:, k, None] * colours[k] * lights[k].exp() for k in layers]).sum(0)
        return lit, unlit

    def forward_fields(self) -> list[Field]:
        """All networks but the inverse mappings: what the losses on pixels train."""
        optional = [one for one in (self.opacity, self.lighting) if one is not None]
        return [*self.mappings, self.atlas, *optional]


def visibility_of(opacity: Tensor) -> Tensor:
    """Front-to-back compositing: opacity [n, layers - 1] to each layer's share [n, layers]."""
    shares = []
    through = opacity.new_ones(len(opacity))
    for own in opacity.unbind(1):
        shares.append(through * own)
        through = through * (1 - own)
    return torch.stack((*shares, through), 1)
