"""What training minimises, loss and gradients, as a few kernels without autograd.

`objective.weighted_losses` with autograd is the reference, whose names this file uses. It launches about a
thousand kernels a step, nearly all of which work for less time than their launch takes, even in a CUDA graph.
Here each sample belongs to one thread: it knows all that the losses ask of the sample, and writes every
gradient of the networks' outputs that the sample has a part in, so that nothing needs to be summed.

Bytes that a step of `fast` moves outside of tables and MLPs: 1.2 MB of samples, 10 MB of places and
outputs, 10 MB of gradients; 10 µs of an H100's memory, and less where its L2 cache has them.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from inve_core.encodings import triton_grid, triton_mlp
from inve_core.encodings.triton_mlp import Precision
from inve_core.fields import Field
from inve_core.model import LIGHT_UNIT, LayeredAtlas
from inve_core.objective import LONG_STEP_SHARE, Phase
from inve_core.presets import LossWeights
from inve_core.sampling import Samples

BLOCK = 64
_LAUNCH: dict[str, Any] = {"num_warps": 2, "enable_fp_fusion": False}
# Columns of the table of the losses' sums; its names in order.
TERMS = (
    "reconstruction",
    "gradient",
    "flow",
    "rigidity",
    "global_rigidity",
    "lit_reconstruction",
    "lighting",
    "opacity_flow",
    "sparsity",
    "matte",
)


def supports(model: LayeredAtlas) -> bool:
    """Whether the kernels can do this model's networks; all others are the reference's."""
    return all(
        triton_grid.supports(one.settings.grid) and triton_mlp.supports(one.widths)
        for one in model.forward_fields()
    )


@dataclass(frozen=True, eq=False)
class FieldGradient:
    """The gradient of one field as the kernels leave it.

    Attributes:
        sums: of the table, in fixed point; see `triton_grid.new_sums`. Whoever uses it clears it.
        bound: [] the unit of the sums, times FIXED_POINT.
        parts: [programs, weights] of the MLP, to be summed over the programs.
        columns: [programs, levels * features] sums of magnitudes, of which the bound is made.
    """

    field: Field
    sums: Tensor
    bound: Tensor
    parts: Tensor
    columns: Tensor

    def to_float(self) -> list[Tensor]:
        """Of the table and of each of the MLP's weights, as autograd gives them. Clears the sums."""
        table = torch.empty_like(self.field.encoding.table)
        triton_grid.to_float_into(table, self.sums, self.bound, self.field.encoding)
        self.sums.zero_()
        weights = self.field.weights
        parts = self.parts.sum(0).split([weight.numel() for weight in weights])
        return [table, *(part.view_as(weight) for part, weight in zip(parts, weights, strict=True))]


@dataclass(eq=False)
class _Pass:
    """One network's inputs, outputs and gradients in a step: rooms that every step uses again."""

    gradient: FieldGradient
    x: Tensor
    # Only the first rows have a gradient.
    rows: int
    wants_x: bool = False
    encoded: Tensor = field(init=False)
    out: Tensor = field(init=False)
    grad_out: Tensor = field(init=False)
    grad_encoded: Tensor = field(init=False)
    slopes: Tensor | None = field(init=False)

    def __post_init__(self) -> None:
        n, settings = len(self.x), self.gradient.field.settings
        width = self.gradient.field.encoding.output_dims
        self.encoded = self.x.new_empty(n, width)
        self.out = self.x.new_empty(n, settings.outputs)
        self.grad_out = self.x.new_zeros(self.rows, settings.outputs)
        self.grad_encoded = self.x.new_empty(self.rows, width)
        self.slopes = self.x.new_empty(settings.grid.levels, *self.x.shape) if self.wants_x else None

    def forward(self, precision: Precision) -> None:
        """From `x` to `out`."""
        one = self.gradient.field
        triton_grid.forward_into(self.encoded, self.x, one.encoding.table, one.encoding)
        triton_mlp.forward_into(self.out, self.encoded, one.weights, precision)

    def backward_mlp(self, precision: Precision) -> None:
        """From `grad_out` to the encoding's gradient."""
        one, gradient = self.gradient.field, self.gradient
        encoded = self.encoded[: self.rows]
        triton_mlp.backward_into(
            self.grad_encoded,
            gradient.parts,
            gradient.columns,
            self.grad_out,
            encoded,
            one.weights,
            precision,
        )

    def backward_grid(self) -> None:
        """From there, once the bounds are known, to the table's, and to `slopes` where x wants one."""
        grid, gradient, x = self.gradient.field.encoding, self.gradient, self.x[: self.rows]
        triton_grid.backward_into(
            gradient.sums, self.slopes, self.grad_encoded, gradient.bound, x, grid.table, grid
        )


class FusedObjective:
    """The loss of a batch and its gradients, left in `gradients`, one for each of the forward fields.

    Args:
        model: whose networks `supports` takes.
        weights: of the losses.
        n, m: samples, and how many of them have neighbours.
        phase: which losses count.
        precision: of the MLPs' products in the forward pass: the mappings are told apart over a pixel.
        backward_precision: of those in the backward pass.
    """

    def __init__(
        self,
        model: LayeredAtlas,
        weights: LossWeights,
        n: int,
        m: int,
        phase: Phase,
        precision: Precision = "tf32x3",
        backward_precision: Precision = "tf32",
    ):
        self.model, self.weights, self.n, self.m, self.phase = model, weights, n, m, phase
        self.precision, self.backward_precision = precision, backward_precision
        layers, fronts = model.layer_count, model.layer_count - 1
        device = model.device
        self._points = 2 * n + 2 * m + (2 * m if phase.global_rigidity else 0)
        self._seen = n + 2 * m
        lit = model.lighting is not None

        def room(*shape: int) -> Tensor:
            return torch.empty(*shape, device=device)

        fields = model.forward_fields()
        sizes = [sum(weight.numel() for weight in one.weights) for one in fields]
        # Of all fields' weights, one field after the other.
        self.parts = room(triton_mlp.PROGRAMS, sum(sizes))
        widths = [one.encoding.output_dims for one in fields]
        self._columns = room(triton_mlp.PROGRAMS, sum(widths))
        self._starts = torch.tensor([0, *itertools.accumulate(widths)], dtype=torch.int32, device=device)
        self._bounds = room(len(fields))
        rooms = zip(self._bounds, self.parts.split(sizes, 1), self._columns.split(widths, 1), strict=True)
        self.gradients = [
            FieldGradient(one, triton_grid.new_sums(one.encoding), *its)
            for one, its in zip(fields, rooms, strict=True)
        ]
        of_field = {id(gradient.field): gradient for gradient in self.gradients}
        self._places = room(layers, self._points, 2)
        map_x = room(layers, self._points, 3)
        self._map_out = room(layers, self._points, 2)
        self._map_grad = room(layers, self._points, 2)
        self._mappings = []
        for k, mapping in enumerate(model.mappings):
            one = _Pass(of_field[id(mapping)], map_x[k], self._points)
            one.out, one.grad_out = self._map_out[k], self._map_grad[k]
            self._mappings.append(one)
        self._map_x = map_x
        self._atlas = _Pass(
            of_field[id(model.atlas)], room(layers * self._seen, 2), layers * self._seen, True
        )
        self._lighting = _Pass(of_field[id(model.lighting)], room(layers * n, 3), layers * n) if lit else None
        self._opacity = None
        self._inside = torch.zeros(max(1, fronts * (2 * n + 2 * m)), dtype=torch.uint8, device=device)
        if model.opacity is not None:
            # With light no gradient of the neighbours' colours reaches opacity.
            rows = fronts * (2 * n if lit else 2 * n + 2 * m)
            self._opacity = _Pass(of_field[id(model.opacity)], room(fronts * (2 * n + 2 * m), 3), rows)
        axes = model.mapping_axes
        self._constants = torch.tensor(
            [
                [box.x0, box.y0, box.size, axis.xy, axis.t, k % model.atlas_columns, k // model.atlas_columns]
                for k, (box, axis) in enumerate(zip(model.geometry.boxes, axes, strict=True))
            ],
            dtype=torch.float32,
            device=device,
        )
        self._transforms = model.transforms.contiguous()
        self._terms = torch.zeros(triton.cdiv(n, BLOCK), len(TERMS), device=device)

    def __call__(self, samples: Samples) -> Tensor:
        """The loss of a batch, []; adds to the sums of `gradients`, and writes the rest of them."""
        with torch.cuda.device_of(samples.xy):
            self._find_places(samples)
            for one in self._mappings:
                one.forward(self.precision)
            self._find_atlas_places()
            others = [one for one in (self._atlas, self._opacity, self._lighting) if one is not None]
            for one in others:
                one.forward(self.precision)
            self._take_losses(samples)
            self._backward(others, len(self._mappings))
            self._add_uv_gradients()
            self._backward(self._mappings, 0)
        return self._terms.sum()

    def _backward(self, passes: Sequence[_Pass], first: int) -> None:
        """Through some networks, which are the fields from the first on."""
        for one in passes:
            one.backward_mlp(self.backward_precision)
        _bounds_of[(len(passes),)](
            self._bounds,
            self._columns,
            self._starts,
            first,
            self._columns.shape[1],
            PROGRAMS=triton_mlp.PROGRAMS,
            ROWS=64,
            WIDTH=64,
            **_LAUNCH,
        )
        for one in passes:
            one.backward_grid()

    @property
    def terms(self) -> dict[str, Tensor]:
        """The weighted losses of the last batch by name."""
        return dict(zip(TERMS, self._terms.sum(0), strict=True))

    @property
    def _long_px(self) -> float:
        grid = self.model.geometry.grid
        return LONG_STEP_SHARE * max(grid.working_width, grid.working_height)

    def _find_places(self, samples: Samples) -> None:
        model, nothing = self.model, self._places
        light = self._lighting
        _places[triton.cdiv(self._points, BLOCK), model.layer_count](
            self._places,
            self._map_x,
            nothing if self._opacity is None else self._opacity.x,
            self._inside,
            nothing if light is None else light.x,
            samples.xy,
            samples.t,
            samples.target_xy,
            samples.target_t,
            self._transforms,
            self._constants,
            self.n,
            self.m,
            len(model.geometry.frames),
            self._points,
            self._long_px,
            model.opacity_time_scale,
            float(model.atlas_columns),
            model.lighting_axes.xy,
            model.lighting_axes.t,
            LAYERS=model.layer_count,
            LIT=light is not None,
            CONSTANTS=self._constants.shape[1],
            BLOCK=BLOCK,
            **_LAUNCH,
        )

    def _find_atlas_places(self) -> None:
        _atlas_places[triton.cdiv(self._seen, BLOCK), self.model.layer_count](
            self._atlas.x,
            self._places,
            self._map_out,
            self._constants,
            self._seen,
            self._points,
            self.model.residual_px,
            float(self.model.atlas_columns),
            CONSTANTS=self._constants.shape[1],
            BLOCK=BLOCK,
            **_LAUNCH,
        )

    def _add_uv_gradients(self) -> None:
        assert self._atlas.slopes is not None
        _uv_gradients[triton.cdiv(self._seen, BLOCK), self.model.layer_count](
            self._map_grad,
            self._atlas.slopes,
            self._places,
            self._map_out,
            self._constants,
            self._seen,
            self._points,
            self.model.layer_count,
            self.model.residual_px,
            float(self.model.atlas_columns),
            CONSTANTS=self._constants.shape[1],
            LEVELS=self.model.atlas.settings.grid.levels,
            BLOCK=BLOCK,
            **_LAUNCH,
        )

    def _take_losses(self, samples: Samples) -> None:
        n, m, weights, nothing = self.n, self.m, self.weights, self._terms
        model, opacity, light = self.model, self._opacity, self._lighting
        _losses[(triton.cdiv(n, BLOCK),)](
            self._terms,
            self._map_grad,
            nothing if opacity is None else opacity.grad_out,
            self._atlas.grad_out,
            nothing if light is None else light.grad_out,
            self._places,
            self._map_out,
            nothing if opacity is None else opacity.out,
            self._inside,
            self._atlas.out,
            nothing if light is None else light.out,
            samples.xy,
            samples.t,
            samples.rgb,
            samples.mattes,
            samples.difference,
            samples.difference_valid.view(torch.uint8),
            samples.flow_valid.view(torch.uint8),
            self._transforms,
            n,
            m,
            len(model.geometry.frames),
            self._points,
            model.residual_px,
            self._long_px,
            weights.reconstruction / n,
            weights.gradient / m,
            weights.flow / n,
            weights.rigidity / m,
            weights.global_rigidity_foreground / m,
            weights.global_rigidity_background / m,
            weights.lighting / n,
            weights.opacity_flow / n,
            weights.sparsity / n,
            weights.matte / n if self.phase.matte else 0.0,
            LIGHT_UNIT,
            LAYERS=model.layer_count,
            LIT=light is not None,
            GLOBAL=self.phase.global_rigidity,
            TERMS=len(TERMS),
            BLOCK=BLOCK,
            **_LAUNCH,
        )


@triton.jit(do_not_specialize=["first", "width"])
def _bounds_of(
    bounds,
    columns,
    starts,
    first,
    width,
    PROGRAMS: tl.constexpr,
    ROWS: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """The largest sum of magnitudes in a column of one field's gradient."""
    field = first + tl.program_id(0)
    start, end = tl.load(starts + field), tl.load(starts + field + 1)
    column = start + tl.arange(0, WIDTH)[None, :]
    total = tl.zeros([ROWS, WIDTH], tl.float32)
    for low in range(0, PROGRAMS, ROWS):
        row = low + tl.arange(0, ROWS)[:, None]
        total += tl.load(columns + row * width + column, mask=(row < PROGRAMS) & (column < end), other=0.0)
    sums = tl.sum(total, 0)
    # A maximum may drop a NaN, a sum does not.
    tl.store(bounds + field, tl.max(sums, 0) + 0.0 * tl.sum(sums, 0))


@triton.jit
def _clamped(x):
    """Into 0..1; what is no number becomes 0, as `Field.forward` has it."""
    return tl.where(x > 0.0, tl.where(x < 1.0, x, 1.0), 0.0)


@triton.jit
def _projected(transforms, place, x, y, mask):
    """A homography's three rows at a point, the last kept away from the horizon."""
    matrix = transforms + place * 9
    u = tl.load(matrix, mask, 0.0) * x + tl.load(matrix + 1, mask, 0.0) * y + tl.load(matrix + 2, mask, 0.0)
    v = (
        tl.load(matrix + 3, mask, 0.0) * x
        + tl.load(matrix + 4, mask, 0.0) * y
        + tl.load(matrix + 5, mask, 0.0)
    )
    w = (
        tl.load(matrix + 6, mask, 0.0) * x
        + tl.load(matrix + 7, mask, 0.0) * y
        + tl.load(matrix + 8, mask, 0.0)
    )
    return u, v, tl.where(w < 1e-3, 1e-3, w)


@triton.jit(do_not_specialize=["n", "m", "frames", "points"])
def _places(
    places,
    map_x,
    opacity_x,
    opacity_inside,
    light_x,
    xy,
    t,
    target_xy,
    target_t,
    transforms,
    constants,
    n,
    m,
    frames,
    points,
    long_px,
    opacity_time_scale,
    columns,
    light_xy,
    light_t,
    LAYERS: tl.constexpr,
    LIT: tl.constexpr,
    CONSTANTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """All places of one video layer where networks are asked, but for the atlas.

    Points are in the reference's order: samples, neighbours right and below, targets of flow, two far ones.
    Opacity has samples and targets of all layers first, then their neighbours.
    """
    layer = tl.program_id(1)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < points
    right, below, target, far = n, n + m, n + 2 * m, 2 * n + 2 * m
    is_right = (point >= right) & (point < below)
    is_below = (point >= below) & (point < target)
    is_target = (point >= target) & (point < far)
    is_far_right = (point >= far) & (point < far + m)
    is_far_below = point >= far + m
    row = tl.where(is_right, point - right, point)
    row = tl.where(is_below, point - below, row)
    row = tl.where(is_target, point - target, row)
    row = tl.where(is_far_right, point - far, row)
    row = tl.where(is_far_below, point - far - m, row)
    own, other = mask & ~is_target, mask & is_target
    x = tl.load(xy + row * 2, own, 0.0) + tl.load(target_xy + row * 2, other, 0.0)
    y = tl.load(xy + row * 2 + 1, own, 0.0) + tl.load(target_xy + row * 2 + 1, other, 0.0)
    time = tl.load(t + row, own, 0) + tl.load(target_t + row, other, 0)
    x += tl.where(is_right, 1.0, tl.where(is_far_right, long_px, 0.0))
    y += tl.where(is_below, 1.0, tl.where(is_far_below, long_px, 0.0))
    u, v, w = _projected(transforms, layer * frames + time, x, y, mask)
    px, py = u / w, v / w
    place = (layer * points + point).to(tl.int64)
    tl.store(places + place * 2, px, mask)
    tl.store(places + place * 2 + 1, py, mask)
    own_constants = constants + layer * CONSTANTS
    size = tl.load(own_constants + 2)
    unit_x, unit_y = (px - tl.load(own_constants)) / size, (py - tl.load(own_constants + 1)) / size
    unit_t = (time.to(tl.float32) + 0.5) / frames
    axis_xy, axis_t = tl.load(own_constants + 3), tl.load(own_constants + 4)
    tl.store(map_x + place * 3, _clamped(unit_x) * axis_xy, mask)
    tl.store(map_x + place * 3 + 1, _clamped(unit_y) * axis_xy, mask)
    tl.store(map_x + place * 3 + 2, unit_t * axis_t, mask)
    if LAYERS > 1:
        in_front = mask & (layer < LAYERS - 1) & (point < far)
        is_near = is_right | is_below
        opacity_row = layer * 2 * n + tl.where(is_target, point - 2 * m, point)
        opacity_row = tl.where(is_near, (LAYERS - 1) * 2 * n + layer * 2 * m + point - n, opacity_row)
        inside = (unit_x > 0.0) & (unit_x < 1.0) & (unit_y > 0.0) & (unit_y < 1.0)
        tl.store(opacity_inside + opacity_row, inside.to(tl.uint8), in_front)
        tl.store(opacity_x + opacity_row * 3, _clamped(unit_x), in_front)
        tl.store(opacity_x + opacity_row * 3 + 1, _clamped(unit_y), in_front)
        tl.store(opacity_x + opacity_row * 3 + 2, _clamped(unit_t * opacity_time_scale), in_front)
    if LIT:
        sample = mask & (point < n)
        light_row = layer * n + point
        page_x, page_y = tl.load(own_constants + 5), tl.load(own_constants + 6)
        tl.store(light_x + light_row * 3, _clamped((_clamped(unit_x) + page_x) / columns) * light_xy, sample)
        tl.store(
            light_x + light_row * 3 + 1, _clamped((_clamped(unit_y) + page_y) / columns) * light_xy, sample
        )
        tl.store(light_x + light_row * 3 + 2, unit_t * light_t, sample)


@triton.jit
def _uv(places, map_out, row, residual_px, mask):
    x = tl.load(places + row * 2, mask, 0.0) + tl.load(map_out + row * 2, mask, 0.0) * residual_px
    y = tl.load(places + row * 2 + 1, mask, 0.0) + tl.load(map_out + row * 2 + 1, mask, 0.0) * residual_px
    return x, y


@triton.jit(do_not_specialize=["seen", "points"])
def _atlas_places(
    atlas_x,
    places,
    map_out,
    constants,
    seen,
    points,
    residual_px,
    columns,
    CONSTANTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Where the atlas is asked for the colours of samples and their neighbours."""
    layer = tl.program_id(1)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < seen
    x, y = _uv(places, map_out, layer * points + point, residual_px, mask)
    own = constants + layer * CONSTANTS
    size = tl.load(own + 2)
    unit_x, unit_y = _clamped((x - tl.load(own)) / size), _clamped((y - tl.load(own + 1)) / size)
    row = layer * seen + point
    tl.store(atlas_x + row * 2, (unit_x + tl.load(own + 5)) / columns, mask)
    tl.store(atlas_x + row * 2 + 1, (unit_y + tl.load(own + 6)) / columns, mask)


@triton.jit(do_not_specialize=["seen", "points", "layers"])
def _uv_gradients(
    map_grad,
    slopes,
    places,
    map_out,
    constants,
    seen,
    points,
    layers,
    residual_px,
    columns,
    CONSTANTS: tl.constexpr,
    LEVELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add to the mappings' outputs what the atlas has for their gradient."""
    layer = tl.program_id(1)
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < seen
    row = layer * points + point
    own = constants + layer * CONSTANTS
    size = tl.load(own + 2)
    x, y = _uv(places, map_out, row, residual_px, mask)
    unit_x, unit_y = (x - tl.load(own)) / size, (y - tl.load(own + 1)) / size
    along_x = tl.zeros([BLOCK], tl.float32)
    along_y = tl.zeros([BLOCK], tl.float32)
    for level in tl.static_range(LEVELS):
        slope = slopes + ((level * layers + layer) * seen + point) * 2
        along_x += tl.load(slope, mask, 0.0)
        along_y += tl.load(slope + 1, mask, 0.0)
    factor = residual_px / size / columns
    along_x = tl.where((unit_x >= 0.0) & (unit_x <= 1.0), along_x * factor, 0.0)
    along_y = tl.where((unit_y >= 0.0) & (unit_y <= 1.0), along_y * factor, 0.0)
    tl.store(map_grad + row * 2, tl.load(map_grad + row * 2, mask, 0.0) + along_x, mask)
    tl.store(map_grad + row * 2 + 1, tl.load(map_grad + row * 2 + 1, mask, 0.0) + along_y, mask)


@triton.jit
def _triple(values, row, mask):
    """Three channels of rows, and a fourth of zeros. [BLOCK, 4]."""
    channel = tl.arange(0, 4)[None, :]
    return tl.load(values + row[:, None] * 3 + channel, mask[:, None] & (channel < 3), 0.0)


@triton.jit
def _colour(out, row, mask):
    channel = tl.arange(0, 4)[None, :]
    return tl.where(channel < 3, tl.sigmoid(_triple(out, row, mask)), 0.0)


@triton.jit
def _store_triple(target, row, values, mask):
    channel = tl.arange(0, 4)[None, :]
    tl.store(target + row[:, None] * 3 + channel, values, mask[:, None] & (channel < 3))


@triton.jit
def _opacity_row(FRONT: tl.constexpr, FRONTS: tl.constexpr, point, n, m):
    """The row of a point, in the order samples, right, below, target, among opacity's."""
    own = FRONT * 2 * n + tl.where(point >= n + 2 * m, point - 2 * m, point)
    near = FRONTS * 2 * n + FRONT * 2 * m + point - n
    return tl.where((point >= n) & (point < n + 2 * m), near, own)


@triton.jit
def _opacity(FRONT: tl.constexpr, FRONTS: tl.constexpr, out, inside, point, n, m, mask):
    """Opacity of a front layer, [BLOCK]."""
    row = _opacity_row(FRONT, FRONTS, point, n, m)
    logit = tl.load(out + row * FRONTS + FRONT, mask, 0.0)
    return tl.where(tl.load(inside + row, mask, 0) != 0, tl.sigmoid(logit), 0.0)


@triton.jit
def _share(LAYER: tl.constexpr, LAYERS: tl.constexpr, out, inside, point, n, m, mask):
    """Visibility of a layer, [BLOCK]."""
    share = tl.full(point.shape, 1.0, tl.float32)
    for front in tl.static_range(LAYERS - 1):
        if front <= LAYER:
            own = _opacity(front, LAYERS - 1, out, inside, point, n, m, mask)
            if front < LAYER:
                share *= 1.0 - own
            else:
                share *= own
    return share


@triton.jit
def _share_gradient(
    LAYER: tl.constexpr, grad_colour, atlas_out, light_out, point, n, m, mask, light_unit, LIT: tl.constexpr
):
    """Gradient to a layer's visibility where the composite has `grad_colour` [BLOCK, 4]."""
    colour = _colour(atlas_out, LAYER * (n + 2 * m) + point, mask)
    if LIT:
        colour *= tl.exp(_triple(light_out, LAYER * n + point, mask) * light_unit)
    return tl.sum(grad_colour * colour, 1)


@triton.jit
def _opacity_gradient(
    FRONT: tl.constexpr,
    grad_colour,
    opacity_out,
    inside,
    atlas_out,
    light_out,
    point,
    n,
    m,
    mask,
    light_unit,
    LAYERS: tl.constexpr,
    LIT: tl.constexpr,
):
    """Gradient to a front layer's opacity where the composite has `grad_colour`."""
    # To what comes through all layers down to the one behind `FRONT`, from the background on.
    behind = _share_gradient(
        LAYERS - 1, grad_colour, atlas_out, light_out, point, n, m, mask, light_unit, LIT
    )
    for step in tl.static_range(LAYERS - 1):
        if LAYERS - 2 - step > FRONT:
            own = _opacity(LAYERS - 2 - step, LAYERS - 1, opacity_out, inside, point, n, m, mask)
            to_share = _share_gradient(
                LAYERS - 2 - step, grad_colour, atlas_out, light_out, point, n, m, mask, light_unit, LIT
            )
            behind = own * to_share + (1.0 - own) * behind
    to_own = _share_gradient(FRONT, grad_colour, atlas_out, light_out, point, n, m, mask, light_unit, LIT)
    result = to_own - behind
    for front in tl.static_range(LAYERS - 1):
        if front < FRONT:
            result *= 1.0 - _opacity(front, LAYERS - 1, opacity_out, inside, point, n, m, mask)
    return result


@triton.jit
def _store_opacity_gradient(
    FRONT: tl.constexpr, FRONTS: tl.constexpr, target, out, inside, extra, grad, point, n, m, mask
):
    """From the gradient to opacity to the one of its logit; `extra` is the logit's own, inside only."""
    row = _opacity_row(FRONT, FRONTS, point, n, m)
    own = tl.sigmoid(tl.load(out + row * FRONTS + FRONT, mask, 0.0))
    result = tl.where(tl.load(inside + row, mask, 0) != 0, grad * own * (1.0 - own) + extra, 0.0)
    tl.store(target + row * FRONTS + FRONT, result, mask)


@triton.jit
def _rigidity(ax, ay, bx, by, t00, t01, t10, t11):
    """`rigidity_loss` of the Jacobian with columns a and b, relative to the motion, and its gradient."""
    j00, j01 = ax * t00 + bx * t10, ax * t01 + bx * t11
    j10, j11 = ay * t00 + by * t10, ay * t01 + by * t11
    m00, m01, m11 = j00 * j00 + j10 * j10, j00 * j01 + j10 * j11, j01 * j01 + j11 * j11
    norm = tl.sqrt(m00 * m00 + 2.0 * m01 * m01 + m11 * m11 + 1e-12)
    area = m00 * m11 - m01 * m01
    bounded = tl.where(area < 1e-3, 1e-3, area)
    straight = (1.0 + 1.0 / bounded) / norm
    adjugate = tl.where(area < 1e-3, 0.0, norm / (bounded * bounded))
    g00, g01, g11 = (
        straight * m00 - adjugate * m11,
        (straight + adjugate) * m01,
        straight * m11 - adjugate * m00,
    )
    d00, d01 = 2.0 * (j00 * g00 + j01 * g01), 2.0 * (j00 * g01 + j01 * g11)
    d10, d11 = 2.0 * (j10 * g00 + j11 * g01), 2.0 * (j10 * g01 + j11 * g11)
    loss = norm + norm / bounded
    return (
        loss,
        d00 * t00 + d01 * t01,
        d10 * t00 + d11 * t01,
        d00 * t10 + d01 * t11,
        d10 * t10 + d11 * t11,
    )


@triton.jit
def _store_pair(target, row, x, y, mask):
    tl.store(target + row * 2, x, mask)
    tl.store(target + row * 2 + 1, y, mask)


@triton.jit(do_not_specialize=["n", "m", "frames", "points"])
def _losses(
    terms,
    map_grad,
    opacity_grad,
    atlas_grad,
    light_grad,
    places,
    map_out,
    opacity_out,
    inside,
    atlas_out,
    light_out,
    xy,
    t,
    rgb,
    mattes,
    difference,
    difference_valid,
    flow_valid,
    transforms,
    n,
    m,
    frames,
    points,
    residual_px,
    long_px,
    w_reconstruction,
    w_gradient,
    w_flow,
    w_rigidity,
    w_global_front,
    w_global_ground,
    w_lighting,
    w_opacity_flow,
    w_sparsity,
    w_matte,
    light_unit,
    LAYERS: tl.constexpr,
    LIT: tl.constexpr,
    GLOBAL: tl.constexpr,
    TERMS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """BLOCK samples: sums of their losses, and the gradients to all outputs that they have a part in."""
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask, near = i < n, i < m
    right, below, target = n + i, n + m + i, n + 2 * m + i
    seen = n + 2 * m
    fronts: tl.constexpr = LAYERS - 1

    # What the networks make of the samples and their neighbours.
    here = tl.zeros([BLOCK, 4], tl.float32)
    at_right = tl.zeros([BLOCK, 4], tl.float32)
    at_below = tl.zeros([BLOCK, 4], tl.float32)
    lit = tl.zeros([BLOCK, 4], tl.float32)
    for k in tl.static_range(LAYERS):
        share = _share(k, LAYERS, opacity_out, inside, i, n, m, mask)[:, None]
        colour = _colour(atlas_out, k * seen + i, mask)
        here += share * colour
        if LIT:
            lit += share * colour * tl.exp(_triple(light_out, k * n + i, mask) * light_unit)
        at_right += _share(k, LAYERS, opacity_out, inside, right, n, m, near)[:, None] * _colour(
            atlas_out, k * seen + right, near
        )
        at_below += _share(k, LAYERS, opacity_out, inside, below, n, m, near)[:, None] * _colour(
            atlas_out, k * seen + below, near
        )
    wanted = _triple(rgb, i, mask)
    valid = tl.load(difference_valid + i, near, 0).to(tl.float32)[:, None]
    miss = here - wanted
    miss_right = at_right - here - _triple(difference, 2 * i, near)
    miss_below = at_below - here - _triple(difference, 2 * i + 1, near)
    total = w_reconstruction * tl.sum(miss * miss, 1)
    tl.store(terms + tl.program_id(0) * TERMS, tl.sum(tl.where(mask, total, 0.0), 0))
    total = w_gradient * tl.sum(valid * (miss_right * miss_right + miss_below * miss_below), 1)
    tl.store(terms + tl.program_id(0) * TERMS + 1, tl.sum(tl.where(near, total, 0.0), 0))
    to_right, to_below = 2.0 * w_gradient * valid * miss_right, 2.0 * w_gradient * valid * miss_below
    to_here = 2.0 * w_reconstruction * miss - tl.where(near[:, None], to_right + to_below, 0.0)
    miss_lit = lit - wanted
    to_lit = 2.0 * w_reconstruction * miss_lit

    # Colours and light.
    lighting = tl.zeros([BLOCK], tl.float32)
    sparsity = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(LAYERS):
        share = _share(k, LAYERS, opacity_out, inside, i, n, m, mask)[:, None]
        colour = _colour(atlas_out, k * seen + i, mask)
        to_colour = share * to_here
        if k < fronts:
            clear = 1.0 - _opacity(k, fronts, opacity_out, inside, i, n, m, mask)[:, None]
            sparsity += w_sparsity * tl.sum(clear * colour * clear * colour, 1)
            to_colour += 2.0 * w_sparsity * clear * clear * colour
        _store_triple(atlas_grad, k * seen + i, to_colour * colour * (1.0 - colour), mask)
        if LIT:
            light = _triple(light_out, k * n + i, mask) * light_unit
            lighting += w_lighting * tl.sum(share * tl.abs(light), 1)
            sign = tl.where(light > 0.0, 1.0, tl.where(light < 0.0, -1.0, 0.0))
            to_light = share * (to_lit * colour * tl.exp(light) + w_lighting * sign)
            _store_triple(light_grad, k * n + i, to_light * light_unit, mask)
        share = _share(k, LAYERS, opacity_out, inside, right, n, m, near)[:, None]
        colour = _colour(atlas_out, k * seen + right, near)
        _store_triple(atlas_grad, k * seen + right, share * to_right * colour * (1.0 - colour), near)
        share = _share(k, LAYERS, opacity_out, inside, below, n, m, near)[:, None]
        colour = _colour(atlas_out, k * seen + below, near)
        _store_triple(atlas_grad, k * seen + below, share * to_below * colour * (1.0 - colour), near)
    if LIT:
        total = w_reconstruction * tl.sum(miss_lit * miss_lit, 1)
        tl.store(terms + tl.program_id(0) * TERMS + 5, tl.sum(tl.where(mask, total, 0.0), 0))
        tl.store(terms + tl.program_id(0) * TERMS + 6, tl.sum(tl.where(mask, lighting, 0.0), 0))

    # Motion.
    x, y = tl.load(xy + i * 2, mask, 0.0), tl.load(xy + i * 2 + 1, mask, 0.0)
    time = tl.load(t + i, mask, 0)
    follows = tl.load(flow_valid + i, mask, 0).to(tl.float32)
    flow = tl.zeros([BLOCK], tl.float32)
    rigidity = tl.zeros([BLOCK], tl.float32)
    wide = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(LAYERS):
        matrix = transforms + (k * frames + time) * 9
        u, v, w = _projected(transforms, k * frames + time, x, y, mask)
        m20, m21 = tl.load(matrix + 6, mask, 0.0), tl.load(matrix + 7, mask, 0.0)
        a = (tl.load(matrix, mask, 1.0) - u / w * m20) / w
        b = (tl.load(matrix + 1, mask, 0.0) - u / w * m21) / w
        c = (tl.load(matrix + 3, mask, 0.0) - v / w * m20) / w
        d = (tl.load(matrix + 4, mask, 1.0) - v / w * m21) / w
        area = a * d - b * c
        bounded = tl.where(tl.abs(area) < 1e-6, 1e-6, tl.abs(area))
        base = k * points
        ux, uy = _uv(places, map_out, base + i, residual_px, mask)
        ex, ey = _uv(places, map_out, base + target, residual_px, mask)
        weight = _share(k, LAYERS, opacity_out, inside, i, n, m, mask) * follows / tl.sqrt(bounded)
        gone_x, gone_y = ux - ex, uy - ey
        length = tl.sqrt(gone_x * gone_x + gone_y * gone_y + 1e-8)
        flow += w_flow * weight * length
        pull = w_flow * weight / length
        _store_pair(map_grad, base + target, -pull * gone_x * residual_px, -pull * gone_y * residual_px, mask)
        to_x, to_y = pull * gone_x, pull * gone_y
        # The inverse of the motion's Jacobian.
        t00, t01, t10, t11 = d / area, -b / area, -c / area, a / area
        rx, ry = _uv(places, map_out, base + right, residual_px, near)
        bx, by = _uv(places, map_out, base + below, residual_px, near)
        loss, dax, day, dbx, dby = _rigidity(rx - ux, ry - uy, bx - ux, by - uy, t00, t01, t10, t11)
        rigidity += w_rigidity * loss
        strength = w_rigidity * residual_px
        _store_pair(map_grad, base + right, strength * dax, strength * day, near)
        _store_pair(map_grad, base + below, strength * dbx, strength * dby, near)
        to_x -= tl.where(near, w_rigidity * (dax + dbx), 0.0)
        to_y -= tl.where(near, w_rigidity * (day + dby), 0.0)
        if GLOBAL:
            w_global = w_global_ground if k == LAYERS - 1 else w_global_front
            far_right, far_below = 2 * n + 2 * m + i, 2 * n + 3 * m + i
            rx, ry = _uv(places, map_out, base + far_right, residual_px, near)
            bx, by = _uv(places, map_out, base + far_below, residual_px, near)
            loss, dax, day, dbx, dby = _rigidity(
                (rx - ux) / long_px,
                (ry - uy) / long_px,
                (bx - ux) / long_px,
                (by - uy) / long_px,
                t00,
                t01,
                t10,
                t11,
            )
            wide += w_global * loss
            strength = w_global / long_px
            to_x -= tl.where(near, strength * (dax + dbx), 0.0)
            to_y -= tl.where(near, strength * (day + dby), 0.0)
            strength *= residual_px
            _store_pair(map_grad, base + far_right, strength * dax, strength * day, near)
            _store_pair(map_grad, base + far_below, strength * dbx, strength * dby, near)
        _store_pair(map_grad, base + i, to_x * residual_px, to_y * residual_px, mask)
    tl.store(terms + tl.program_id(0) * TERMS + 2, tl.sum(tl.where(mask, flow, 0.0), 0))
    tl.store(terms + tl.program_id(0) * TERMS + 3, tl.sum(tl.where(near, rigidity, 0.0), 0))
    if GLOBAL:
        tl.store(terms + tl.program_id(0) * TERMS + 4, tl.sum(tl.where(near, wide, 0.0), 0))

    # Opacity.
    along = tl.zeros([BLOCK], tl.float32)
    matte = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(fronts):
        own = _opacity(k, fronts, opacity_out, inside, i, n, m, mask)
        other = _opacity(k, fronts, opacity_out, inside, target, n, m, mask)
        apart = own - other
        along += w_opacity_flow * follows * tl.abs(apart)
        pull = w_opacity_flow * follows * tl.where(apart > 0.0, 1.0, tl.where(apart < 0.0, -1.0, 0.0))
        zero = tl.zeros([BLOCK], tl.float32)
        _store_opacity_gradient(k, fronts, opacity_grad, opacity_out, inside, zero, -pull, target, n, m, mask)
        row = _opacity_row(k, fronts, i, n, m)
        logit = tl.load(opacity_out + row * fronts + k, mask, 0.0)
        within = tl.load(inside + row, mask, 0) != 0
        goal = tl.load(mattes + i * fronts + k, mask, 0.0)
        error = tl.where(logit > 0.0, logit, 0.0) - logit * goal + tl.log(1.0 + tl.exp(-tl.abs(logit)))
        matte += w_matte * tl.where(within, error, 0.0)
        to_logit = w_matte * (tl.sigmoid(logit) - goal)
        colour = _colour(atlas_out, k * seen + i, mask)
        to_own = pull - 2.0 * w_sparsity * (1.0 - own) * tl.sum(colour * colour, 1)
        if LIT:
            to_own += _opacity_gradient(
                k, to_lit, opacity_out, inside, atlas_out, light_out, i, n, m, mask, light_unit, LAYERS, True
            )
        else:
            to_own += _opacity_gradient(
                k,
                to_here,
                opacity_out,
                inside,
                atlas_out,
                light_out,
                i,
                n,
                m,
                mask,
                light_unit,
                LAYERS,
                False,
            )
            to_near = _opacity_gradient(
                k, to_right, opacity_out, inside, atlas_out, light_out, right, n, m, near, 0.0, LAYERS, False
            )
            _store_opacity_gradient(
                k, fronts, opacity_grad, opacity_out, inside, zero, to_near, right, n, m, near
            )
            to_near = _opacity_gradient(
                k, to_below, opacity_out, inside, atlas_out, light_out, below, n, m, near, 0.0, LAYERS, False
            )
            _store_opacity_gradient(
                k, fronts, opacity_grad, opacity_out, inside, zero, to_near, below, n, m, near
            )
        _store_opacity_gradient(k, fronts, opacity_grad, opacity_out, inside, to_logit, to_own, i, n, m, mask)
    if LAYERS > 1:
        tl.store(terms + tl.program_id(0) * TERMS + 7, tl.sum(tl.where(mask, along, 0.0), 0))
        tl.store(terms + tl.program_id(0) * TERMS + 8, tl.sum(tl.where(mask, sparsity, 0.0), 0))
        tl.store(terms + tl.program_id(0) * TERMS + 9, tl.sum(tl.where(mask, matte, 0.0), 0))
