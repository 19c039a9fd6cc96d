"""The atlas as a picture: its edits, and the part of it that a frame shows."""

import numpy as np
import pytest
import torch
from random_edits import random_stack

from inve_core.coordinates import pixel_centres
from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke, Texture
from inve_core.errors import EditError, PointError
from inve_core.rendering import Renderer, reference, strokes
from inve_core.rendering.adjustments import adjust
from inve_core.rendering.atlas_view import DIMMED, part_in_frame
from inve_core.rendering.edit_rows import targeted
from inve_core.rendering.fields import pixel_area
from inve_core.rendering.painting import FAINTEST

DRAWN = 1004
SIDE = 512


@pytest.fixture(scope="module")
def renderer(shot):
    return Renderer(shot.model, shot.source)


@pytest.fixture(scope="module")
def middle(shot) -> tuple[float, float]:
    y, x = np.nonzero(shot.truth.mattes[DRAWN - 1001] > 0.5)
    return float(x.mean() + 0.5), float(y.mean() + 0.5)


def sketch(x: float, y: float, **values: object) -> EditLayer:
    settings = {"color": (5.0, 0.0, 0.0, 1.0), "width": 8.0, "frame": DRAWN, **values}
    return EditLayer("paint", "sketch", (Stroke(points=((x - 8, y), (x + 8, y)), **settings),))


def place_in_view(shot, layer: int, xy: tuple[float, float], t: int) -> tuple[int, int]:
    """The view's pixel, row and column, of what is at a picture place of a frame."""
    model = shot.model
    working = model.geometry.grid.to_working(torch.tensor([xy], dtype=torch.float32))
    unit = model.geometry.boxes[layer].to_unit(model.map(layer, working, torch.tensor([t])))
    column, row = (unit[0] * SIDE).long().tolist()
    return row, column


def test_the_atlas_shows_the_edits_on_it(renderer, shot, middle):
    stack = EditStack(layers=(sketch(*middle),))
    plain, edited = renderer.atlas("foreground"), renderer.atlas("foreground", stack)
    assert plain.pixels.shape == (SIDE, SIDE, 4)
    changed = (plain.pixels != edited.pixels).any(-1)
    assert 0.002 < changed.mean() < 0.2
    assert changed[place_in_view(shot, 0, middle, DRAWN - 1001)]
    assert edited.pixels[changed][:, 0].max() == 5.0
    assert np.array_equal(renderer.atlas("background").pixels, renderer.atlas("background", stack).pixels)
    with pytest.raises(EditError, match="foreground, background"):
        renderer.atlas("sky")


def test_a_layer_that_is_off_or_silenced_is_not_on_it(renderer, middle):
    plain = renderer.atlas("foreground").pixels
    off = EditLayer("off", "sketch", sketch(*middle).edits, enabled=False)
    assert np.array_equal(renderer.atlas("foreground", EditStack(layers=(off,))).pixels, plain)
    grade = Adjustment(frame=DRAWN, points=(middle,), width=20.0, saturation=0.0)
    alone = EditLayer("alone", "adjustment", (grade,), solo=True)
    both, single = (
        renderer.atlas("foreground", EditStack(layers=layers)).pixels
        for layers in ((sketch(*middle), alone), (alone,))
    )
    assert np.array_equal(both, single)
    assert not np.array_equal(single, plain)


def test_an_adjustment_grades_the_paint_below_it(renderer, shot, middle):
    """As in a frame: grey is what the stroke's red is turned into."""
    grade = Adjustment(frame=DRAWN, points=(middle,), width=20.0, saturation=0.0)
    stack = EditStack(layers=(sketch(*middle), EditLayer("grade", "adjustment", (grade,))))
    found = renderer.atlas("foreground", stack).pixels[place_in_view(shot, 0, middle, DRAWN - 1001)]
    assert found.tolist() == pytest.approx([5 * 0.2126] * 3 + [1.0], abs=2e-3)


def test_a_tracked_texture_lies_where_it_was_placed(renderer, shot, middle, tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "green.png"), np.full((8, 8, 3), (0, 255, 0), np.uint8))
    views = []
    for tracking in ("surface", "point", "similarity"):
        edit = Texture(
            image=str(tmp_path / "green.png"), frame=DRAWN, x=middle[0], y=middle[1], width=10.0,
            height=10.0, tracking=tracking,
        )  # fmt: skip
        stack = EditStack(layers=(EditLayer("t", "texture", (edit,)),))
        views.append(renderer.atlas("foreground", stack).pixels)
    row, column = place_in_view(shot, 0, middle, DRAWN - 1001)
    assert views[0][row, column].tolist() == pytest.approx([0, 1, 0, 1], abs=2e-3)
    assert np.array_equal(views[0], views[1])
    assert np.array_equal(views[0], views[2])


def by_edit(shot, layer: int, stack: EditStack, below: torch.Tensor) -> torch.Tensor:
    """What the edits of a stack's lines make of atlas colours [side, side, 4]: one by one on every pixel."""
    side = len(below)
    uv = shot.model.geometry.boxes[layer].from_unit(pixel_centres(side, side) / side)
    area, below = pixel_area(uv).view(-1), below.view(-1, 4)
    for edit_layer in stack.rendered:
        top = torch.zeros_like(below)
        for edit in targeted(edit_layer):
            chain = strokes.chain_of_edit(shot.model, edit)
            if chain.layer != layer:
                continue
            cover = reference.coverage(chain, uv.view(-1, 2), area)[:, None]
            beneath = top + below * (1 - top[:, 3:]) if edit_layer.blend == "over" else top
            if isinstance(edit, Adjustment):
                colour = torch.cat((adjust(beneath, edit), torch.ones_like(cover)), 1)
                laid = reference.lay("over", colour * cover * edit.opacity, beneath, top)
            else:
                colour = torch.tensor((*edit.color[:3], 1.0))
                laid = reference.lay(edit.blend, colour * cover * edit.color[3], beneath, top)
            top = torch.where(cover >= FAINTEST, laid, top)
        result = reference.lay(edit_layer.blend, top * edit_layer.opacity, below, below)
        if edit_layer.kind == "adjustment":
            result[:, 3] = below[:, 3]
        below = torch.where((top != 0).any(-1, keepdim=True), result, below)
    return below.view(side, side, 4)


class TestEveryKindOfEdit:
    @pytest.mark.parametrize("layer", [0, 1])
    @pytest.mark.parametrize("seed", [2, 3])
    def test_blends_opacities_and_targets_are_those_of_a_frame(self, renderer, shot, layer, seed):
        # A side that is no multiple of a tile's.
        side, name = 150, shot.model.geometry.video_layers[layer]
        stack = random_stack(seed, 160, 96)
        plain = renderer.atlas(name, long_edge=side).pixels.astype(np.float32)
        expected = by_edit(shot, layer, stack, torch.from_numpy(plain)).numpy()
        assert (expected != plain).any(-1).mean() > 0.02
        actual = renderer.atlas(name, stack, side).pixels.astype(np.float32)
        # Half precision of what is below and of the result, and a coverage just at the faintest.
        error = np.abs(actual - expected) / np.maximum(np.abs(expected), 1)
        assert error.max() < 4 * FAINTEST
        assert np.quantile(error, 0.999) < 2e-3

    def test_what_is_erased_is_the_layer_alone(self, renderer, middle):
        plain = renderer.atlas("foreground").pixels
        wiped = EditStack(layers=(sketch(*middle, blend="erase"),))
        assert np.array_equal(renderer.atlas("foreground", wiped).pixels, plain)

    @pytest.mark.parametrize("opacity", [1.0, 0.5])
    def test_a_texture_on_the_atlas_that_its_layer_names(self, renderer, tmp_path, opacity):
        import cv2

        cv2.imwrite(str(tmp_path / "white.png"), np.full((8, 8, 3), 255, np.uint8))
        edit = Texture(
            image=str(tmp_path / "white.png"), frame=DRAWN, x=0.5, y=0.5, width=0.2, height=0.2,
            space="atlas", opacity=opacity,
        )  # fmt: skip
        stack = EditStack(layers=(EditLayer("t", "texture", (edit,), video_layer="background"),))
        plain, edited = (renderer.atlas("background", stack).pixels[256, 256] for stack in (None, stack))
        expected = opacity + plain.astype(float) * (1 - opacity)
        assert edited.tolist() == pytest.approx(expected.tolist(), abs=2e-3)

    def test_a_texture_outside_of_the_view_is_not_on_it(self, renderer, tmp_path):
        import cv2

        cv2.imwrite(str(tmp_path / "white.png"), np.full((8, 8, 3), 255, np.uint8))
        edit = Texture(
            image=str(tmp_path / "white.png"), frame=DRAWN, x=5.0, y=5.0, width=0.2, height=0.2,
            space="atlas", video_layer="background",
        )  # fmt: skip
        stack = EditStack(layers=(EditLayer("t", "texture", (edit,)),))
        plain, edited = (renderer.atlas("background", stack).pixels for stack in (None, stack))
        assert np.array_equal(plain, edited)


class TestPartOfAFrame:
    @pytest.mark.parametrize("layer", [0, 1])
    def test_it_is_what_the_frame_maps_to(self, renderer, shot, layer):
        """The inverse way against the forward way: pixels that show the layer land in its part."""
        t, model = 2, shot.model
        part = part_in_frame(renderer.textures, layer, t)
        grid = model.geometry.grid
        xy = pixel_centres(grid.working_width, grid.working_height).view(-1, 2)
        times = torch.full((len(xy),), t)
        shown = model.visibility(xy, times)[:, layer].detach()
        unit = model.geometry.boxes[layer].to_unit(model.map(layer, xy, times).detach())
        place = (unit * len(part)).long().clamp(0, len(part) - 1)
        found = part[place[:, 1], place[:, 0]]
        # A cell is as large as a pixel or so, and at the layer's outline opacity runs from none to all.
        sure = (shown > 0.99) | (shown < 0.01)
        assert ((found - shown).abs()[sure & (shown > 0.5)] < 0.5).float().mean() > 0.97
        area = float(model.geometry.boxes[layer].size / len(part)) ** 2 * float(part.sum())
        # The atlas's unit is a pixel of the reference frame, from which this one differs by a few percent.
        assert area == pytest.approx(float(shown.sum()), rel=0.15)

    def test_the_rest_is_dimmed(self, renderer, shot):
        whole, part = renderer.atlas("background").pixels, renderer.atlas("background", frame=1001).pixels
        share = part[..., 3].astype(np.float32)
        assert (share[whole[..., 3] > 0] >= DIMMED - 1e-3).all()
        assert ((share > 0.99) | (np.abs(share - DIMMED) < 1e-3) | (share == 0)).mean() > 0.9
        # The object hides some of the ground.
        x, y = 80.5, 90.5
        assert share[place_in_view(shot, 1, (x, y), 0)] == pytest.approx(1.0, abs=1e-3)
        # And uncovers it until the last frame.
        shown = np.argwhere(shot.truth.mattes[7] == 0)[::23, ::-1] + 0.5
        before = shot.truth.position("background", 7, shown, 0)
        hidden = shot.truth.scene.outside_by(shot.truth.scene.to_surface("foreground", 0, before)) < -3
        assert hidden.sum() > 5
        shares = [share[place_in_view(shot, 1, tuple(place), 7)] for place in shown[hidden]]
        assert np.median(shares) == pytest.approx(DIMMED, abs=1e-3)
        opaque = share > 0.999
        # What counts as opaque here may be a thousandth short of it.
        assert np.allclose(whole[opaque].astype(float), part[opaque].astype(float), rtol=2e-3, atol=1e-3)

    def test_a_frame_that_the_shot_lacks_is_refused(self, renderer):
        with pytest.raises(PointError, match="frame 7 is not in the shot"):
            renderer.atlas("background", frame=7)
