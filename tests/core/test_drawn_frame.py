"""On the frame that it was drawn on an edit lies exactly where it was drawn, however the map bends."""

import copy

import cv2
import numpy as np
import pytest
import torch
from msgspec.structs import replace as changed
from random_edits import random_stack

from inve_core.edits import Adjustment, EditLayer, EditStack, Stroke
from inve_core.media.pictures import Picture, PictureSpec
from inve_core.rendering import Renderer, chains, reference, strokes
from inve_core.rendering.fields import DrawnPixel, FrameSize
from inve_core.rendering.line_networks import LineNetworks
from inve_core.rendering.painting import FAINTEST
from inve_core.source import FileStamp, ShotSource

WIDTH, HEIGHT = 160, 96
FRAME, OTHER = 1004, 1006
CENTRE_PX, WIDTH_SHARE = 0.1, 0.01
STEP_PX = 0.05
# Single precision, of values up to three that powers of edits on one another enlarge.
SINGLE = 1e-4


class Plates(ShotSource):
    """Plates of single precision in memory: opaque noise."""

    def read(self, frame: int) -> Picture:
        """The same picture for every frame."""
        spec = PictureSpec(WIDTH, HEIGHT, 1.0, (0, 0, WIDTH, HEIGHT), "float", "linear", tuple("RGBA"))
        pixels = np.random.default_rng(0).random((HEIGHT, WIDTH, 4), np.float32)
        pixels[..., 3] = 1
        return Picture(spec, pixels)

    def stamp(self, frame: int) -> FileStamp:
        """Always the same file."""
        return FileStamp("memory", 0, 0)


@pytest.fixture(scope="module")
def bent_model(shot):
    """What was learned, but for a map that is off by up to five pixels, and bends within fifteen."""
    model = copy.deepcopy(shot.model)
    straight = model.map

    def bent(layer, xy, t):
        uv = straight(layer, xy, t)
        return uv + 5 * torch.sin(uv.flip(-1) / 9 + layer)

    model.map = bent
    return model


def renderer_of(model) -> Renderer:
    source = Plates("memory", ("memory",), model.geometry.frames, WIDTH, HEIGHT, 1.0, "float")
    return Renderer(model, source)


@pytest.fixture
def bent(bent_model):
    return renderer_of(bent_model)


@pytest.fixture
def seen(bent, monkeypatch):
    """Where the background is all that is to be seen."""

    def visibility(xy, t):
        return torch.tensor([0.0, 1.0]).expand(len(xy), 2)

    monkeypatch.setattr(bent.model, "visibility", visibility)
    return bent


@pytest.fixture
def by_the_atlas(monkeypatch):
    """Paints every frame by way of the atlas, the one that was drawn on as well."""
    original = chains.map_lines

    def mapped(networks, edits):
        return [chains.MappedLine(line.layer, line.segments) for line in original(networks, edits)]

    def switch():
        monkeypatch.setattr(chains, "map_lines", mapped)

    return switch


def stack_of(*edits, **values) -> EditStack:
    kind = "adjustment" if isinstance(edits[0], Adjustment) else "sketch"
    return EditStack(layers=(EditLayer(name="a", kind=kind, edits=edits, **values),))


def all_on(stack: EditStack, frame: int) -> EditStack:
    """The same, with every edit drawn on one frame, but for those of the atlas."""
    return EditStack(
        layers=tuple(
            changed(one, edits=tuple(changed(edit, frame=frame) for edit in one.edits))
            for one in stack.layers
        )
    )


MIDDLE, WAY = np.array((80.3, 47.8)), np.array((np.cos(0.5), np.sin(0.5)))
NORMAL = np.array((-WAY[1], WAY[0]))


def line_or_bar(width: float, closed: bool, taper: bool = False) -> Stroke:
    """A line across the picture, or the filled outline of the same, or a line that starts wider."""
    ends = MIDDLE + np.outer((-45, 45), WAY)
    if closed:
        ends = np.concatenate((ends - NORMAL * width / 2, (ends + NORMAL * width / 2)[::-1]))
    return Stroke(
        frame=FRAME, points=tuple((float(x), float(y)) for x, y in ends), width=1.0 if closed else width,
        closed=closed, color=(1.0, 1.0, 1.0, 1.0), video_layer="background",
        point_widths=(1.5, 0.5) if taper else None,
    )  # fmt: skip


def measured(alpha: np.ndarray, width: float, scale: float, corner: tuple[int, int] = (0, 0)):
    """How far off the centre a line's coverage lies, and how wide it is, at places along it."""
    along = np.arange(-20, 20, 0.37)
    across = np.arange(-width - 2, width + 2, STEP_PX / scale)
    places = MIDDLE + along[:, None, None] * WAY + across[:, None] * NORMAL
    x, y = np.moveaxis(places * scale - 0.5 - np.array(corner), -1, 0).astype(np.float32)
    profile = cv2.remap(alpha, x, y, cv2.INTER_LINEAR).astype(np.float64)
    total = profile.sum(1)
    return along, (profile * across).sum(1) / total, total * STEP_PX / scale


def alpha_of(renderer: Renderer, edit: Stroke, scale: float, region=None) -> np.ndarray:
    rendered = renderer.render(stack_of(edit), edit.frame, scale=scale, region=region, layers=True)
    part = next(one for one in rendered.parts if one.name == "edit.a")
    return np.ascontiguousarray(part.pixels[..., 3], np.float32)


class TestWhereItLies:
    @pytest.mark.parametrize("closed", [False, True])
    @pytest.mark.parametrize("width", [2.0, 12.0, 30.0])
    @pytest.mark.parametrize("scale", [1.0, 2.0])
    def test_lines_and_outlines(self, seen, width, closed, scale):
        alpha = alpha_of(seen, line_or_bar(width, closed), scale)
        _, offsets, widths = measured(alpha, width, scale)
        assert np.abs(offsets).max() < CENTRE_PX
        assert widths.mean() == pytest.approx(width, rel=WIDTH_SHARE)

    def test_a_taper(self, seen):
        along, offsets, widths = measured(alpha_of(seen, line_or_bar(12.0, False, True), 2.0), 18.0, 2.0)
        assert np.abs(offsets).max() < CENTRE_PX
        # Across the line of the taper's own slope.
        assert np.allclose(widths, 12 * (1 - along / 90), rtol=2 * WIDTH_SHARE)

    @pytest.mark.parametrize("scale", [1.0, 2.0])
    def test_in_a_region(self, seen, scale):
        corner = (int(45 * scale) + 3, int(20 * scale) + 1)
        region = (*corner, int(70 * scale), int(60 * scale))
        whole, part = (alpha_of(seen, line_or_bar(12.0, False), scale, one) for one in (None, region))
        (x, y, width, height) = region
        assert np.array_equal(whole[y : y + height, x : x + width], part)

    def test_by_way_of_the_atlas_it_would_not(self, seen, by_the_atlas):
        """Or these tests could not fail."""
        by_the_atlas()
        _, offsets, widths = measured(alpha_of(seen, line_or_bar(30.0, False), 1.0), 30.0, 1.0)
        assert np.abs(offsets).max() > 1
        assert abs(widths.mean() / 30 - 1) > 0.03


class TestAgainstTheReference:
    @pytest.mark.parametrize("scale", [0.4, 1.0, 2.0])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_everything_at_once(self, bent, scale, seed):
        """Behind soft edges as well."""
        stack = all_on(random_stack(seed, WIDTH, HEIGHT), FRAME)
        width, height = round(WIDTH * scale), round(HEIGHT * scale)
        plates = torch.rand(1, height, width, 4, generator=torch.Generator().manual_seed(2))
        ours = bent.render_on_device(stack, [FRAME], plates)[0]
        size = FrameSize(FRAME - 1001, width, height)
        right, touched = reference.paint_frame(bent.model, stack, size, plates[0], bent.textures)
        assert 0.2 < touched.float().mean() < 0.95
        error = (ours - right).abs() / right.abs().clamp_min(1.0)
        assert error.max() < 8 * FAINTEST
        assert error.quantile(0.999) < 1e-4

    def test_a_chain_on_the_frame_is_what_was_drawn(self, bent_model):
        for closed in (False, True):
            edit = line_or_bar(12.0, closed)
            chain = strokes.drawn_chain_of(bent_model, edit)
            (line,) = chains.map_lines(LineNetworks(bent_model), [edit])
            assert line.frame == FRAME - 1001
            for column, values in ((chains.START, chain.starts), (chains.END, chain.ends)):
                assert np.allclose(line.drawn[:, column : column + 2], values.numpy(), atol=1e-4)
            distances = np.linalg.norm(chain.uv.numpy()[:, None] - np.array(edit.points), axis=-1)
            assert distances.min(0).max() < 1e-4

    def test_a_pixel_of_the_frame(self, bent_model):
        pixel = DrawnPixel.of(bent_model.geometry.grid, FrameSize(0, 320, 96))
        assert pixel == (0.5, 1.0, pytest.approx(0.5**0.5))


class TestElsewhere:
    def test_other_frames_are_painted_by_the_atlas_alone(self, bent, by_the_atlas):
        stack = all_on(random_stack(0, WIDTH, HEIGHT), FRAME)
        ours = {frame: bent.render(stack, frame).picture.pixels for frame in (FRAME, OTHER)}
        by_the_atlas()
        old = renderer_of(bent.model)
        assert np.array_equal(old.render(stack, OTHER).picture.pixels, ours[OTHER])
        assert not np.array_equal(old.render(stack, FRAME).picture.pixels, ours[FRAME])

    def test_the_atlas_view_is_the_same(self, bent, by_the_atlas):
        stack = all_on(random_stack(1, WIDTH, HEIGHT), 1001)
        views = [bent.atlas(name, stack, 200).pixels for name in ("foreground", "background")]
        by_the_atlas()
        old = renderer_of(bent.model)
        for name, view in zip(("foreground", "background"), views, strict=True):
            assert np.array_equal(old.atlas(name, stack, 200).pixels, view)

    def test_what_was_drawn_on_the_atlas_is_on_no_frame(self, bent, by_the_atlas):
        line = Stroke(frame=FRAME, points=((0.3, 0.3), (0.6, 0.5)), width=0.05, space="atlas",
                      color=(1.0, 0.0, 0.0, 1.0), video_layer="background")  # fmt: skip
        ours = bent.render(stack_of(line), FRAME)
        by_the_atlas()
        assert np.array_equal(
            renderer_of(bent.model).render(stack_of(line), FRAME).picture.pixels, ours.picture.pixels
        )
        assert ours.touched > 0

    @pytest.mark.parametrize("on_gpu", [False, True])
    def test_own_and_other_frames_in_a_batch(self, bent, on_gpu):
        bent.on_gpu = on_gpu
        stack, frames = random_stack(2, WIDTH, HEIGHT), [1002, FRAME, 1005, FRAME]
        stack = EditStack(layers=(*all_on(stack, FRAME).layers[:3], *stack.layers[3:]))
        plates = torch.rand(len(frames), HEIGHT, WIDTH, 4, generator=torch.Generator().manual_seed(3))
        together = bent.render_on_device(stack, frames, plates)
        for frame, plate, ours in zip(frames, plates, together, strict=True):
            alone = bent.render_on_device(stack, [frame], plate[None])[0]
            # Tables may hold for other spans, which orders sums in another way.
            assert (alone - ours).abs().max() < SINGLE
            size = FrameSize(frame - 1001, WIDTH, HEIGHT)
            right = reference.paint_frame(bent.model, stack, size, plate, bent.textures)[0]
            error = (ours - right).abs() / right.abs().clamp_min(1.0)
            assert error.max() < 8 * FAINTEST

    @pytest.mark.parametrize("seed", [0, 3])
    def test_parts_rebuild_the_picture(self, bent, seed):
        stack = all_on(random_stack(seed, WIDTH, HEIGHT), FRAME)
        rendered = bent.render(stack, FRAME, layers=True)
        rebuilt = bent.source.read(FRAME).pixels.astype(np.float64)
        for part in rendered.parts:
            if part.name.startswith("edit."):
                rebuilt = part.pixels + rebuilt * (1 - part.pixels[..., 3:].astype(np.float64))
        error = np.abs(rebuilt - rendered.picture.pixels) / np.maximum(1, np.abs(rebuilt))
        assert error.max() < 1e-4
        together = bent.render(stack, FRAME)
        assert np.abs(together.picture.pixels - rendered.picture.pixels).max() < SINGLE


class TestGrowing:
    def test_frame_by_frame_as_at_once(self, bent):
        """Frames that nothing was drawn on before get their cells behind those that there are."""
        edits = [changed(line_or_bar(8.0, number % 2 == 1), frame=1001 + number // 3) for number in range(9)]
        for count in range(1, len(edits) + 1):
            ours = bent.render(stack_of(*edits[:count]), 1002)
        (step,) = bent._programs.steps(stack_of(*edits), apart=False)
        (made,) = step.tables().values()
        assert list(made.drawn) == [0, 1, 2]
        assert len(made.starts) == made.grids.atlas_cells + 3 * made.grids.picture.cells + 1
        fresh = renderer_of(bent.model).render(stack_of(*edits), 1002)
        assert np.abs(ours.picture.pixels - fresh.picture.pixels).max() < 8 * FAINTEST

    def test_boxes_find_what_was_drawn_on_a_frame(self, bent):
        bent.render(stack_of(line_or_bar(4.0, False)), FRAME)
        (step,) = bent._programs.steps(stack_of(line_or_bar(4.0, False)), apart=False)
        (made,) = step.tables().values()
        low = np.array([MIDDLE - 3, MIDDLE + NORMAL * 25])
        assert made.reaches_on_frame(FRAME - 1001, low, low + 6).tolist() == [True, False]
        assert not made.reaches_on_frame(OTHER - 1001, low, low + 6).any()
        assert made.layers_drawn == {FRAME - 1001: (1,)}
