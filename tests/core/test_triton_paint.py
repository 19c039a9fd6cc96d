"""The painting kernel in Triton's interpreter, and the choice between it and torch.

The interpreter must be switched on before Triton is imported, so that a child process runs it: the functions
`check_*` are the tests of that child.
"""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from inve_core.encodings.backends import GridBackend
from inve_core.rendering import backends, chains, edit_rows, painting, soft_pixels
from inve_core.rendering.fields import FULL
from inve_core.rendering.painting import Canvas

CPU = torch.device("cpu")


# Single precision: sums in another order, and powers by another library, a dozen one on another.
ROUNDING = 5e-5


def relative_error(expected, actual):
    """Largest difference, of values above one as a share of them."""
    expected, actual = expected.float(), actual.float()
    return float(((expected - actual).abs() / expected.abs().clamp_min(1.0)).max())


@pytest.fixture
def kernel(monkeypatch):
    """The module under test, with one large program a tile, since each costs the interpreter its time."""
    from inve_core.rendering import triton_paint

    monkeypatch.setattr(triton_paint, "WIDE", 64)
    monkeypatch.setattr(triton_paint, "TALL", 64)
    return triton_paint


def painted_by(paint, case, plates, wants_painted=False):
    edits, fields, work = case[:3]
    canvas = Canvas(
        plates.clone(),
        torch.zeros(plates.shape[:3], dtype=torch.bool),
        torch.zeros(plates.shape) if wants_painted else None,
    )
    paint(edits, fields, work, canvas)
    return canvas


@pytest.mark.parametrize("layers", [1, 3])
def check_many_overlapping_edits(kernel, layers):
    case = backends.made_up_case(CPU, layers=layers, seed=layers)
    expected, actual = (painted_by(paint, case, case[3]) for paint in (painting.paint, kernel.paint))
    assert expected.touched.float().mean() > 0.3
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING
    assert torch.equal(expected.touched, actual.touched)


def check_half_precision_and_values_that_are_not_finite(kernel):
    case = backends.made_up_case(CPU, lines=12)
    plates = case[3].half()
    plates[:, ::5, ::3, 1] = torch.nan
    plates[:, ::7, ::2, 2] = torch.inf
    plates[:, 1::7, ::2, 0] = -0.0
    expected, actual = (painted_by(paint, case, plates) for paint in (painting.paint, kernel.paint))
    same = actual.pixels.view(torch.int16) == plates.view(torch.int16)
    assert same[~actual.touched].all()
    finite = expected.pixels.isfinite()
    assert torch.equal(finite, actual.pixels.isfinite())
    # A step of half precision just below one.
    assert relative_error(expected.pixels[finite], actual.pixels[finite]) <= 2**-10


@pytest.mark.parametrize("effects", [False, True])
def check_opaque_paint_hides_what_is_not_finite(kernel, effects):
    case = backends.made_up_case(CPU, lines=12, tapers=False, effects=effects)
    rows = case.edits.edits
    rows[:, edit_rows.COLOUR + 3] = rows[:, edit_rows.LAYER_OPACITY] = 1
    case.fields.visible[:] = FULL
    plates = torch.full_like(case.plates, torch.inf)
    expected, actual = (painted_by(paint, case, plates) for paint in (painting.paint, kernel.paint))
    finite = expected.pixels.isfinite()
    assert finite[expected.touched].any()
    assert torch.equal(finite, actual.pixels.isfinite())
    assert relative_error(expected.pixels[finite], actual.pixels[finite]) < ROUNDING


def check_values_too_large_for_half_precision(kernel):
    case = backends.made_up_case(CPU, lines=12)
    plates = (case[3] * 60_000 * (case[3] - 0.5).sign()).half()
    expected, actual = (painted_by(paint, case, plates) for paint in (painting.paint, kernel.paint))
    assert actual.pixels.isfinite().all()
    assert expected.pixels.isfinite().all()
    assert (expected.pixels.abs() == 65504).any()
    assert relative_error(expected.pixels, actual.pixels) <= 2**-10


def check_fields_that_are_no_number_lie_nowhere(kernel):
    case = backends.made_up_case(CPU, lines=12)
    case[1].uv[:, :, 10:20, :, 0] = torch.nan
    case[1].uv[:, 0, 30:33] = torch.inf
    case[1].uv[:, 1, 40:43] = -1e30
    expected, actual = (painted_by(paint, case, case[3]) for paint in (painting.paint, kernel.paint))
    assert actual.pixels.isfinite().all()
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING


def check_what_was_laid_over_is_told(kernel):
    edits, *rest = backends.made_up_case(CPU, lines=12)
    alone = edits.edits.copy()
    alone[:, edit_rows.LAYER] = 0
    case = (replace(edits, edits=alone), *rest)
    expected, actual = (painted_by(paint, case, rest[2], True) for paint in (painting.paint, kernel.paint))
    assert expected.painted.any()
    assert relative_error(expected.painted, actual.painted) < ROUNDING


@pytest.mark.parametrize(("tapers", "effects"), [(False, False), (True, False), (False, True)])
def check_kernels_that_lack_something(kernel, tapers, effects):
    case = backends.made_up_case(CPU, lines=8, tapers=tapers, effects=effects)
    assert case[0].has_tapers == tapers
    assert case[0].has_adjustments == case[0].has_blends == case[0].has_outlines == effects
    expected, actual = (painted_by(paint, case, case[3]) for paint in (painting.paint, kernel.paint))
    assert expected.touched.any()
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING


def check_tiles_and_layers_that_are_not_active(kernel):
    edits, fields, work, plates, _ = backends.made_up_case(CPU, lines=12)
    work.active[::2, 0] = False
    work.active[1] = False
    case = (edits, fields, work, plates)
    expected, actual = (painted_by(paint, case, plates) for paint in (painting.paint, kernel.paint))
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING
    assert torch.equal(expected.touched, actual.touched)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def check_soft_pixels(layers, kind):
    from inve_core.rendering import triton_soft

    case = backends.made_up_case(CPU, layers=layers, lines=3, seed=layers)
    plates = (case.plates - 0.1).to(kind)
    plates[:, ::5, ::3, 1] = torch.nan
    plates[:, ::7, ::2, 2] = torch.inf
    expected, actual = (one.lift(case.soft, plates, 7) for one in (soft_pixels, triton_soft))
    assert torch.equal(expected.rows, actual.rows)
    assert torch.equal(expected.targets, actual.targets)
    assert (expected.targets < 0).any()
    assert expected.rows[expected.rows >= 0].tolist() == list(range(7, 7 + len(expected.targets)))
    inside = expected.targets >= 0
    assert torch.equal(expected.shown, actual.shown)
    torch.testing.assert_close(expected.own[inside], actual.own[inside], rtol=1e-6, atol=0, equal_nan=True)

    now, touched = expected.own * 1.5, torch.rand(expected.shown.shape) < 0.5
    canvases = []
    for one in (soft_pixels, triton_soft):
        canvases.append(Canvas(torch.zeros_like(plates), torch.ones(plates.shape[:3], dtype=torch.bool)))
        one.mix(expected, plates, now, touched, canvases[-1])
    right, ours = canvases
    assert torch.equal(right.touched, ours.touched)
    torch.testing.assert_close(right.pixels, ours.pixels, rtol=2e-3, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("layers", [1, 3])
def check_single_pixels_that_have_several_colours(kernel, layers):
    case = backends.made_up_case(CPU, layers=layers, seed=layers, lines=12)
    lifted = soft_pixels.lift(case.soft, case.plates, 0)
    work = replace(case.work, places=np.roll(np.arange(8), 3)[:, None] * [1, 0, 0])
    work.active[2, 0] = False
    results = []
    for paint in (painting.paint, kernel.paint):
        now, touched = lifted.own.clone(), torch.zeros_like(lifted.shown, dtype=torch.bool)
        results.append(Canvas(now, touched, torch.zeros_like(now), lifted.rows))
        paint(case.edits, case.fields, work, results[-1])
    expected, actual = results
    assert expected.touched.any()
    assert torch.equal(expected.touched, actual.touched)
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING


@pytest.mark.slow
def test_the_kernel_in_the_interpreter(interpreted):
    interpreted(__file__)


def test_a_cpu_paints_with_torch():
    assert backends.painter_on(CPU) is backends.TORCH


def test_the_check_finds_what_is_wrong():
    def brighter(edits, fields, work, canvas):
        painting.paint(edits, fields, work, canvas)
        canvas.pixels[canvas.touched] *= 1.01

    def by_the_atlas(edits, fields, work, canvas):
        nowhere = np.full(len(work), chains.NO_FRAME)
        painting.paint(edits, fields, replace(work, frames=nowhere), canvas)

    def careless(edits, fields, work, canvas):
        painting.paint(edits, fields, work, canvas)
        canvas.pixels[~canvas.touched] += 1e-6

    def darker(tiles, plates, first):
        lifted = soft_pixels.lift(tiles, plates, first)
        lifted.own[:, 0] *= 0.9
        return lifted

    def forgetful(pixels, plates, now, touched, canvas):
        soft_pixels.mix(pixels, plates, now, touched, canvas)
        canvas.touched[:] = False

    assert backends.mismatch(CPU, backends.TORCH) is None
    for changed, said in (
        ({"paint": brighter}, "differs by"),
        ({"paint": by_the_atlas}, "differs by"),
        ({"paint": careless}, "nothing touches"),
        ({"lift": darker}, "at soft edges"),
        ({"mix": forgetful}, "nothing touches at soft edges"),
    ):
        assert said in (backends.mismatch(CPU, backends.TORCH._replace(**changed)) or "")


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_warming_up_compiles_every_kernel(monkeypatch, kind):
    seen = []

    def watching(edits, fields, work, canvas):
        seen.append((edits.has_tapers, edits.has_adjustments, canvas.pixels.dtype))

    painter = backends.TORCH._replace(paint=watching)
    monkeypatch.setattr(backends, "painter_on", lambda device: painter)
    backends.warm_up.__wrapped__(CPU, 2, kind)
    both = (False, True)
    assert set(seen) == {
        (tapers, effects, one) for tapers in both for effects in both for one in {kind, torch.float32}
    }


def test_a_kernel_that_fails_is_passed_over_with_a_warning(monkeypatch):
    monkeypatch.setattr(backends, "grid_backend", lambda device: GridBackend("triton"))
    monkeypatch.setitem(sys.modules, "inve_core.rendering.triton_paint", object())
    monkeypatch.delattr("inve_core.rendering.triton_paint", raising=False)
    backends._chosen.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"plain torch: its kernel does not run"):
        assert backends.painter_on(CPU) is backends.TORCH
    backends._chosen.cache_clear()
