"""Conversions: what goes there and back, and how a homography and its Jacobian belong together."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from inve_core.coordinates import (
    Box,
    PictureGrid,
    determinant,
    inverse,
    pixel_centres,
    transform_jacobian,
    transform_points,
)

sizes = st.integers(16, 5000)


@given(width=sizes, height=sizes, working=st.integers(16, 1024), x=st.floats(0, 1), y=st.floats(0, 1))
def test_picture_and_working_coordinates_are_inverse(width, height, working, x, y):
    grid = PictureGrid.fit(width, height, working)
    xy = torch.tensor([x * width, y * height], dtype=torch.float64)
    assert torch.allclose(grid.to_picture(grid.to_working(xy)), xy, rtol=1e-12)
    edge = torch.tensor([width, height], dtype=torch.float64)
    working_edge = torch.tensor([grid.working_width, grid.working_height], dtype=torch.float64)
    assert torch.allclose(grid.to_working(edge), working_edge, rtol=1e-12)


@given(width=sizes, height=sizes, working=st.integers(16, 1024))
def test_working_size_keeps_the_long_edge_and_never_grows(width, height, working):
    grid = PictureGrid.fit(width, height, working)
    assert max(grid.working_width, grid.working_height) == min(working, max(width, height))
    assert grid.working_width <= width
    assert grid.working_height <= height


def test_first_pixel_centre_is_at_one_half():
    centres = pixel_centres(3, 2)
    assert centres.shape == (2, 3, 2)
    assert centres[0, 0].tolist() == [0.5, 0.5]
    assert centres[1, 2].tolist() == [2.5, 1.5]


def test_jacobian_of_a_homography_is_its_derivative():
    matrix = torch.tensor([[1.1, 0.2, 5.0], [-0.1, 0.9, 2.0], [1e-3, -2e-3, 1.0]], dtype=torch.float64)
    xy = torch.tensor([[10.0, 20.0], [30.0, 5.0]], dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda p: transform_points(matrix, p).sum(0), xy)
    assert torch.allclose(transform_jacobian(matrix, xy), expected.permute(1, 0, 2), atol=1e-12)


def test_points_beyond_the_horizon_stay_finite():
    matrix = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0.1, 0, -1.0]])
    assert transform_points(matrix, torch.tensor([[1.0, 1.0]])).isfinite().all()


def test_closed_forms_agree_with_the_solver():
    matrices = torch.randn(50, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(determinant(matrices), torch.linalg.det(matrices))
    assert torch.allclose(inverse(matrices), torch.linalg.inv(matrices))


def test_box_scales_both_axes_alike():
    box = Box(10.0, -5.0, 40.0)
    assert box.to_unit(torch.tensor([10.0, -5.0])).tolist() == [0.0, 0.0]
    assert box.to_unit(torch.tensor([50.0, 35.0])).tolist() == [1.0, 1.0]
    xy = torch.tensor([[3.0, 7.0]])
    assert torch.allclose(box.from_unit(box.to_unit(xy)), xy)
