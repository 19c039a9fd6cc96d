"""Rendering: exact where nothing is touched, right where something is, rebuilt by `over` from its parts."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke, Texture, parse_stack
from inve_core.errors import EditError
from inve_core.media.colour import LUMA
from inve_core.media.pictures import Picture
from inve_core.rendering import Renderer, strokes
from inve_core.rendering.adjustments import adjust, hue_matrix

DRAWN = 1004


@pytest.fixture(scope="module")
def renderer(shot):
    return Renderer(shot.model, shot.source)


@pytest.fixture(scope="module")
def logo(tmp_path_factory):
    """A picture with a hole, so that alpha counts."""
    import cv2

    path = tmp_path_factory.mktemp("logo") / "logo.png"
    pixels = np.zeros((40, 60, 4), np.uint8)
    pixels[...] = (30, 60, 250, 255)
    pixels[10:30, 20:40] = 0
    cv2.imwrite(str(path), pixels)
    return str(path)


def sketch(*edits: Stroke, name: str = "paint", opacity: float = 1.0) -> EditLayer:
    return EditLayer(name=name, kind="sketch", edits=edits, opacity=opacity)


def stroke(points: list[tuple[float, float]], **values: object) -> Stroke:
    defaults = {"frame": DRAWN, "width": 6.0, "hardness": 1.0, "color": (1.0, 0.0, 0.0, 1.0)}
    return Stroke(points=tuple(points), **{**defaults, **values})


def middle_of_object(shot, frame: int = DRAWN) -> tuple[float, float]:
    matte = shot.truth.mattes[frame - 1001]
    y, x = np.nonzero(matte > 0.5)
    return float(x.mean() + 0.5), float(y.mean() + 0.5)


class TestCoverage:
    """The chunked, tiled coverage against a twin that measures one pixel and one segment at a time."""

    def slow(self, chain: strokes.Chain, uv: torch.Tensor, area: torch.Tensor) -> list[float]:
        result = []
        for point, pixel_area in zip(uv, area.tolist(), strict=True):
            best, scale = math.inf, 1.0
            for start, end, matrix in zip(chain.starts, chain.ends, chain.to_drawn, strict=True):
                away, along = (matrix @ (point - start)).tolist(), (matrix @ (end - start)).tolist()
                length = along[0] ** 2 + along[1] ** 2
                share = (away[0] * along[0] + away[1] * along[1]) / length if length else 0.0
                share = min(1.0, max(0.0, share))
                distance = math.hypot(away[0] - share * along[0], away[1] - share * along[1])
                if distance < best:
                    best, scale = distance, abs(float(np.linalg.det(matrix.numpy())))
            half = max(math.sqrt(pixel_area * scale) / 2, (1 - chain.hardness) * chain.width / 2)
            smooth = (1 - chain.hardness) * chain.width / 2 > math.sqrt(pixel_area * scale) / 2

            def edge(z: float, smooth: bool = smooth) -> float:
                ramp = min(1.0, max(0.0, 0.5 + 0.5 * z))
                return ramp * ramp * (3 - 2 * ramp) if smooth else ramp

            radius = chain.width / 2
            result.append(edge((radius - best) / half) - edge((-radius - best) / half))
        return result

    @pytest.mark.parametrize(("width", "hardness"), [(8.0, 1.0), (8.0, 0.3), (0.4, 1.0), (12.0, 0.0)])
    def test_agrees_with_the_twin(self, width, hardness):
        rng = torch.Generator().manual_seed(0)
        k = 70
        uv = torch.cumsum(torch.randn(k, 2, generator=rng), 0)
        to_drawn = torch.eye(2) + 0.2 * torch.randn(k - 1, 2, 2, generator=rng)
        chain = strokes.Chain(0, uv, to_drawn, width, hardness, False)
        places = uv.mean(0) + 8 * torch.randn(60, 2, generator=rng)
        area = 0.5 + torch.rand(60, generator=rng)
        fast = strokes.chain_coverage(chain, places, area)
        # Single precision against double: a few units in the sixth place of distances near ten.
        assert fast.tolist() == pytest.approx(self.slow(chain, places, area), abs=1e-4)

    def test_inside_agrees_with_winding_angles(self):
        angles = torch.linspace(0, 2 * math.pi, 41)[:-1]
        radius = 10 + 3 * torch.sin(5 * angles)
        uv = torch.stack((radius * angles.cos(), radius * angles.sin()), 1)
        chain = strokes.Chain(0, uv, torch.eye(2).repeat(40, 1, 1), 1.0, 1.0, True)
        places = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)) * 30 - 15
        for place, inside in zip(places, strokes.inside_outline(chain, places).tolist(), strict=True):
            rays = uv - place
            turn = torch.atan2(rays[:, 1], rays[:, 0])
            steps = torch.diff(torch.cat((turn, turn[:1])))
            winding = float(torch.remainder(steps + math.pi, 2 * math.pi).sub(math.pi).sum())
            assert inside == (abs(winding) > math.pi)

    def test_a_line_thinner_than_a_pixel_keeps_its_weight(self):
        chain = strokes.Chain(
            0, torch.tensor([[0.0, 0.0], [100.0, 0.0]]), torch.eye(2)[None], 0.25, 1.0, False
        )
        across = torch.stack((torch.full((9,), 50.0), torch.arange(-4.0, 5.0) + 0.1), 1)
        cover = strokes.chain_coverage(chain, across, torch.ones(9))
        assert cover.sum().item() == pytest.approx(0.25, abs=0.01)

    def test_resampling_keeps_corners_and_spacing(self):
        fine = strokes.resample([(0, 0), (10, 0), (10, 5)], 2.0, closed=False)
        assert np.linalg.norm(np.diff(fine, axis=0), axis=1).max() <= 2.0 + 1e-9
        for corner in ((0, 0), (10, 0), (10, 5)):
            assert (fine == corner).all(1).any()
        ring = strokes.resample([(0, 0), (10, 0), (10, 5)], 2.0, closed=True)
        assert not (ring[0] == ring[-1]).all()
        assert strokes.resample([(3, 4)], 2.0, closed=False).tolist() == [[3, 4]]


class TestDrawnFrame:
    """On the frame it was drawn on, an edit lies where it was drawn."""

    @pytest.mark.parametrize("video_layer", ["foreground", "background"])
    def test_a_stroke_lies_where_it_was_drawn(self, renderer, shot, video_layer):
        x, y = middle_of_object(shot) if video_layer == "foreground" else (80.0, 88.0)
        points = [(x - 14, y - 2), (x, y + 2), (x + 14, y - 1)]
        stack = EditStack(layers=(sketch(stroke(points, video_layer=video_layer, width=5.0)),))
        part = renderer.render(stack, DRAWN, layers=True).parts[0]
        cover = part.pixels[..., 3].astype(np.float64)
        for column in (int(x) - 8, int(x) + 6):
            weights = cover[:, column]
            centre = (weights * (np.arange(96) + 0.5)).sum() / weights.sum()
            (x0, y0), (x1, y1) = (points[0], points[1]) if column < x else (points[1], points[2])
            share = (column + 0.5 - x0) / (x1 - x0)
            assert centre == pytest.approx(y0 + share * (y1 - y0), abs=0.3)
            slant = math.hypot(1, (y1 - y0) / (x1 - x0))
            assert weights.sum() / slant == pytest.approx(5.0, rel=0.05)

    def test_softness_keeps_the_width_at_half_coverage(self, renderer):
        for hardness in (1.0, 0.5, 0.0):
            line = stroke([(40, 85), (120, 85)], video_layer="background", width=8.0, hardness=hardness)
            part = renderer.render(EditStack(layers=(sketch(line),)), DRAWN, layers=True).parts[0]
            profile = part.pixels[:, 80, 3].astype(np.float64)
            assert profile.sum() == pytest.approx(8.0, rel=0.05)
            # Half coverage is four pixels from the line, between the centres of these rows.
            assert profile[81] > 0.5 > profile[80]
            assert profile[88] > 0.5 > profile[89]

    def test_a_filled_outline_covers_its_inside(self, renderer):
        square = ((10.0, 70.0), (40.0, 70.0), (40.0, 90.0), (10.0, 90.0))
        edit = Adjustment(
            frame=DRAWN, points=square, width=1.0, closed=True, brightness=0.25, video_layer="background"
        )
        stack = EditStack(layers=(EditLayer(name="grade", kind="adjustment", edits=(edit,)),))
        cover = renderer.render(stack, DRAWN, layers=True).parts[0].pixels[..., 3].astype(np.float64)
        assert cover.sum() == pytest.approx(30 * 20, rel=0.03)
        assert cover[72:88, 12:38].min() > 0.99


class TestOtherFrames:
    def test_a_stroke_follows_the_object_and_stays_on_it(self, renderer, shot):
        x, y = middle_of_object(shot)
        line = stroke([(x - 10, y), (x + 10, y)], video_layer="foreground", width=4.0)
        stack = EditStack(layers=(sketch(line),))
        drawn = np.array([[x - 10 + k, y] for k in range(21)])
        for frame in (1001, 1008):
            cover = renderer.render(stack, frame, layers=True).parts[0].pixels[..., 3].astype(np.float64)
            goal = shot.truth.position("foreground", DRAWN - 1001, drawn, frame - 1001).mean(0)
            rows, columns = np.indices(cover.shape)
            centre = ((columns + 0.5) * cover).sum() / cover.sum(), ((rows + 0.5) * cover).sum() / cover.sum()
            assert math.dist(centre, goal) < 1.0
            outside = (cover * (shot.truth.mattes[frame - 1001] < 0.5)).sum() / cover.sum()
            assert outside < 0.02

    def test_a_ground_stroke_is_hidden_by_the_object(self, renderer, shot):
        x, y = middle_of_object(shot)
        line = stroke([(5, y), (155, y)], video_layer="background", width=6.0)
        cover = renderer.render(EditStack(layers=(sketch(line),)), DRAWN, layers=True).parts[0].pixels[..., 3]
        assert cover[int(y), int(x)] == 0
        assert cover[int(y), 8] > 0.95


class TestPassThrough:
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def test_untouched_pixels_keep_their_bits(self, renderer, shot, data):
        coordinate = st.tuples(st.floats(0, 160), st.floats(0, 96))
        edits = data.draw(
            st.lists(
                st.builds(
                    stroke,
                    st.lists(coordinate, min_size=1, max_size=5),
                    width=st.floats(0.2, 30),
                    hardness=st.floats(0, 1),
                    video_layer=st.sampled_from(["auto", "foreground", "background"]),
                ),
                max_size=3,
            )
        )
        frame = data.draw(st.sampled_from(shot.source.frames))
        rendered = renderer.render(EditStack(layers=(sketch(*edits),)), frame, layers=True)
        plate = shot.source.read(frame).pixels
        untouched = (rendered.parts[0].pixels == 0).all(-1)
        before, after = plate.view(np.uint16), rendered.picture.pixels.view(np.uint16)
        assert np.array_equal(before[untouched], after[untouched])
        assert rendered.touched >= (~untouched).sum()

    def test_values_that_are_not_finite_pass_through(self, shot, monkeypatch):
        plate = shot.source.read(DRAWN)
        pixels = plate.pixels.astype(np.float32)
        pixels[2, 3] = (np.nan, np.inf, -np.inf, 1)
        pixels[5, 5, :3] = (-0.5, 70_000.0, 0.0)
        odd = Picture(plate.spec, pixels, plate.metadata)
        monkeypatch.setattr(type(shot.source), "read", lambda self, frame: odd)
        adjustment = Adjustment(frame=DRAWN, points=((100.0, 80.0),), width=10.0, saturation=0.0)
        stack = EditStack(layers=(EditLayer(name="g", kind="adjustment", edits=(adjustment,)),))
        rendered = Renderer(shot.model, shot.source).render(stack, DRAWN)
        same = rendered.picture.pixels.view(np.uint32) == pixels.view(np.uint32)
        assert same[:20].all()
        assert 0 < rendered.touched < 200

    def test_disabled_transparent_and_identity_edits_change_nothing(self, renderer, shot):
        line = stroke([(20, 80), (60, 80)])
        same = Adjustment(frame=DRAWN, points=((20.0, 80.0),), width=20.0, hue=360.0)
        stack = EditStack(
            layers=(
                EditLayer(name="off", kind="sketch", edits=(line,), enabled=False),
                EditLayer(name="clear", kind="sketch", edits=(line,), opacity=0.0),
                EditLayer(name="same", kind="adjustment", edits=(same,)),
            )
        )
        rendered = renderer.render(stack, DRAWN)
        assert rendered.touched == 0
        assert np.array_equal(
            rendered.picture.pixels.view(np.uint16), shot.source.read(DRAWN).pixels.view(np.uint16)
        )


class TestStack:
    def mixed(self, shot, logo) -> EditStack:
        x, y = middle_of_object(shot)
        grade = Adjustment(
            frame=DRAWN,
            points=((20.0, 80.0), (140.0, 80.0)),
            width=24.0,
            hue=40.0,
            saturation=1.3,
            brightness=0.1,
        )
        again = Adjustment(frame=DRAWN, points=((60.0, 80.0),), width=30.0, hardness=0.2, saturation=0.2)
        sign = Texture(image=logo, frame=DRAWN, x=x, y=y, width=24.0, height=16.0, rotation=20.0)
        pin = Texture(image=logo, frame=DRAWN, x=130.0, y=80.0, width=24.0, height=16.0, tracking="point")
        return EditStack(
            layers=(
                EditLayer(name="grade", kind="adjustment", edits=(grade, again), opacity=0.8),
                sketch(stroke([(30, 80), (130, 84)], color=(0.9, 0.8, 0.1, 0.7), hardness=0.4), opacity=0.9),
                EditLayer(name="signs", kind="texture", edits=(sign, pin)),
            )
        )

    def test_the_parts_rebuild_the_frame_by_over(self, renderer, shot, logo):
        stack = self.mixed(shot, logo)
        for frame in (1001, DRAWN):
            rendered = renderer.render(stack, frame, layers=True)
            result = shot.source.read(frame).pixels.astype(np.float64)
            for part in rendered.parts[:3]:
                values = part.pixels.astype(np.float64)
                result = values + result * (1 - values[..., 3:])
            # Each part is rounded to half: eleven bits of values up to about one.
            assert np.abs(result - rendered.picture.pixels.astype(np.float64)).max() < 3e-3

    def test_the_order_of_layers_counts(self, renderer):
        red = sketch(stroke([(60, 80)], width=20.0), name="red")
        blue = sketch(stroke([(60, 80)], width=20.0, color=(0.0, 0.0, 1.0, 1.0)), name="blue")
        over = [
            renderer.render(EditStack(layers=order), DRAWN).picture.pixels[80, 60, :3].tolist()
            for order in ((red, blue), (blue, red))
        ]
        assert over == [[0, 0, 1], [1, 0, 0]]

    def test_video_layer_parts_are_mattes_and_positions(self, renderer, shot):
        parts = {part.name: part for part in renderer.render(EditStack(), DRAWN, layers=True).parts}
        assert list(parts) == ["matte.foreground", "uv.foreground", "matte.background", "uv.background"]
        matte = parts["matte.foreground"].pixels[..., 0]
        truth = shot.truth.mattes[DRAWN - 1001]
        both, either = ((matte > 0.5) & (truth > 0.5)).sum(), ((matte > 0.5) | (truth > 0.5)).sum()
        assert both / either > 0.95
        assert np.allclose(matte + parts["matte.background"].pixels[..., 0], 1, atol=1e-5)
        uv = parts["uv.background"].pixels
        assert uv.min() >= 0
        assert uv.max() <= 1

    def test_a_region_is_a_crop_of_the_whole(self, renderer, shot, logo):
        stack = self.mixed(shot, logo)
        whole = renderer.render(stack, 1002).picture.pixels
        cut = renderer.render(stack, 1002, region=(50, 30, 70, 60)).picture
        assert cut.spec.data_window == (50, 30, 70, 60)
        assert np.array_equal(cut.pixels, whole[30:90, 50:120])
        with pytest.raises(EditError, match="outside"):
            renderer.render(stack, 1002, region=(500, 30, 70, 60))

    @pytest.mark.parametrize("on_gpu", [False, True])
    @pytest.mark.parametrize("layers", [False, True])
    def test_a_region_in_the_overscan_is_passed_through(self, shot, logo, monkeypatch, layers, on_gpu):
        plate = shot.source.read(1002)
        spec = dataclasses.replace(plate.spec, data_window=(-40, -40, 240, 176))
        pixels = np.random.default_rng(0).random((176, 240, 4)).astype(plate.pixels.dtype)
        wide = Picture(spec, pixels, plate.metadata)
        monkeypatch.setattr(type(shot.source), "read", lambda self, frame: wide)
        renderer, stack = Renderer(shot.model, shot.source), self.mixed(shot, logo)
        renderer.on_gpu = on_gpu
        rendered = renderer.render(stack, 1002, region=(-40, -40, 30, 20), layers=layers)
        assert rendered.touched == 0
        assert np.array_equal(rendered.picture.pixels, pixels[:20, :30])
        whole = renderer.render(stack, 1002, layers=layers)
        assert [part.name for part in rendered.parts] == [part.name for part in whole.parts]
        assert all(part.pixels.shape[:2] == (20, 30) and not part.pixels.any() for part in rendered.parts)

    def test_scale_makes_a_smaller_frame_with_the_edit_in_place(self, renderer, shot):
        stack = EditStack(
            layers=(sketch(stroke([(40, 84), (120, 84)], width=8.0, video_layer="background")),)
        )
        half = renderer.render(stack, DRAWN, scale=0.5, layers=True)
        assert half.picture.pixels.shape == (48, 80, 4)
        profile = half.parts[0].pixels[:, 40, 3].astype(np.float64)
        assert profile.sum() == pytest.approx(4.0, rel=0.06)
        assert (profile * (np.arange(48) + 0.5)).sum() / profile.sum() == pytest.approx(42.0, abs=0.3)
        double = renderer.render(stack, DRAWN, scale=2.0, layers=True)
        assert double.parts[0].pixels[:, 160, 3].astype(np.float64).sum() == pytest.approx(16.0, rel=0.06)
        with pytest.raises(EditError, match="scale"):
            renderer.render(stack, DRAWN, scale=9.0)


class TestTextures:
    @pytest.mark.parametrize("tracking", ["surface", "point", "similarity", "corner"])
    def test_the_drawn_frame_shows_it_as_placed(self, renderer, logo, tracking):
        edit = Texture(
            image=logo, frame=DRAWN, x=40.0, y=82.0, width=30.0, height=20.0, tracking=tracking,
            video_layer="background",
        )  # fmt: skip
        stack = EditStack(layers=(EditLayer(name="t", kind="texture", edits=(edit,)),))
        alpha = renderer.render(stack, DRAWN, layers=True).parts[0].pixels[..., 3].astype(np.float64)
        # The picture's hole is its middle third in x and its middle half in y.
        assert alpha.sum() == pytest.approx(30 * 20 - 10 * 10, rel=0.04)
        assert alpha[82, 40] < 0.05
        assert alpha[75, 30] > 0.95

    def test_point_tracking_keeps_shape_and_follows(self, renderer, shot, logo):
        x, y = middle_of_object(shot)
        edit = Texture(
            image=logo,
            frame=DRAWN,
            x=x,
            y=y,
            width=30.0,
            height=20.0,
            tracking="point",
            video_layer="foreground",
        )
        stack = EditStack(layers=(EditLayer(name="t", kind="texture", edits=(edit,)),))
        sizes, centres = [], []
        for frame in (1001, DRAWN, 1008):
            alpha = renderer.render(stack, frame, layers=True).parts[0].pixels[..., 3].astype(np.float64)
            rows, columns = np.indices(alpha.shape) + 0.5
            centre = np.array([(columns * alpha).sum(), (rows * alpha).sum()]) / alpha.sum()
            centres.append(centre)
            spread = [
                ((axis - c) ** 2 * alpha).sum() / alpha.sum()
                for axis, c in ((columns, centre[0]), (rows, centre[1]))
            ]
            sizes.append([alpha.sum(), *spread])
            goal = shot.truth.position("foreground", DRAWN - 1001, np.array([[x, y]]), frame - 1001)[0]
            assert math.dist(centre, goal) < 1.5
        for size in sizes:
            assert size == pytest.approx(sizes[1], rel=0.03)


class TestAdjustments:
    def rgba(self, *rgb: float, alpha: float = 1.0) -> torch.Tensor:
        return torch.tensor([[*rgb, alpha]], dtype=torch.float64)

    def edit(self, **values: float) -> Adjustment:
        return Adjustment(frame=DRAWN, points=((0.0, 0.0),), width=1.0, **values)

    @given(degrees=st.floats(-360, 360), r=st.floats(-1, 4), g=st.floats(-1, 4), b=st.floats(-1, 4))
    def test_hue_keeps_luminance_and_is_undone(self, degrees, r, g, b):
        colour = self.rgba(r, g, b)
        turned = adjust(colour, self.edit(hue=degrees))
        luma = torch.tensor(LUMA, dtype=torch.float64)
        assert (turned @ luma).item() == pytest.approx((colour[:, :3] @ luma).item(), abs=1e-9)
        back = adjust(torch.cat((turned, colour[:, 3:]), 1), self.edit(hue=-degrees))
        assert back[0].tolist() == pytest.approx([r, g, b], abs=1e-9)

    def test_hue_leaves_grey_alone(self):
        assert (hue_matrix(77.0) @ torch.ones(3, dtype=torch.float64)).tolist() == pytest.approx([1, 1, 1])

    def test_a_third_of_a_turn_takes_red_towards_green(self):
        green = adjust(self.rgba(1, 0, 0), self.edit(hue=120))[0]
        assert green.argmax() == 1

    def test_saturation_brightness_and_their_order(self):
        assert adjust(self.rgba(0.2, 0.4, 0.9), self.edit(saturation=0))[0].tolist() == pytest.approx(
            [float(np.dot(LUMA, (0.2, 0.4, 0.9)))] * 3
        )
        assert adjust(self.rgba(0.2, 0.4, 3.0), self.edit(brightness=0.1))[0].tolist() == pytest.approx(
            [0.3, 0.5, 3.1]
        )
        both = adjust(self.rgba(0.2, 0.4, 0.9), self.edit(saturation=0, brightness=0.1))[0]
        assert both.tolist() == pytest.approx([float(np.dot(LUMA, (0.2, 0.4, 0.9))) + 0.1] * 3)

    def test_nothing_glows_where_nothing_is(self):
        clear = self.rgba(0, 0, 0, alpha=0)
        assert adjust(clear, self.edit(brightness=0.5)).abs().max() == 0


def test_a_parsed_stack_renders(renderer):
    """The document of the design, through the parser."""
    stack = parse_stack(
        {
            "layers": [
                {
                    "name": "paint",
                    "kind": "sketch",
                    "edits": [
                        {
                            "type": "stroke", "frame": DRAWN, "points": [[20, 80], [60, 84]], "width": 6.0,
                            "hardness": 0.8, "color": [1, 0.5, 0, 1], "video_layer": "auto",
                        }
                    ],
                }
            ]
        }
    )  # fmt: skip
    assert renderer.render(stack, DRAWN).touched > 100
