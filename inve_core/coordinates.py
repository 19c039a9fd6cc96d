"""The only conversions between pixels, normalised coordinates and atlas uv.

Four spaces, all with x to the right and y down:

picture     pixels of the full-size source; the first pixel's centre is (0.5, 0.5). The public space.
working     pixels of the size that the model learns at; the same convention. Picture and working
            coordinates differ by a factor per axis only, since pixel centres sit at halves in both.
atlas       pixels of a video layer's reference frame at working size; what a mapping predicts (u, v).
unit        a box of one of the former, scaled to [0, 1]: what a hash grid takes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PictureGrid:
    """The picture's size and the working size, and the way between them."""

    width: int
    height: int
    working_width: int
    working_height: int

    @classmethod
    def fit(cls, width: int, height: int, working_size: int) -> "PictureGrid":
        """Working size with a long edge of `working_size` pixels, never larger than the picture."""
        scale = min(1.0, working_size / max(width, height))
        return cls(width, height, max(1, round(width * scale)), max(1, round(height * scale)))

    @property
    def factors(self) -> tuple[float, float]:
        """Picture pixels per working pixel, in x and in y."""
        return self.width / self.working_width, self.height / self.working_height

    def to_working(self, xy: Tensor) -> Tensor:
        """[..., 2] picture coordinates to working coordinates."""
        return xy / xy.new_tensor(self.factors)

    def to_picture(self, xy: Tensor) -> Tensor:
        """[..., 2] working coordinates to picture coordinates."""
        return xy * xy.new_tensor(self.factors)


def pixel_centres(width: int, height: int, device: str | torch.device = "cpu") -> Tensor:
    """Centres of a picture's pixels, row by row. Returns [height, width, 2]."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32) + 0.5,
        torch.arange(width, device=device, dtype=torch.float32) + 0.5,
        indexing="ij",
    )
    return torch.stack((x, y), -1)


def shifted(xy: Tensor, x: float, y: float) -> Tensor:
    """Points [..., 2] moved by (x, y). The numbers stay on the host: nothing is copied to a device."""
    return torch.stack((xy[..., 0] + x, xy[..., 1] + y), -1)


def transform_points(matrix: Tensor, xy: Tensor) -> Tensor:
    """Apply homographies to points.

    Args:
        matrix: [3, 3] or [..., 3, 3] (one for each point).
        xy: [..., 2].

    Returns:
        [..., 2]. A point on or behind the homography's horizon is kept finite and far away.
    """
    mapped = _projected(matrix, xy)
    w = mapped[..., 2:]
    return mapped[..., :2] / torch.where(w < 1e-3, torch.full_like(w, 1e-3), w)


def _projected(matrix: Tensor, xy: Tensor) -> Tensor:
    """Homogeneous coordinates [..., 3]. Written out: a matrix product a point takes many times as long."""
    return matrix[..., 0] * xy[..., :1] + matrix[..., 1] * xy[..., 1:] + matrix[..., 2]


def transform_jacobian(matrix: Tensor, xy: Tensor) -> Tensor:
    """d(mapped xy)/d(xy) of a homography. Shapes as `transform_points`; returns [..., 2, 2]."""
    mapped = _projected(matrix, xy)
    w = mapped[..., 2:].clamp_min(1e-3)
    point = mapped[..., :2] / w
    return (matrix[..., :2, :2] - point[..., None] * matrix[..., 2:, :2]) / w[..., None]


def determinant(matrix: Tensor) -> Tensor:
    """Determinant of [..., 2, 2]; in closed form, since a batch of tiny matrices starves a solver."""
    return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]


def inverse(matrix: Tensor) -> Tensor:
    """Inverse of [..., 2, 2] in closed form. A singular matrix gives infinities."""
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
    adjugate = torch.stack((torch.stack((d, -b), -1), torch.stack((-c, a), -1)), -2)
    return adjugate / determinant(matrix)[..., None, None]


@dataclass(frozen=True)
class Box:
    """An axis-aligned box that is scaled to the unit square or cube, isotropically in x and y."""

    x0: float
    y0: float
    size: float

    def to_unit(self, xy: Tensor) -> Tensor:
        """[..., 2] to the unit square; points outside the box come out below 0 or above 1."""
        return shifted(xy, -self.x0, -self.y0) / self.size

    def from_unit(self, unit: Tensor) -> Tensor:
        """The inverse of `to_unit`."""
        return shifted(unit * self.size, self.x0, self.y0)
