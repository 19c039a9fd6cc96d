"""Where a texture was placed: a homography from its unit square to a frame, or to the atlas."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inve_core.edits import Texture

Floats = npt.NDArray[np.floating]

UNIT_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
"""Top-left, top-right, bottom-right and bottom-left, the order of a texture's `corners`."""


@dataclass(frozen=True, eq=False)
class Placement:
    """A texture's place. Drawn coordinates are picture pixels, in atlas space shares of the atlas's side.

    Attributes:
        matrix: [3, 3], shares of the placed picture's width and height (0..1, y down) to drawn coordinates;
            the homogeneous coordinate is positive all over the unit square.
        anchor: [2] drawn coordinates of the place that is followed and turned about.
        mirrored: whether the picture is swapped left and right, and top and bottom, inside of its place.
    """

    matrix: Floats
    anchor: Floats
    mirrored: tuple[bool, bool] = (False, False)

    @classmethod
    def of(cls, edit: Texture) -> "Placement":
        """Of a texture edit, by its corners or by its size, rotation and anchor."""
        mirrored = (edit.flip in ("horizontal", "both"), edit.flip in ("vertical", "both"))
        if edit.corners is not None:
            matrix = square_to_quad(np.array(edit.corners, float))
            return cls(matrix, projected(matrix, np.array([edit.anchor], float))[0], mirrored)
        if edit.x is None or edit.y is None or edit.width is None or edit.height is None:
            raise ValueError("a texture must have x, y, width and height, or corners; parse_stack sees to it")
        cos, sin = math.cos(math.radians(edit.rotation)), math.sin(math.radians(edit.rotation))
        # With y down, this turns clockwise as seen.
        axes = np.array([[cos, -sin], [sin, cos]]) * (edit.width, edit.height)
        matrix = np.eye(3)
        matrix[:2, :2] = axes
        matrix[:2, 2] = (edit.x, edit.y) - axes @ np.array(edit.anchor, float)
        return cls(matrix, np.array([edit.x, edit.y], float), mirrored)

    @property
    def corners(self) -> Floats:
        """Its corners in the order of UNIT_CORNERS, [4, 2] drawn coordinates."""
        return self.points(UNIT_CORNERS)

    def points(self, shares: Floats) -> Floats:
        """Shares of the placed picture's sides [n, 2] to drawn coordinates [n, 2]."""
        return projected(self.matrix, shares)

    def grid(self, a_side: int) -> Floats:
        """Points all over it, its corners included, [a_side**2, 2] drawn coordinates."""
        side = np.linspace(0, 1, a_side)
        return self.points(np.stack(np.meshgrid(side, side), -1).reshape(-1, 2))

    def outline(self, a_side: int) -> Floats:
        """Points along its four sides, [4 * a_side, 2] drawn coordinates."""
        along = np.arange(a_side)[:, None] / a_side
        sides = zip(UNIT_CORNERS, np.roll(UNIT_CORNERS, -1, 0), strict=True)
        return self.points(np.concatenate([start + along * (end - start) for start, end in sides]))

    def to_texture(self) -> Floats:
        """Drawn coordinates to shares of the picture as it is stored, mirroring included: [3, 3].

        The homogeneous coordinate is positive on the placed quad, and not beyond its plane's horizon.
        """
        back = np.linalg.inv(self.matrix)
        for axis, swapped in enumerate(self.mirrored):
            if swapped:
                back[axis] = back[2] - back[axis]
        return back


def projected(matrix: Floats, xy: Floats) -> Floats:
    """Apply a homography [..., 3, 3] to points [k, 2]: [..., k, 2]."""
    mapped = xy @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    result: Floats = mapped[..., :2] / mapped[..., 2:]
    return result


def square_to_quad(corners: Floats) -> Floats:
    """The homography of UNIT_CORNERS to the corners [4, 2] of a convex quad (Heckbert 1989): [3, 3]."""
    first, second, third, fourth = corners
    along, down = second - third, fourth - third
    twist = first - second + third - fourth
    area = along[0] * down[1] - along[1] * down[0]
    g = (twist[0] * down[1] - twist[1] * down[0]) / area
    h = (along[0] * twist[1] - along[1] * twist[0]) / area
    matrix = np.ones((3, 3))
    matrix[:2, 0] = second - first + g * second
    matrix[:2, 1] = fourth - first + h * fourth
    matrix[:2, 2] = first
    matrix[2, :2] = (g, h)
    return matrix
