"""Textures: placed as asked for, filtered as if supersampled, rendered on a learned shot."""

import math
import os
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch

from inve_core.edits import EditLayer, EditStack, Texture
from inve_core.errors import MediaError, PointError
from inve_core.media.pictures import read_texture
from inve_core.rendering import Renderer
from inve_core.rendering.bounded import BoundedCache
from inve_core.rendering.fields import FrameSize
from inve_core.rendering.placements import UNIT_CORNERS, Placement, projected
from inve_core.rendering.textures import TexturePyramid, catmull_rom, coverage, narrow_side, paint
from inve_core.rendering.texturing import differences, share_and_jacobian

DRAWN = 1004
T = DRAWN - 1001
CPU = torch.device("cpu")
# Corners on the ground that the object leaves alone.
CLEAR = ((112.0, 66.0), (154.0, 68.0), (152.0, 92.0), (114.0, 90.0))


def texture(**values: object) -> Texture:
    """A texture on the ground of the shot, all of it in the picture."""
    defaults: dict[str, object] = {"image": "a.png", "frame": DRAWN, "video_layer": "background"}
    if "corners" not in values:
        defaults |= {"x": 40.0, "y": 80.0, "width": 30.0, "height": 20.0}
    return Texture(**{**defaults, **values})


def pixel_grid(width: int, height: int) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return torch.stack((x, y), -1).view(-1, 2)


def drawn(rgba: np.ndarray, placement: Placement, width: int, height: int) -> np.ndarray:
    """A texture over a picture of that size, [height, width, 4], the fast way."""
    place, jacobian = share_and_jacobian(placement.to_texture(), pixel_grid(width, height))
    painted = paint(TexturePyramid(rgba, CPU), place, jacobian)
    return painted.view(height, width, 4).numpy()


def supersampled(rgba: np.ndarray, placement: Placement, width: int, height: int, a_side: int = 16):
    """The same, by many points a pixel: inside or not, and the bilinear colour there, in double precision."""
    steps = (np.arange(a_side) + 0.5) / a_side
    x = (np.arange(width)[:, None] + steps).ravel()
    y = (np.arange(height)[:, None] + steps).ravel()
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    matrix = placement.to_texture()
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    share = mapped[:, :2] / mapped[:, 2:]
    inside = ((share >= 0) & (share <= 1)).all(1) & (mapped[:, 2] > 0)
    tall, wide = rgba.shape[:2]
    texel = np.where(inside[:, None], share, 0.5) * (wide, tall) - 0.5
    low = np.floor(texel).astype(int)
    part = texel - low
    colour = np.zeros((len(points), 4))
    for i, j in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.where(i, part[:, 0], 1 - part[:, 0]) * np.where(j, part[:, 1], 1 - part[:, 1])
        rows, columns = (low[:, 1] + j).clip(0, tall - 1), (low[:, 0] + i).clip(0, wide - 1)
        colour += weight[:, None] * rgba[rows, columns]
    colour *= inside[:, None]
    return colour.reshape(height, a_side, width, a_side, 4).mean((1, 3))


def speckled(width: int, height: int, seed: int = 0) -> np.ndarray:
    """A premultiplied texture with detail down to the texel and a soft, uneven alpha."""
    rng = np.random.default_rng(seed)
    rgba = rng.random((height, width, 4), np.float32)
    rgba[..., 3] = cv2.GaussianBlur(rgba[..., 3], (0, 0), 2) * 2
    rgba[..., 3] = rgba[..., 3].clip(0, 1)
    rgba[..., :3] *= rgba[..., 3:]
    return rgba


class TestPlacement:
    def test_it_turns_clockwise_about_its_anchor(self):
        placement = Placement.of(texture(x=10.0, y=20.0, width=8.0, height=4.0, rotation=90.0))
        # With y down, clockwise takes the right end of the rectangle to the bottom.
        assert placement.points(np.array([[1.0, 0.5]]))[0] == pytest.approx([10.0, 24.0])
        corner = Placement.of(
            texture(x=10.0, y=20.0, width=8.0, height=4.0, rotation=90.0, anchor=(0.0, 0.0))
        )
        assert corner.corners == pytest.approx(np.array([[10, 20], [10, 28], [6, 28], [6, 20]]))
        assert corner.anchor == pytest.approx([10.0, 20.0])

    def test_corners_are_where_they_were_put(self):
        quad = ((10.0, 12.0), (60.0, 4.0), (75.0, 50.0), (5.0, 38.0))
        placement = Placement.of(texture(corners=quad, anchor=(1.0, 1.0)))
        assert placement.corners == pytest.approx(np.array(quad))
        assert placement.anchor == pytest.approx([75.0, 50.0])
        back = projected(placement.to_texture(), np.array(quad))
        assert back == pytest.approx(UNIT_CORNERS, abs=1e-12)

    def test_corners_of_a_rectangle_are_that_rectangle(self):
        turned = Placement.of(texture(rotation=33.0, anchor=(0.25, 1.0)))
        quad = Placement.of(texture(corners=tuple(map(tuple, turned.corners.tolist())), anchor=(0.25, 1.0)))
        assert quad.matrix == pytest.approx(turned.matrix, abs=1e-9)
        assert quad.anchor == pytest.approx(turned.anchor)

    @pytest.mark.parametrize(
        ("flip", "first"),
        [("none", (0, 0)), ("horizontal", (1, 0)), ("vertical", (0, 1)), ("both", (1, 1))],
    )
    def test_flip_mirrors_the_picture_inside_of_its_place(self, flip, first):
        for edit in (texture(flip=flip), texture(flip=flip, corners=((9, 9), (60, 4), (75, 50), (5, 38)))):
            placement, plain = Placement.of(edit), Placement.of(msgspec.structs.replace(edit, flip="none"))
            assert placement.corners == pytest.approx(plain.corners)
            assert projected(placement.to_texture(), plain.corners)[0] == pytest.approx(first, abs=1e-12)

    def test_points_along_the_outline_lie_on_it(self):
        outline = Placement.of(texture(x=0.5, y=0.5, width=1.0, height=1.0)).outline(16)
        assert outline.shape == (64, 2)
        assert np.abs(outline - 0.5).max(1) == pytest.approx(np.full(64, 0.5))

    def test_shares_and_their_derivative(self):
        matrix = Placement.of(texture(corners=((900, 912), (960, 904), (975, 950), (905, 938)))).to_texture()
        xy = torch.tensor([[930.0, 920.0], [965.0, 940.0], [901.0, 915.0]], dtype=torch.float64)
        share, jacobian = share_and_jacobian(matrix, xy)
        assert share.numpy() == pytest.approx(projected(matrix, xy.numpy()), abs=1e-9)
        for axis in (0, 1):
            step = np.eye(2)[axis] * 1e-4
            sides = [projected(matrix, xy.numpy() + sign * step) for sign in (1, -1)]
            assert jacobian[..., axis].numpy() == pytest.approx((sides[0] - sides[1]) / 2e-4, abs=1e-7)

    def test_single_precision_is_enough_at_the_far_end_of_a_large_picture(self):
        matrix = Placement.of(texture(x=16_000.0, y=16_000.0, width=20.0, height=20.0)).to_texture()
        xy = torch.tensor([[15_990.5, 15_991.5], [16_009.5, 16_008.5]])
        share, _ = share_and_jacobian(matrix, xy)
        assert share.numpy() * 20 == pytest.approx(np.array([[0.5, 1.5], [19.5, 18.5]]), abs=2e-3)

    def test_nothing_is_seen_behind_the_horizon(self):
        # A floor that recedes: its plane's horizon is at y = 10, above which its texture would show again.
        horizon = Placement(np.array([[30.0, 20, 20], [0, 10, 40], [0, 1, 1]]), np.zeros(2)).to_texture()
        _, _, front = horizon @ np.array([30.0, 9.0, 1.0])
        assert front < 0
        share, jacobian = share_and_jacobian(horizon, torch.tensor([[30.0, 9.0], [30.0, 30.0]]))
        cover = coverage(share, jacobian)
        assert cover.tolist() == [0.0, pytest.approx(1.0)]


class TestCoverage:
    @pytest.mark.parametrize("degrees", [0.0, 7.0, 30.0, 45.0, 81.0])
    @pytest.mark.parametrize("width", [0.3, 1.0, 5.0])
    def test_a_bar_covers_each_pixel_by_its_area(self, degrees, width):
        placement = Placement.of(texture(x=15.3, y=14.8, width=width, height=200.0, rotation=degrees))
        fast = drawn(np.ones((2, 2, 4), np.float32), placement, 30, 30)[..., 3]
        slow = supersampled(np.ones((2, 2, 4)), placement, 30, 30, 32)[..., 3]
        # A point of the twin more or less along an edge: a row of 32 of its points is a thirty-second.
        assert np.abs(fast - slow).max() < 1.5 / 32
        assert np.abs(fast - slow).mean() < 2e-3

    def test_a_quad_in_perspective(self):
        quad = ((8.3, 20.2), (52.7, 3.4), (57.1, 44.9), (10.6, 31.5))
        placement = Placement.of(texture(corners=quad))
        fast = drawn(np.ones((2, 2, 4), np.float32), placement, 64, 48)[..., 3]
        slow = supersampled(np.ones((2, 2, 4)), placement, 64, 48)[..., 3]
        corners = np.array(quad)
        y, x = np.indices(fast.shape) + 0.5
        at_corner = (np.hypot(x[..., None] - corners[:, 0], y[..., None] - corners[:, 1]) < 1.5).any(-1)
        assert np.abs(fast - slow)[~at_corner].max() < 1.5 / 16
        assert np.abs(fast - slow).max() < 0.15  # Corners that are not right-angled are not exact.
        x, y = corners.T
        area = (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
        assert fast.sum() == pytest.approx(area, rel=1e-3)

    def test_what_is_no_number_is_not_covered(self):
        place = torch.tensor([[0.5, 0.5], [math.nan, 0.5], [0.5, math.inf]])
        assert coverage(place, torch.eye(2).repeat(3, 1, 1) / 10).tolist() == [1.0, 0.0, 0.0]


class TestFilter:
    def test_the_narrow_side_is_the_smaller_singular_value(self):
        matrices = torch.randn(200, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        expected = torch.linalg.svdvals(matrices)[:, 1]
        assert narrow_side(matrices).tolist() == pytest.approx(expected.tolist(), abs=1e-9)

    def test_levels_keep_the_mean(self):
        rgba = speckled(53, 37)
        for level in TexturePyramid(rgba, CPU).levels:
            assert level[0].mean((1, 2)).numpy() == pytest.approx(rgba.mean((0, 1)), abs=1e-5)

    def test_at_its_own_size_it_comes_out_as_it_is(self):
        rgba = speckled(30, 20)
        placement = Placement.of(texture(x=20.0, y=15.0, width=30.0, height=20.0))
        shown = drawn(rgba, placement, 40, 30)
        assert shown[5:25, 5:35] == pytest.approx(rgba, abs=1e-5)
        assert not shown[:5].any()
        assert not shown[:, 35:].any()

    def test_splines_against_their_definition(self):
        rgba = speckled(7, 5)
        pyramid = TexturePyramid(rgba, CPU)
        rng = np.random.default_rng(1)
        places = rng.random((60, 2)).astype(np.float32)
        found = pyramid.cubic(torch.from_numpy(places)).numpy()

        def kernel(distance: float) -> float:
            s = abs(distance)
            if s < 1:
                return 1.5 * s**3 - 2.5 * s**2 + 1
            return -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2 if s < 2 else 0.0

        for place, colour in zip(places, found, strict=True):
            x, y = place[0] * 7 - 0.5, place[1] * 5 - 0.5
            left, top = math.floor(x), math.floor(y)
            total, near = np.zeros(4), []
            for row in range(top - 1, top + 3):
                for column in range(left - 1, left + 3):
                    value = rgba[min(max(row, 0), 4), min(max(column, 0), 6)]
                    total += kernel(x - column) * kernel(y - row) * value
                    if row in (top, top + 1) and column in (left, left + 1):
                        near.append(value)
            assert colour == pytest.approx(total.clip(np.min(near, 0), np.max(near, 0)), abs=1e-5)

    def test_spline_weights_keep_lines_straight(self):
        share = torch.linspace(0, 1, 11, dtype=torch.float64)[:, None]
        weights = catmull_rom(share)[..., 0]
        assert weights.sum(1).tolist() == pytest.approx([1.0] * 11)
        assert (weights @ torch.tensor([-1.0, 0, 1, 2]).double()).tolist() == pytest.approx(
            share[:, 0].tolist()
        )

    @pytest.mark.parametrize(
        "quad",
        [
            ((4.2, 3.7), (59.6, 3.7), (59.6, 43.1), (4.2, 43.1)),  # 4 texels a pixel
            ((8.3, 20.2), (52.7, 3.4), (57.1, 44.9), (10.6, 31.5)),  # in perspective
            ((4.0, 20.0), (60.0, 20.0), (60.0, 26.0), (4.0, 26.0)),  # seven times narrower one way
            ((30.0, 4.0), (58.0, 24.0), (34.0, 44.0), (6.0, 24.0)),  # standing on a corner
            ((2.0, 30.0), (40.0, 2.0), (62.0, 20.0), (24.0, 46.0)),
        ],
    )
    def test_minified_it_is_near_heavy_supersampling(self, quad):
        # Detail of a few texels, as pictures have it: all filters agree on what lasts, none on the finest.
        rgba = cv2.GaussianBlur(speckled(220, 160), (0, 0), 2.0)
        rgba *= 1 / rgba[..., 3].max()
        placement = Placement.of(texture(corners=quad))
        difference = np.abs(drawn(rgba, placement, 64, 48) - supersampled(rgba, placement, 64, 48, 32))
        assert difference.mean() < 0.004
        assert np.quantile(difference, 0.99) < 0.04

    def test_a_fine_pattern_does_not_crawl(self):
        """Stripes finer than a pixel, slid by parts of a pixel: grey that stays grey."""
        stripes = np.ones((200, 300, 4), np.float32)
        stripes[:, ::2, :3] = 0
        pyramid = TexturePyramid(stripes, CPU)
        shown, naive = [], []
        for shift in np.linspace(0, 1, 9):
            placement = Placement.of(
                texture(x=24.0 + shift, y=20.0, width=300 / 7.3, height=30.0, rotation=4.0)
            )
            place, jacobian = share_and_jacobian(placement.to_texture(), pixel_grid(48, 40))
            shown.append(paint(pyramid, place, jacobian).view(40, 48, 4).numpy()[12:28, 10:38, 0])
            naive.append(pyramid.cubic(place).view(40, 48, 4).numpy()[12:28, 10:38, 0])
        assert np.ptp([one.mean() for one in shown]) < 1e-3
        assert np.abs(np.array(shown) - 0.5).max() < 0.03
        assert np.ptp(shown, axis=0).max() < 0.03 < 0.5 < np.ptp(naive, axis=0).max()

    def test_slanted_it_keeps_what_can_be_told_apart(self):
        """Stripes that are wide across the slant stay, though the other way a pixel spans many texels."""
        stripes = np.ones((256, 64, 4), np.float32)
        stripes[:, (np.arange(64) // 4) % 2 == 0, :3] = 0
        placement = Placement.of(texture(x=32.0, y=10.0, width=64.0, height=256 / 12))
        shown = drawn(stripes, placement, 64, 20)[8:12, :, 0]
        assert np.ptp(shown, axis=1).min() > 0.9

    @pytest.mark.parametrize("size", [5.0, 40.0, 333.0])
    def test_no_fringe_along_transparent_borders(self, size):
        """A disc of one colour: wherever anything is seen, it is that colour."""
        y, x = np.indices((64, 64)) + 0.5
        alpha = (np.hypot(x - 32, y - 32) < 24).astype(np.float32)
        rgba = np.concatenate(
            (np.full((64, 64, 3), (4.0, 0.5, 0.02)) * alpha[..., None], alpha[..., None]), 2
        )
        placement = Placement.of(texture(x=180.0, y=180.0, width=size, height=size, rotation=20.0))
        shown = drawn(rgba.astype(np.float32), placement, 360, 360)
        assert shown.min() >= 0
        assert shown[..., 3].max() <= 1 + 1e-6
        seen = shown[..., 3] > 1e-3
        straight = shown[seen][:, :3] / shown[seen][:, 3:]
        assert np.abs(straight / (4.0, 0.5, 0.02) - 1).max() < 1e-3

    def test_its_size_can_change_without_a_jump(self):
        """The look between one tap and many, and between levels, changes by little from size to size."""
        rgba = cv2.GaussianBlur(speckled(96, 96), (0, 0), 1.0)
        pyramid, before = TexturePyramid(rgba, CPU), None
        for step in range(240):
            scale = 1.02 ** (step - 60)  # texels a pixel, 0.3 to 35
            place = torch.full((1, 2), 0.43) + torch.rand(64, 2, generator=torch.manual_seed(0)) * 0.1
            jacobian = torch.eye(2).repeat(64, 1, 1) * scale / 96
            here = pyramid.sample(place, jacobian)
            if before is not None:
                assert (here - before).abs().max() < 0.06, scale
            before = here


@pytest.fixture(scope="module")
def renderer(shot):
    return Renderer(shot.model, shot.source)


@pytest.fixture(scope="module")
def checker(tmp_path_factory):
    """Checks, the first of which, top left, is red."""
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[..., 3] = 255
    y, x = np.indices((60, 80)) // 10
    pixels[(x + y) % 2 == 0] = 255
    pixels[:10, :10, :2] = 0
    path = tmp_path_factory.mktemp("checker") / "checker.png"
    cv2.imwrite(str(path), pixels)
    return str(path)


def over(renderer: Renderer, edit: Texture, frame: int = DRAWN, **layer: object) -> np.ndarray:
    """What one texture lays over a frame, [h, w, 4]."""
    stack = EditStack(layers=(EditLayer(name="t", kind="texture", edits=(edit,), **layer),))
    return renderer.render(stack, frame, layers=True).parts[0].pixels.astype(np.float64)


class TestRendered:
    @pytest.mark.parametrize("tracking", ["surface", "point", "similarity", "corner"])
    def test_the_drawn_frame_shows_it_where_it_was_placed(self, renderer, checker, tracking):
        edit = texture(image=checker, corners=CLEAR, tracking=tracking)
        shown = over(renderer, edit)

        expected = supersampled(read_texture(checker), Placement.of(edit), 160, 96)
        # Half precision, and edges of checks that no two filters soften alike.
        assert np.abs(shown - expected).mean() < 2e-3
        assert np.quantile(np.abs(shown - expected), 0.999) < 0.2

    def test_flip_and_opacity(self, renderer, checker):
        plain = over(renderer, texture(image=checker, tracking="point", x=130.0))
        half = over(renderer, texture(image=checker, tracking="point", x=130.0, opacity=0.5))
        assert half == pytest.approx(plain / 2, abs=1e-3)
        assert not over(renderer, texture(image=checker, opacity=0.0)).any()
        for flip, axes in (("horizontal", (1,)), ("vertical", (0,)), ("both", (0, 1))):
            turned = over(renderer, texture(image=checker, tracking="point", flip=flip, x=130.0))
            # The texture is centred on (130, 80): its pixels are 115 to 145, and 70 to 90.
            assert turned[70:90, 115:145] == pytest.approx(np.flip(plain[70:90, 115:145], axes), abs=2e-3)

    @pytest.mark.parametrize("quad", [CLEAR, ((-200, -100), (400, -120), (380, 300), (-220, 280))])
    def test_surface_and_corner_agree_on_a_plane(self, renderer, checker, quad):
        """Also where the corners lie far outside, and the plane fills the picture."""
        for frame in (1001, 1008):
            surface, corner = (
                over(renderer, texture(image=checker, corners=quad, tracking=how), frame)
                for how in ("surface", "corner")
            )
            # What follows points is not cut to its layer's outline.
            ground = renderer.fields.visibility(FrameSize(frame - 1001, 160, 96), np.arange(6))
            ground = ground.view(2, 3, 64, 64, 2).transpose(1, 2).reshape(128, 192, 2)[:96, :160, 1].numpy()
            shown = ground == 1
            assert np.abs(surface - corner)[shown].mean() < 0.02
            assert surface[shown][:, 3].sum() == pytest.approx(corner[shown][:, 3].sum(), rel=0.02)

    @pytest.mark.parametrize("tracking", ["surface", "point", "similarity", "corner"])
    @pytest.mark.parametrize("scale", [1.0, 2.0])
    def test_no_tile_that_it_touches_is_left_out(self, renderer, checker, tracking, scale):
        edit = texture(image=checker, corners=CLEAR, tracking=tracking)
        for t in (0, T, 7):
            size = FrameSize(t, round(160 * scale), round(96 * scale))
            every = np.arange(size.columns * size.rows)
            patch = renderer.textures._patch(edit, size, every)
            touched = every[(patch.over.view(len(every), -1) != 0).any(1).numpy()]
            assert len(touched)
            assert set(touched) <= set(renderer.textures.tiles(edit, size))

    def test_on_the_atlas_it_lies_where_the_atlas_says(self, renderer, checker, shot):
        """Half a side across and down: the middle of the layer's box, wherever a frame shows that."""
        box = shot.model.geometry.boxes[1]
        values = {"x": 0.5, "y": 0.5, "width": 0.2, "height": 0.1, "space": "atlas", "frame": 1001}
        edit = texture(image=checker, **values)
        middle = box.from_unit(torch.tensor([[0.5, 0.5]]))
        for t in (0, 5):
            shown = over(renderer, edit, 1001 + t)
            visible = renderer.fields.visibility(FrameSize(t, 160, 96), np.arange(6))
            goal = shot.model.unmap(1, middle, torch.tensor([t]))[0][0].tolist()
            alpha = shown[..., 3]
            assert alpha.sum() > 100
            rows, columns = np.indices(alpha.shape) + 0.5
            if visible[..., 1].min() == 1:
                centre = (columns * alpha).sum() / alpha.sum(), (rows * alpha).sum() / alpha.sum()
                assert math.dist(centre, goal) < 1.0
        # The edit layer may say whose atlas it is.
        auto = msgspec.structs.replace(edit, video_layer="auto")
        assert np.array_equal(over(renderer, auto, video_layer="background"), over(renderer, edit))
        with pytest.raises(PointError, match="whose atlas"):
            renderer.textures.surface(auto)

    def test_atlas_space_and_the_atlas_view_agree(self, renderer, checker):
        edit = texture(image=checker, x=0.5, y=0.5, width=0.25, height=0.25, space="atlas")
        stack = EditStack(layers=(EditLayer(name="t", kind="texture", edits=(edit,)),))
        plain, edited = renderer.atlas("background", None, 256), renderer.atlas("background", stack, 256)
        rows, columns = np.nonzero((plain.pixels != edited.pixels).any(-1))
        box = (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1)
        assert box == pytest.approx((96, 160, 96, 160), abs=1.01)

    def test_the_look_changes_without_tracking_anew(self, renderer, checker, monkeypatch):
        edit = texture(image=checker, tracking="corner", x=41.0)
        over(renderer, edit)

        def refuse(*_: object) -> None:
            raise AssertionError("it was tracked again")

        monkeypatch.setattr("inve_core.rendering.texturing.track_placement", refuse)
        over(renderer, msgspec.structs.replace(edit, opacity=0.3, flip="both", id="e1"))
        with pytest.raises(AssertionError, match="again"):
            over(renderer, msgspec.structs.replace(edit, x=42.0))

    def test_a_file_that_was_replaced_is_read_again(self, renderer, tmp_path):
        path = tmp_path / "a.png"
        greens = []
        for number, green in enumerate((255, 0)):
            cv2.imwrite(str(path), np.full((20, 30, 3), (0, green, 0), np.uint8))
            os.utime(path, ns=(number, number))
            rendered = over(renderer, texture(image=str(path), tracking="point"))
            greens.append(np.asarray(rendered)[80, 40, 1])
        assert greens == pytest.approx([1.0, 0.0], abs=2e-3)
        path.unlink()
        with pytest.raises(MediaError, match=r"a\.png"):
            over(renderer, texture(image=str(path), tracking="point"))

    def test_pyramids_are_bounded_by_bytes(self, shot, checker, tmp_path):
        renderer = Renderer(shot.model, shot.source)
        painter = renderer.textures
        one = TexturePyramid(np.zeros((60, 80, 4), np.float32), CPU).nbytes
        painter._pyramids.budget_bytes = int(2.5 * one)
        for number in range(4):
            image = tmp_path / f"{number}.png"
            image.write_bytes(Path(checker).read_bytes())
            over(renderer, texture(image=str(image), tracking="point"))
        assert len(painter._pyramids) == 2
        assert painter._pyramids.used_bytes <= 2.5 * one


def test_differences_of_a_plane():
    place = torch.stack((torch.arange(5.0).expand(4, 5) * 3, torch.arange(4.0)[:, None].expand(4, 5) * 7), -1)
    found = differences(place[None])
    assert torch.equal(found, torch.tensor([[3.0, 0.0], [0.0, 7.0]]).expand(1, 4, 5, 2, 2))


def test_a_bounded_cache_forgets_what_was_asked_for_longest_ago():
    class Sized:
        nbytes = 10

    cache: BoundedCache[str, Sized] = BoundedCache(20, overhead_bytes=0)
    first = cache.get("a", Sized)
    cache.get("b", Sized)
    assert cache.get("a", Sized) is first
    cache.get("c", Sized)
    assert (len(cache), cache.used_bytes) == (2, 20)
    assert cache.get("a", Sized) is first
    big = type("Big", (), {"nbytes": 99})()
    assert cache.get("big", lambda: big) is big
    assert len(cache) == 1
    with pytest.raises(ZeroDivisionError):
        cache.get("d", lambda: 1 / 0)
    assert (len(cache), cache.used_bytes) == (1, 99)
