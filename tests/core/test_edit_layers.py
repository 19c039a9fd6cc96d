"""Strokes, adjustments and edit layers with all that they can be, against the reference and by hand."""

import numpy as np
import pytest
import torch
from msgspec.structs import replace as changed
from random_edits import random_stack

from inve_core.coordinates import Box
from inve_core.edits import Adjustment, ColorDecision, EditLayer, EditStack, Stroke
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.rendering import Renderer, reference, strokes
from inve_core.rendering.adjustments import adjust
from inve_core.rendering.edit_rows import BLENDS
from inve_core.rendering.fields import FrameSize
from inve_core.rendering.painting import FAINTEST
from inve_core.source import FileStamp, ShotSource

WIDTH, HEIGHT = 160, 96
FRAME = 1004
WHOLE = ((-40.0, -40.0), (200.0, -40.0), (200.0, 140.0), (-40.0, 140.0))
# Without an edge: what the whole picture is filled with.
FILLED = {"frame": FRAME, "points": WHOLE, "width": 1.0, "closed": True, "video_layer": "background"}


class FloatPlates(ShotSource):
    """Plates of single precision in memory, of any value and alpha."""

    def read(self, frame: int) -> Picture:
        """The same picture for every frame."""
        window = (0, 0, WIDTH, HEIGHT)
        spec = PictureSpec(WIDTH, HEIGHT, 1.0, window, "float", "linear", tuple("RGBA"))
        return Picture(spec, wild_plates(1)[0].numpy())

    def stamp(self, frame: int) -> FileStamp:
        """Always the same file."""
        return FileStamp("memory", 0, 0)


def wild_plates(count: int) -> torch.Tensor:
    """Pictures of ordinary values, with some that are negative, zero or huge, and any alpha."""
    rng = torch.Generator().manual_seed(5)
    plates = torch.rand(count, HEIGHT, WIDTH, 4, generator=rng)
    kind = torch.randint(0, 40, (count, HEIGHT, WIDTH), generator=rng)
    plates[kind == 0] *= -1
    plates[kind == 1] = 0
    plates[..., :3][kind == 2] *= 60_000
    plates[..., 3][kind >= 12] = 1
    return plates


@pytest.fixture
def renderer(shot):
    return Renderer(shot.model, shot.source)


def layer(*edits, name="a", **values) -> EditLayer:
    kind = "adjustment" if edits and isinstance(edits[0], Adjustment) else "sketch"
    return EditLayer(name=name, kind=kind, edits=edits, **values)


def painted(renderer, *layers, plates=None, frame=FRAME):
    plates = torch.rand(1, HEIGHT, WIDTH, 4) if plates is None else plates
    return renderer.render_on_device(EditStack(layers=layers), [frame], plates)


@pytest.fixture
def flat(renderer, monkeypatch):
    """A renderer that sees the background alone, so that an edit on it covers wholly or not at all."""
    layers = renderer.model.layer_count

    def visibility(xy, t):
        seen = torch.zeros(len(xy), layers)
        seen[:, -1] = 1.0
        return seen

    monkeypatch.setattr(renderer.model, "visibility", visibility)
    return renderer


class TestAgainstTheReference:
    @pytest.mark.parametrize("seed", range(6))
    def test_everything_at_once(self, renderer, seed):
        stack, plates = random_stack(seed, WIDTH, HEIGHT), wild_plates(1)
        ours = renderer.render_on_device(stack, [FRAME], plates)[0]
        size = FrameSize(FRAME - 1001, WIDTH, HEIGHT)
        right, touched = reference.paint_frame(renderer.model, stack, size, plates[0], renderer.textures)
        assert 0.25 < touched.float().mean() < 0.9
        assert torch.equal(ours[~touched].isfinite(), plates[0][~touched].isfinite())
        # Relative above one. A pixel just at the faintest cover may fall on either side of it.
        error = (ours - right).abs() / right.abs().clamp_min(1.0)
        assert error.max() < 8 * FAINTEST
        assert error.quantile(0.999) < 1e-4

    def test_grown_one_edit_at_a_time(self, renderer, shot):
        stack, plates = random_stack(3, WIDTH, HEIGHT), wild_plates(1)
        for count in range(1, 9):
            first = changed(stack.layers[0], edits=stack.layers[0].edits[:count])
            grown = EditStack(layers=(first, *stack.layers[1 : count // 8 * 6]))
            ours = renderer.render_on_device(grown, [FRAME], plates)
        fresh = Renderer(shot.model, shot.source).render_on_device(stack, [FRAME], plates)
        # Fewer points mapped at once come out with another last bit, which a hard edge and a power enlarge.
        error = (ours - fresh).abs() / fresh.abs().clamp_min(1.0)
        assert error.max() < 8 * FAINTEST
        assert error.quantile(0.999) < 1e-4

    @pytest.mark.parametrize("seed", range(4))
    def test_what_nothing_touches_keeps_its_bits(self, renderer, seed):
        plates = wild_plates(1)
        plates[:, ::5, ::3, 1] = torch.nan
        plates[:, 1::7, ::2, 0] = -0.0
        stack = random_stack(seed, WIDTH, HEIGHT, edits_a_layer=2)
        size = FrameSize(FRAME - 1001, WIDTH, HEIGHT)
        ours = renderer.render_on_device(stack, [FRAME], plates)
        _, touched = reference.paint_frame(renderer.model, stack, size, plates[0], renderer.textures)
        same = (ours.view(torch.int32) == plates.view(torch.int32)).all(-1)[0]
        # A few pixels are just at the faintest cover.
        assert (~same & ~touched).sum() <= 3
        assert (~touched).any()
        # What is no number in the plate makes nothing else so.
        assert ours.isfinite().all(-1)[plates.isfinite().all(-1)].all()


class TestParts:
    @pytest.mark.parametrize("seed", range(6))
    def test_laid_over_the_plate_they_make_the_picture(self, shot, seed):
        """Also where blends, adjustments and a plate that is not opaque make that hard."""
        source = FloatPlates("memory", ("memory",), shot.model.geometry.frames, WIDTH, HEIGHT, 1.0, "float")
        renderer = Renderer(shot.model, source)
        stack = random_stack(seed, WIDTH, HEIGHT)
        rendered = renderer.render(stack, FRAME, layers=True)
        parts = [part for part in rendered.parts if part.name.startswith("edit.")]
        assert [part.name for part in parts] == [f"edit.{one.name}" for one in stack.layers]
        names = {one.name for one in stack.rendered}
        rebuilt = source.read(FRAME).pixels.astype(np.float64)
        for part, one in zip(parts, stack.layers, strict=True):
            assert part.pixels.any() == (one.name in names)
            rebuilt = part.pixels + rebuilt * (1 - part.pixels[..., 3:].astype(np.float64))
        error = np.abs(rebuilt - rendered.picture.pixels) / np.maximum(1, np.abs(rebuilt))
        # Alpha under an adjustment counts as 1 where it is that within `blending.OPAQUE_WITHIN`.
        assert error.max() < 1e-4
        assert np.quantile(error, 0.99) < 1e-6

    def test_a_whole_render_is_the_same(self, shot):
        source = FloatPlates("memory", ("memory",), shot.model.geometry.frames, WIDTH, HEIGHT, 1.0, "float")
        renderer, stack = Renderer(shot.model, source), random_stack(1, WIDTH, HEIGHT)
        together, apart = renderer.render(stack, FRAME), renderer.render(stack, FRAME, layers=True)
        assert np.array_equal(together.picture.pixels, apart.picture.pixels, equal_nan=True)
        assert together.touched == apart.touched


class TestBlends:
    """A colour that covers all: half-transparent, over plates that are opaque, and that are not."""

    COLOUR = (0.5, 2.0, 0.0, 1.0)

    def expected(self, blend, plate, cover):
        s, b, solid = plate.new_tensor(self.COLOUR[:3]), plate[..., :3], plate[..., 3:]
        laid = {
            "over": s.expand_as(b),
            "add": s + b,
            "multiply": s * (1 - solid) + s * b,
            "screen": b + s * (1 - b.minimum(solid)),
        }[blend]
        rgb = cover * laid + (1 - cover) * b
        return torch.cat((rgb, cover + (1 - cover) * solid), -1)

    @pytest.mark.parametrize("blend", ["over", "add", "multiply", "screen"])
    @pytest.mark.parametrize("cover", [1.0, 0.3])
    def test_of_a_stroke_and_of_a_layer(self, flat, blend, cover):
        plate = wild_plates(1)
        colour = (*self.COLOUR[:3], cover)
        by_stroke = painted(flat, layer(Stroke(**FILLED, color=colour, blend=blend)), plates=plate)
        by_layer = painted(flat, layer(Stroke(**FILLED, color=colour), blend=blend), plates=plate)
        by_opacity = painted(
            flat, layer(Stroke(**FILLED, color=self.COLOUR), blend=blend, opacity=cover), plates=plate
        )
        expected = self.expected(blend, plate, cover)
        for ours in (by_stroke, by_layer, by_opacity):
            assert torch.allclose(ours, expected, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("blend", BLENDS)
    def test_what_is_transparent_leaves_the_very_bits(self, flat, blend):
        """Of pixels that are infinite, too."""
        plate = wild_plates(1)
        plate[0, ::5, ::3] = torch.inf
        clear = Stroke(**FILLED, color=(1.0, 1.0, 1.0, 0.0), blend=blend)
        grade = Adjustment(**FILLED, exposure=1.0, opacity=0.0)
        faint = Stroke(frame=FRAME, points=((80.0, 50.0),), width=4.0, color=(1.0, 1.0, 1.0, 1.0))
        rendered = painted(flat, layer(clear, faint), layer(grade, name="g"), plates=plate)
        alone = painted(flat, layer(faint), plates=plate)
        assert torch.equal(rendered.view(torch.int32), alone.view(torch.int32))

    def test_multiplied_by_a_half_is_half(self, flat):
        plate = torch.rand(1, HEIGHT, WIDTH, 4)
        plate[..., 3] = 1
        half = Stroke(**FILLED, color=(0.5, 0.5, 0.5, 1.0), blend="multiply")
        assert torch.equal(painted(flat, layer(half), plates=plate)[..., :3], plate[..., :3] / 2)

    def test_a_layer_is_transparent_as_a_whole(self, flat):
        """Strokes of one layer do not show through each other."""
        plate = torch.ones(1, HEIGHT, WIDTH, 4)
        red, blue = ((1.0, 0.0, 0.0, 1.0), (0.0, 0.0, 1.0, 1.0))
        both = layer(Stroke(**FILLED, color=red), Stroke(**FILLED, color=blue), opacity=0.5)
        assert torch.equal(painted(flat, both, plates=plate)[0, 0, 0], torch.tensor([0.5, 0.5, 1.0, 1.0]))

    def test_strokes_of_a_blended_layer_meet_that_layer_alone(self, flat):
        plate = torch.full((1, HEIGHT, WIDTH, 4), 0.5)
        plate[..., 3] = 1
        one, other = (Stroke(**FILLED, color=(c, c, c, 1.0), blend=how)
                      for c, how in ((0.25, "over"), (0.5, "multiply")))  # fmt: skip
        ours = painted(flat, layer(one, other, blend="add"), plates=plate)
        assert ours[0, 0, 0, :3].tolist() == [0.5 + 0.125] * 3


class TestHiding:
    """Opaque paint is what hot pixels are painted out with."""

    PAINT = (0.3, 0.6, 0.9, 1.0)

    @pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
    @pytest.mark.parametrize("below", ["nothing", "an addition", "a layer", "a grade"])
    def test_what_is_no_number(self, flat, value, below):
        plate = wild_plates(1)
        plate[0, ::5, ::3, :3] = value
        glow = Stroke(**FILLED, color=(1.0, 0.5, 0.0, 0.5), blend="add")
        opaque = Stroke(**FILLED, color=self.PAINT)
        grade = Adjustment(**FILLED, exposure=1.0, gamma=1.1)
        layers = {
            "nothing": [layer(opaque)],
            "an addition": [layer(glow, opaque)],
            "a layer": [layer(glow), layer(opaque, name="b")],
            "a grade": [layer(grade), layer(opaque, name="b")],
        }[below]
        stack, size = EditStack(layers=tuple(layers)), FrameSize(FRAME - 1001, WIDTH, HEIGHT)
        slow = reference.paint_frame(flat.model, stack, size, plate[0], flat.textures)[0]
        for rendered in (painted(flat, *layers, plates=plate)[0], slow):
            assert torch.allclose(rendered, torch.tensor(self.PAINT).expand_as(rendered))

    def test_but_not_where_it_shows_through(self, flat):
        plate = torch.full((1, HEIGHT, WIDTH, 4), torch.inf)
        faint = Stroke(**FILLED, color=(*self.PAINT[:3], 0.99))
        assert painted(flat, layer(faint), plates=plate).isinf().all()


def test_no_frames_are_none(renderer):
    ours = renderer.render_on_device(random_stack(0, WIDTH, HEIGHT), [], wild_plates(1)[:0])
    assert ours.shape == (0, HEIGHT, WIDTH, 4)


class TestErasing:
    def test_leaves_the_very_bits(self, flat):
        plate = wild_plates(1)
        plate[0, ::5, ::3, 1] = torch.nan
        paint = (Stroke(**FILLED, color=(0.3, 0.6, 0.9, 0.7), blend=how) for how in ("over", "multiply"))
        rubber = Stroke(**FILLED, color=(0.0, 0.0, 0.0, 1.0), blend="erase")
        rendered = painted(flat, layer(*paint, rubber), plates=plate)
        assert torch.equal(rendered.view(torch.int32), plate.view(torch.int32))

    def test_takes_away_what_its_own_layer_has(self, flat):
        plate = torch.rand(1, HEIGHT, WIDTH, 4)
        below = layer(Stroke(**FILLED, color=(0.3, 0.6, 0.9, 0.7)), name="below")
        rubber = Stroke(**FILLED, color=(0.0, 0.0, 0.0, 0.75), blend="erase")
        above = layer(Stroke(**FILLED, color=(1.0, 1.0, 1.0, 1.0)), rubber, name="above", opacity=0.5)
        ground = painted(flat, below, plates=plate)
        expected = ground + (1 - ground) * 0.25 * 0.5
        assert torch.allclose(painted(flat, below, above, plates=plate), expected, atol=1e-6)


class TestAdjustments:
    def test_a_grade_that_fills_all(self, flat):
        plate = wild_plates(1)
        grade = Adjustment(**FILLED, hue=20.0, contrast=1.2, opacity=0.75,
                           cdl=ColorDecision(slope=(1.2, 1.0, 0.9), power=(1.1, 1.0, 0.9)))  # fmt: skip
        expected = plate.clone()
        expected[..., :3] += 0.75 * (adjust(plate, grade) - plate[..., :3])
        ours = painted(flat, layer(grade), plates=plate)
        assert torch.allclose(ours, expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(ours[..., 3], plate[..., 3])

    def test_no_settings_change_no_bit(self, flat):
        plate = wild_plates(1)
        none = layer(Adjustment(**FILLED), Adjustment(**FILLED, exposure=2.0, opacity=0.0))
        assert torch.equal(painted(flat, none, plates=plate), plate)


class TestWhatIsRendered:
    A, B = (Stroke(**FILLED, color=(c, c, c, 1.0)) for c in (0.25, 0.75))

    @pytest.mark.parametrize("apart", [False, True])
    def test_solo_silences_the_others(self, flat, apart):
        a, b = layer(self.A, name="a", solo=True), layer(self.B, name="b")
        rendered = flat.render(EditStack(layers=(a, b)), FRAME, layers=apart)
        assert (rendered.picture.pixels[..., 0] == 0.25).all()
        if apart:
            assert [part.name for part in rendered.parts[:2]] == ["edit.a", "edit.b"]
            assert not rendered.parts[1].pixels.any()

    def test_a_solo_that_is_not_enabled_silences_none(self, flat):
        a, b = layer(self.A, name="a", solo=True, enabled=False), layer(self.B, name="b")
        assert (painted(flat, a, b)[..., 0] == 0.75).all()

    def test_the_layer_says_what_auto_is(self, renderer):
        auto = changed(self.A, video_layer="auto", points=((40.0, 40.0), (80.0, 40.0), (60.0, 70.0)))
        plates = torch.rand(1, HEIGHT, WIDTH, 4)
        for name in ("foreground", "background"):
            named = painted(renderer, layer(changed(auto, video_layer=name)), plates=plates)
            assert torch.equal(painted(renderer, layer(auto, video_layer=name), plates=plates), named)


class TestShapes:
    def test_width_along_a_tapered_line(self):
        """Its measured width is what was asked for, at every place of it."""
        uv = torch.stack((torch.linspace(0, 100, 26), torch.zeros(26)), 1)
        factor = torch.linspace(0.2, 2.0, 26)
        chain = strokes.Chain(
            0, uv, torch.eye(2).repeat(25, 1, 1), 10.0, 1.0, False, torch.stack((factor, torch.ones(26)), 1)
        )
        step = 0.05
        across = torch.arange(-15, 15, step)
        for x in range(10, 91, 10):
            places = torch.stack((torch.full_like(across, x), across), 1)
            covered = strokes.chain_coverage(chain, places, torch.full_like(across, step**2)).sum() * step
            asked = 10 * (0.2 + 1.8 * x / 100)
            assert float(covered) == pytest.approx(asked, rel=0.01)

    def test_opacity_along_a_line(self):
        chain = strokes.Chain(
            0, torch.tensor([[0.0, 0.0], [100.0, 0.0]]), torch.eye(2)[None], 10.0, 1.0, False,
            torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
        )  # fmt: skip
        x = torch.arange(0.0, 101.0, 10.0)
        cover = strokes.chain_coverage(chain, torch.stack((x, torch.zeros(11)), 1), torch.ones(11))
        assert cover.tolist() == pytest.approx((x / 100).tolist())

    def test_even_widths_are_as_none(self, renderer):
        points = ((20.0, 20.0), (60.0, 70.0), (120.0, 30.0))
        plain = Stroke(frame=FRAME, points=points, width=9.0, hardness=0.5, color=(1.0, 0.5, 0.0, 0.8))
        even = changed(plain, point_widths=(1.0,) * 3, point_opacities=(1.0,) * 3)
        plates = torch.rand(1, HEIGHT, WIDTH, 4)
        ours, right = (painted(renderer, layer(one), plates=plates) for one in (even, plain))
        assert torch.allclose(ours, right, atol=2e-3)
        assert (ours - right).abs().mean() < 1e-5

    def test_no_width_covers_nothing(self, renderer):
        line = Stroke(frame=FRAME, points=((20.0, 20.0), (60.0, 70.0)), width=9.0,
                      color=(1.0, 0.5, 0.0, 1.0), point_widths=(0.0, 0.0))  # fmt: skip
        plates = torch.rand(1, HEIGHT, WIDTH, 4)
        assert torch.equal(painted(renderer, layer(line), plates=plates), plates)

    def test_a_filled_stroke_is_its_outline(self, flat):
        """On the drawn frame, at one pixel's edge, it has the area of the polygon."""
        corners = ((40.0, 20.0), (120.0, 30.0), (90.0, 80.0))
        filled = Stroke(frame=FRAME, points=corners, width=1.0, closed=True, color=(1.0, 1.0, 1.0, 1.0),
                        video_layer="background")  # fmt: skip
        cover = painted(flat, layer(filled), plates=torch.zeros(1, HEIGHT, WIDTH, 4))[..., 3].sum()
        (ax, ay), (bx, by), (cx, cy) = corners
        area = abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2
        assert float(cover) == pytest.approx(area, rel=0.01)

    def test_drawn_on_the_atlas(self, flat):
        """Points and width are shares of the side of the box."""
        box: Box = flat.model.geometry.boxes[-1]
        line = Stroke(frame=FRAME, points=((0.3, 0.3), (0.5, 0.45)), width=0.05, space="atlas",
                      color=(1.0, 1.0, 1.0, 1.0), video_layer="background")  # fmt: skip
        chain = strokes.chain_of_edit(flat.model, line)
        assert chain.uv[0].tolist() == pytest.approx([box.x0 + 0.3 * box.size, box.y0 + 0.3 * box.size])
        across = torch.linspace(-0.06, 0.06, 241) * box.size
        middle = chain.uv.mean(0)
        normal = torch.tensor([-0.15, 0.2]) / 0.25
        places = middle + across[:, None] * normal
        step = float(across[1] - across[0])
        covered = strokes.chain_coverage(chain, places, torch.full_like(across, step**2)).sum() * step
        assert float(covered) == pytest.approx(0.05 * box.size, rel=0.01)
