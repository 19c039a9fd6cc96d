"""A texture's colour at a pixel: filtered over the pixel's footprint, with the quad's edge antialiased.

Everything is premultiplied, so that no colour of a transparent texel shows. Magnified textures are read by
Catmull-Rom splines, minified ones by several taps of a mip map spread over the pixel's square: the mip level
is chosen by the narrow side of the footprint, so that a slanted texture is neither blurred nor crawls.
"""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from inve_core.coordinates import determinant

MAX_TAPS = 8
"""Most taps along one side of a pixel. A footprint up to twice as long for its width is not blurred."""

# Splines give way to straight lines over this many levels of the mip map.
SPLINE_LEVELS = 0.25
# What a CPU does in its caches; a GPU wants as much as there is.
PIXELS_A_CALL = {"cpu": 1 << 14, "cuda": 1 << 21}
# Less than this is what rounding leaves of an edge that lies between two pixels.
LEAST_COVER = 1e-4


class TexturePyramid:
    """A texture and its halved copies.

    Attributes:
        size: (width, height) in texels.
        levels: [1, 4, h, w] each, the largest first.
        nbytes: memory that they take.
    """

    def __init__(self, rgba: npt.NDArray[np.float32], device: torch.device):
        """rgba: [h, w, 4] float32, premultiplied, scene-linear."""
        self.size = (rgba.shape[1], rgba.shape[0])
        self.levels: list[Tensor] = []
        level = np.ascontiguousarray(rgba, np.float32)
        while True:
            self.levels.append(torch.from_numpy(level).to(device).permute(2, 0, 1)[None].contiguous())
            height, width = level.shape[:2]
            if max(height, width) == 1:
                break
            # By area, with shares of texels where a side is odd: every level keeps the mean.
            halved = cv2.resize(level, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
            level = np.asarray(halved, np.float32)
        self._texels = self.levels[0][0].permute(1, 2, 0).reshape(-1, 4).contiguous()
        self.nbytes = sum(one.nbytes for one in (*self.levels, self._texels))

    def sample(self, place: Tensor, jacobian: Tensor) -> Tensor:
        """Premultiplied RGBA [n, 4], averaged over each pixel's square; beyond the border its texels go on.

        Args:
            place: [n, 2] shares of the texture's width and height.
            jacobian: [n, 2, 2] d(place)/d(pixel), finite.
        """
        texels = jacobian * jacobian.new_tensor(self.size)[:, None]
        sides = texels.square().sum(1).sqrt()  # [n, 2], of the pixel's square, in texels
        # What one tap averages, in texels: half the footprint's narrow side, so that two taps fill that.
        grain = (narrow_side(texels) / 2).maximum(sides.amax(1) / MAX_TAPS).clamp_min(1.0)
        taps = (sides / grain[:, None]).clamp(1.0, MAX_TAPS).log2().sub(1e-3).ceil().clamp_min(0).long()
        # Together taps and what each of them averages span the side. Where texels are larger than pixels the
        # taps coincide, and a texture at its own size comes out as it is.
        spread = (1 - grain[:, None] / sides.clamp_min(1e-12)).clamp_min(0.0)
        level = grain.log2()
        result = torch.zeros(len(place), 4, device=place.device)
        kind = taps[:, 0] * 8 + taps[:, 1]
        for key in kind.unique().tolist():
            here = (kind == key).nonzero()[:, 0]
            across, down = 1 << (key // 8), 1 << (key % 8)
            for x in _offsets(across):
                for y in _offsets(down):
                    offset = spread[here] * spread.new_tensor((x, y))
                    moved = place[here] + (jacobian[here] @ offset[..., None])[..., 0]
                    result[here] += self._read(moved, level[here]) / (across * down)
        return result

    def _read(self, place: Tensor, level: Tensor) -> Tensor:
        """One tap at places [n, 2], between the two levels around level [n]: [n, 4]."""
        level = level.clamp_max(len(self.levels) - 1)
        low, high = torch.stack(level.aminmax()).tolist()
        if high == 0:
            return self.cubic(place)
        result = torch.zeros(len(place), 4, device=place.device)
        for number in range(int(low), min(int(high) + 2, len(self.levels))):
            weight = (1 - (level - number).abs()).clamp_min(0.0)
            if number == 0:
                # What is averaged anyway needs no spline, which takes several times as long.
                spline = (1 - level / SPLINE_LEVELS).clamp_min(0.0) * weight
                weight = weight - spline
                used = (spline > 0).nonzero()[:, 0]
                result[used] += spline[used, None] * self.cubic(place[used])
            used = (weight > 0).nonzero()[:, 0]
            result[used] += weight[used, None] * self._linear(number, place[used])
        return result

    def _linear(self, number: int, place: Tensor) -> Tensor:
        grid = (place * 2 - 1)[None, None]
        values = functional.grid_sample(
            self.levels[number], grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return values[0, :, 0].t()

    def cubic(self, place: Tensor) -> Tensor:
        """The texture itself at places [n, 2] by Catmull-Rom splines, [n, 4].

        Values stay within those of the four texels around a place, in each channel alike: overshoot would
        make a fringe along transparent borders, and light below zero beside highlights.
        """
        width, height = self.size
        texel = place.clamp(-1.0, 2.0) * place.new_tensor(self.size) - 0.5
        whole = texel.floor()
        weights = catmull_rom(texel - whole)  # [n, 4, 2]
        first, steps = whole.int(), torch.arange(-1, 3, dtype=torch.int32, device=place.device)
        columns = (first[:, :1] + steps).clamp(0, width - 1)
        rows = (first[:, 1:] + steps).clamp(0, height - 1)
        texels = rows[:, :, None] * width + columns[:, None]  # [n, 4, 4]
        shares = weights[:, :, None, 1] * weights[:, None, :, 0]
        # A weighted sum of rows of a matrix in one call: sixteen reads and additions take ten times as long.
        result = functional.embedding_bag(
            texels.flatten(1), self._texels, per_sample_weights=shares.flatten(1), mode="sum"
        )
        near = [self._texels.index_select(0, texels[:, j, i]) for j in (1, 2) for i in (1, 2)]
        least = near[0].minimum(near[1]).minimum(near[2].minimum(near[3]))
        most = near[0].maximum(near[1]).maximum(near[2].maximum(near[3]))
        return result.maximum(least).minimum(most)


def paint(pyramid: TexturePyramid, place: Tensor, jacobian: Tensor) -> Tensor:
    """Premultiplied RGBA of a texture at pixels, transparent outside of it.

    Args:
        place: [n, 2] where each pixel's centre lies, in shares of the texture's width and height.
        jacobian: [n, 2, 2] d(place)/d(pixel).

    Returns:
        [n, 4].
    """
    cover = coverage(place, jacobian)
    result = torch.zeros(len(place), 4, device=place.device)
    here = (cover > 0).nonzero()[:, 0]
    for part in here.split(PIXELS_A_CALL.get(place.device.type, 1 << 16)):
        result[part] = pyramid.sample(place[part], jacobian[part]) * cover[part, None]
    return result


def coverage(place: Tensor, jacobian: Tensor) -> Tensor:
    """The share of each pixel's square that lies in the unit square: [n] in 0..1.

    Exact for one edge, and for two that are parallel, however narrow the strip between them. Corners take the
    product of both directions. A pixel whose place is not finite is not covered.

    Args:
        place: [n, 2] where each pixel's centre lies.
        jacobian: [n, 2, 2] d(place)/d(pixel).
    """
    slope = jacobian.norm(dim=-1).clamp_min(1e-12)
    steep, flat = (jacobian.abs() / slope[..., None]).sort(dim=-1, descending=True).values.unbind(-1)
    near, far = (_half_plane(away / slope, steep, flat) for away in (place, 1 - place))
    cover = (near + far - 1).clamp_min(0.0).prod(1)
    known = place.isfinite().all(1) & jacobian.isfinite().all(-1).all(-1)
    return torch.where(known & (cover >= LEAST_COVER), cover, torch.zeros_like(cover))


def _half_plane(distance: Tensor, steep: Tensor, flat: Tensor) -> Tensor:
    """The share of a pixel on one side of a line.

    Args:
        distance: of the pixel's centre from the line, in pixels, positive inside.
        steep, flat: the larger and the smaller size of the components of the line's unit normal.
    """
    reach = ((steep + flat) / 2 - distance.abs()).clamp_min(0.0)
    # Near the line the share grows evenly; as the line leaves the square's corner, by the triangle that it
    # cuts off.
    corner = reach.square() / (2 * steep * flat).clamp_min(1e-12)
    outside = torch.where(distance.abs() < (steep - flat) / 2, 0.5 - distance.abs() / steep, corner)
    return torch.where(distance > 0, 1 - outside, outside)


def narrow_side(matrix: Tensor) -> Tensor:
    """The smaller singular value of [n, 2, 2]: [n]."""
    total, area = matrix.square().sum((-1, -2)), determinant(matrix).abs()
    apart = ((total - 2 * area) * (total + 2 * area)).clamp_min(0.0).sqrt()
    return area / ((total + apart) / 2).sqrt().clamp_min(1e-12)


def catmull_rom(share: Tensor) -> Tensor:
    """Weights of the four texels around a place.

    Args:
        share: [n, d] from 0 to 1, how far it lies from the second texel towards the third.

    Returns:
        [n, 4, d], summing to 1.
    """
    square, cube = share.square(), share**3
    return torch.stack(
        (
            -0.5 * share + square - 0.5 * cube,
            1 - 2.5 * square + 1.5 * cube,
            0.5 * share + 2 * square - 1.5 * cube,
            0.5 * (cube - square),
        ),
        1,
    )


def _offsets(count: int) -> list[float]:
    """Positions of taps from -1/2 to 1/2."""
    return [0.0] if count == 1 else [k / (count - 1) - 0.5 for k in range(count)]
