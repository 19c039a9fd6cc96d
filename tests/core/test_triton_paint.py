"""The painting kernel in Triton's interpreter, and the choice between it and torch.

The interpreter must be switched on before Triton is imported, so that a child process runs it: the functions
`check_*` are the tests of that child.
"""

import sys

import pytest
import torch

from inve_core.encodings.backends import GridBackend
from inve_core.rendering import backends, edit_rows, painting
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
    edits, fields, work, _ = case
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
    case = (backends.PaintTable(edits.grids, 2.0, alone, edits.segments, edits.starts, edits.entries), *rest)
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
    edits, fields, work, plates = backends.made_up_case(CPU, lines=12)
    work.active[::2, 0] = False
    work.active[1] = False
    case = (edits, fields, work, plates)
    expected, actual = (painted_by(paint, case, plates) for paint in (painting.paint, kernel.paint))
    assert relative_error(expected.pixels, actual.pixels) < ROUNDING
    assert torch.equal(expected.touched, actual.touched)


def test_the_kernel_in_the_interpreter(interpreted):
    interpreted(__file__)


def test_a_cpu_paints_with_torch():
    assert backends.paint_on(CPU) is painting.paint


def test_the_check_finds_what_is_wrong():
    def brighter(edits, fields, work, canvas):
        painting.paint(edits, fields, work, canvas)
        canvas.pixels[canvas.touched] *= 1.01

    def careless(edits, fields, work, canvas):
        painting.paint(edits, fields, work, canvas)
        canvas.pixels[~canvas.touched] += 1e-6

    assert backends.mismatch(CPU, painting.paint) is None
    assert "differs by" in (backends.mismatch(CPU, brighter) or "")
    assert "nothing touches" in (backends.mismatch(CPU, careless) or "")


@pytest.mark.parametrize("kind", [torch.float16, torch.float32])
def test_warming_up_compiles_every_kernel(monkeypatch, kind):
    seen = []

    def watching(edits, fields, work, canvas):
        seen.append((edits.has_tapers, edits.has_adjustments, canvas.pixels.dtype))

    monkeypatch.setattr(backends, "paint_on", lambda device: watching)
    backends.warm_up(CPU, 2, kind)
    both = (False, True)
    assert seen == [(tapers, effects, kind) for tapers in both for effects in both]


def test_a_kernel_that_fails_is_passed_over_with_a_warning(monkeypatch):
    monkeypatch.setattr(backends, "grid_backend", lambda device: GridBackend("triton"))
    monkeypatch.setitem(sys.modules, "inve_core.rendering.triton_paint", object())
    monkeypatch.delattr("inve_core.rendering.triton_paint", raising=False)
    backends._chosen.cache_clear()
    with pytest.warns(RuntimeWarning, match=r"plain torch: its kernel does not run"):
        assert backends.paint_on(CPU) is painting.paint
    backends._chosen.cache_clear()
