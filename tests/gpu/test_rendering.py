"""Painting on a GPU: the kernel against torch there, and whole renders against a CPU's."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch

from inve_core.edits import Adjustment, EditLayer, EditStack
from inve_core.rendering import backends, painting
from inve_core.rendering.line_networks import LineNetworks
from inve_core.rendering.painting import Canvas

pytestmark = pytest.mark.gpu

WIDTH, HEIGHT, FRAMES = 320, 180, 8


@pytest.fixture(autouse=True)
def unforced(monkeypatch):
    monkeypatch.delenv("INVE_BACKEND", raising=False)


def test_the_kernel_passes_its_check_here():
    from inve_core.rendering import triton_paint

    assert backends.painter_on(torch.device("cuda")).paint is triton_paint.paint


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
@pytest.mark.parametrize("lines", [3, 40, 400])
@pytest.mark.parametrize(("tapers", "effects"), [(True, True), (True, False), (False, True), (False, False)])
def test_agrees_with_torch(layers, kind, lines, tapers, effects):
    from inve_core.rendering import triton_paint

    edits, fields, work, plates, _ = backends.made_up_case(
        torch.device("cuda"), layers, lines, lines, tapers=tapers, effects=effects
    )
    plates = plates.to(kind)
    plates[:, ::5, ::3, 1] = torch.nan
    results = []
    for paint in (painting.paint, triton_paint.paint):
        canvas = Canvas(plates.clone(), torch.zeros(plates.shape[:3], dtype=torch.bool, device="cuda"))
        paint(edits, fields, work, canvas)
        results.append(canvas)
    expected, actual = results
    finite = expected.pixels.isfinite() & actual.pixels.isfinite()
    right = expected.pixels.float()[finite]
    error = (right - actual.pixels.float()[finite]).abs() / right.abs().clamp_min(1.0)
    # A pixel just at the faintest coverage may fall on either side; half precision rounds by 2^-11.
    assert error.max() < backends.TOLERANCE
    assert error.mean() < 1e-4
    assert (expected.touched != actual.touched).float().mean() < 1e-3
    bits = torch.int16 if kind == torch.float16 else torch.int32
    assert (actual.pixels.view(bits) == plates.view(bits))[~actual.touched].all()


def test_uv_that_is_no_number():
    from inve_core.rendering import triton_paint

    edits, fields, work, plates, _ = backends.made_up_case(torch.device("cuda"))
    fields.uv[:, :, 10:20, :, 0] = torch.nan
    fields.uv[:, 0, 30:33] = torch.inf
    fields.uv[:, 1, 40:43] = -1e30
    canvas = Canvas(plates.clone(), torch.zeros(plates.shape[:3], dtype=torch.bool, device="cuda"))
    triton_paint.paint(edits, fields, work, canvas)
    torch.cuda.synchronize()
    assert canvas.pixels.isfinite().all()


@pytest.fixture
def bench(monkeypatch):
    """The benchmark's model, plates and strokes, which need no clip and no training."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("painting")


def mixed_stack(bench, strokes: int = 60) -> EditStack:
    """Strokes, a line that grades, outlines that do, and strokes with pressure that are added."""
    below, above = (
        bench.make_strokes(strokes, WIDTH, HEIGHT, FRAMES, seed, pressure=seed == 1).layers[0].edits
        for seed in (0, 1)
    )
    ring = ((60.0, 40.0), (250.0, 30.0), (200.0, 200.0), (120.0, 90.0))
    grades = [
        Adjustment(
            frame=1003,
            points=ring,
            width=width,
            closed=closed,
            hardness=0.5,
            hue=50.0,
            brightness=0.1,
            contrast=contrast,
        )
        for contrast, width, closed in ((0.8, 4.0, True), (1.0, 30.0, False), (0.8, 60.0, True))
    ]
    return EditStack(
        layers=(
            EditLayer(name="below", kind="sketch", edits=below, opacity=0.8),
            EditLayer(name="grade", kind="adjustment", edits=tuple(grades)),
            EditLayer(name="above", kind="sketch", edits=above, blend="add"),
        )
    )


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_whole_frames_as_on_a_cpu(bench, scale):
    there, here = (bench.make_renderer(WIDTH, HEIGHT, FRAMES, device) for device in ("cuda", "cpu"))
    for frame in (1001, 1006):
        ours = there.render(mixed_stack(bench), frame, scale=scale)
        right = here.render(mixed_stack(bench), frame, scale=scale)
        error = np.abs(ours.picture.pixels.astype(np.float32) - right.picture.pixels.astype(np.float32))
        # The mappings differ by single precision, a hard edge by that many pixels times its slope.
        assert error.mean() < 1e-4
        assert np.quantile(error, 0.9999) < 2e-3
        assert abs(ours.touched - right.touched) <= 0.002 * right.touched + 5
        untouched = (ours.picture.pixels == right.picture.pixels).all(-1)
        assert untouched.any()
        part = there.render(mixed_stack(bench), frame, scale=scale, region=(30, 20, 90, 50))
        assert np.array_equal(part.picture.pixels, ours.picture.pixels[20:70, 30:120])


def test_a_batch_is_its_frames_one_by_one(bench):
    renderer = bench.make_renderer(WIDTH, HEIGHT, FRAMES, "cuda")
    frames = list(renderer.model.geometry.frames)
    assert renderer.bake(frames) == FRAMES
    plates = (
        torch.from_numpy(renderer.source.read(1001).pixels).cuda().expand(FRAMES, -1, -1, -1).contiguous()
    )
    together = renderer.render_on_device(mixed_stack(bench), frames, plates)
    for number, frame in enumerate(frames):
        alone = renderer.render(mixed_stack(bench), frame).picture.pixels
        assert np.array_equal(together[number].cpu().numpy(), alone)


def test_recorded_networks_answer_as_they_do_one_by_one(bench):
    renderer = bench.make_renderer(WIDTH, HEIGHT, FRAMES, "cuda")
    asked, recorded = LineNetworks(renderer.model), LineNetworks(renderer.model)
    recorded.record()
    assert len(recorded._recorded) == 1 + renderer.model.layer_count
    rng = np.random.default_rng(0)
    for count in (1, 100, 512, 513, 4096, 4097):
        xy = (rng.random((count, 2)) * (WIDTH, HEIGHT)).astype(np.float32)
        t = rng.integers(0, FRAMES, count)
        assert np.allclose(recorded.visibility(xy, t), asked.visibility(xy, t), atol=1e-4)
        for layer in range(renderer.model.layer_count):
            right = asked.positions(layer, xy, t)
            assert np.allclose(recorded.positions(layer, xy, t), right, atol=1e-3)


def test_ten_thousand_strokes_agree_with_torch(bench, monkeypatch):
    from inve_core.rendering import renderer as rendering

    stack = bench.make_strokes(10_000, WIDTH, HEIGHT, FRAMES)
    renderer = bench.make_renderer(WIDTH, HEIGHT, FRAMES, "cuda")
    ours = renderer.render(stack, 1004).picture.pixels.astype(np.float32)
    monkeypatch.setattr(rendering, "painter_on", lambda device: backends.TORCH)
    right = renderer.render(stack, 1004).picture.pixels.astype(np.float32)
    error = np.abs(ours - right)
    # Many pixels at the faintest coverage, each of which may fall on either side.
    assert error.max() < 4 * painting.FAINTEST
    assert error.mean() < 1e-4
