"""Grades: against plain numpy, at values no plate should have, and the many at once against one by one."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from inve_core.edits import Adjustment, ColorDecision
from inve_core.media.colour import LUMA
from inve_core.rendering.adjustments import LARGEST, adjust, is_identity
from inve_core.rendering.edit_rows import Placed, edit_rows
from inve_core.rendering.grading import graded


def edit(**values) -> Adjustment:
    return Adjustment(frame=0, points=((0.0, 0.0),), width=1.0, **values)


def rgba(*colours, alpha=1.0):
    """Premultiplied, from colours without their alpha."""
    straight = torch.tensor(colours, dtype=torch.float64)
    return torch.cat((straight * alpha, torch.full_like(straight[:, :1], alpha)), 1)


def cdl_by_numpy(rgb, cdl):
    out = rgb * cdl.slope + cdl.offset
    with np.errstate(invalid="ignore"):
        out = np.where(out < 0, out, out**cdl.power)
    luma = out @ np.array(LUMA)
    return luma[..., None] + (out - luma[..., None]) * cdl.saturation


class TestEachSetting:
    def test_exposure_is_in_stops(self):
        assert adjust(rgba((0.1, 0.2, -0.3)), edit(exposure=2))[0].tolist() == pytest.approx([0.4, 0.8, -1.2])

    def test_contrast_leaves_its_pivot_and_mirrors(self):
        out = adjust(rgba((0.18, 0.36, -0.36)), edit(contrast=2.0))[0]
        assert out.tolist() == pytest.approx([0.18, 0.72, -0.72])
        assert adjust(rgba((0.5, 1.0, 2.0)), edit(contrast=2.0, pivot=0.5))[0].tolist() == pytest.approx(
            [0.5, 2.0, 8.0]
        )

    def test_gamma_is_the_inverse_power(self):
        assert adjust(rgba((0.25, -0.25, 4.0)), edit(gamma=2.0))[0].tolist() == pytest.approx(
            [0.5, -0.5, 2.0]
        )

    @given(
        c=st.floats(0.2, 4),
        g=st.floats(0.2, 4),
        p=st.floats(0.05, 2),
        x=st.floats(-4, 8, allow_subnormal=False, width=32),
    )
    def test_contrast_then_gamma(self, c, g, p, x):
        expected = math.copysign((p * (abs(x) / p) ** c) ** (1 / g), x)
        out = adjust(rgba((x, x, x)), edit(contrast=c, gamma=g, pivot=p))[0, 0].item()
        # A ratio to the pivot below the least normal float32 is taken for that.
        assert out == pytest.approx(max(-LARGEST, min(LARGEST, expected)), rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("power", [(1.0, 1.0, 1.0), (0.7, 1.0, 2.2)])
    def test_cdl(self, power):
        cdl = ColorDecision(slope=(1.2, 0.8, 1.0), offset=(0.1, -0.2, 0.0), power=power, saturation=0.6)
        colours = np.random.default_rng(0).normal(0.3, 0.7, (200, 3))
        out = adjust(rgba(*colours.tolist()), edit(cdl=cdl))
        assert out.numpy() == pytest.approx(cdl_by_numpy(colours, cdl), abs=1e-12)

    def test_the_order(self):
        grade = edit(saturation=0.5, brightness=0.1, exposure=1, contrast=1.5, gamma=1.2,
                     cdl=ColorDecision(offset=(0.1, 0.0, 0.0)))  # fmt: skip
        colour = np.array([0.2, 0.5, 0.9])
        luma = colour @ LUMA
        linear = (luma + (colour - luma) * 0.5 + 0.1) * 2
        expected = (0.18 * (linear / 0.18) ** 1.5) ** (1 / 1.2) + (0.1, 0, 0)
        assert adjust(rgba(colour.tolist()), grade)[0].tolist() == pytest.approx(expected.tolist())


class TestAlpha:
    GRADE = edit(brightness=0.1, contrast=1.4, cdl=ColorDecision(power=(1.1, 0.9, 1.3)))

    def test_the_colour_is_what_is_graded(self):
        solid, half = (adjust(rgba((0.2, 0.5, 1.5), alpha=a), self.GRADE) for a in (1.0, 0.25))
        assert (half / 0.25).tolist() == [pytest.approx(solid[0].tolist())]

    def test_nothing_glows_where_nothing_is(self):
        assert adjust(rgba((0, 0, 0), alpha=0.0), self.GRADE).abs().max() == 0

    def test_light_without_alpha(self):
        """What is added to whatever is behind is graded as more of nothing."""
        flare = torch.tensor([[0.2, 0.5, 1.5, 0.0]], dtype=torch.float64)
        none = adjust(rgba((0.0, 0.0, 0.0)), self.GRADE)
        solid = adjust(rgba((0.2, 0.5, 1.5)), self.GRADE)
        assert adjust(flare, self.GRADE).tolist() == [pytest.approx((solid - none)[0].tolist())]


class TestIdentity:
    @pytest.mark.parametrize(
        "settings",
        [{}, {"hue": 720.0}, {"pivot": 0.5}, {"opacity": 0.0, "exposure": 3}, {"cdl": ColorDecision()}],
    )
    def test_is_known(self, settings):
        assert is_identity(edit(**settings))

    @pytest.mark.parametrize(
        "settings",
        [
            {"exposure": 0.01}, {"contrast": 1.01}, {"gamma": 0.99}, {"contrast": 2.0, "gamma": 2.0},
            {"cdl": ColorDecision(offset=(0.0, 0.0, 0.01))},
        ],
    )  # fmt: skip
    def test_is_not_taken_for_granted(self, settings):
        assert not is_identity(edit(**settings))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_parts_that_change_nothing_change_no_bit(self, dtype):
        """One channel has a power; the two others keep their very bits through all of it."""
        colours = torch.randn(500, 4, dtype=dtype) * 10 ** torch.empty(500, 1, dtype=dtype).uniform_(-6, 6)
        colours[:, 3] = 1
        grade = edit(cdl=ColorDecision(power=(1.5, 1.0, 1.0)))
        kept = colours[:, 1:3].clamp(-LARGEST, LARGEST)
        assert torch.equal(adjust(colours, grade)[:, 1:], kept)
        assert torch.equal(by_rows([grade] * 500, colours)[:, 1:], kept)


def by_rows(grades, colours):
    rows = torch.from_numpy(edit_rows(grades, [Placed(0, 1.0)] * len(grades))).to(colours)
    return graded(rows, colours)


Settings = st.fixed_dictionaries(
    {
        "hue": st.floats(-180, 180),
        "saturation": st.sampled_from([1.0, 0.0, 1000.0]) | st.floats(0, 3),
        "brightness": st.sampled_from([0.0, -65504.0, 65504.0]) | st.floats(-1, 1),
        "exposure": st.sampled_from([0.0, -32.0, 32.0]) | st.floats(-3, 3),
        "contrast": st.sampled_from([1.0, 0.01, 100.0]) | st.floats(0.5, 2),
        "pivot": st.sampled_from([1e-4, 0.18, 65504.0]),
        "gamma": st.sampled_from([1.0, 0.01, 100.0]) | st.floats(0.5, 2),
        "cdl": st.builds(
            ColorDecision,
            slope=st.tuples(*[st.sampled_from([0.0, 1.0, 1000.0])] * 3),
            offset=st.tuples(*[st.sampled_from([0.0, -65504.0, 0.1])] * 3),
            power=st.tuples(*[st.sampled_from([1.0, 0.01, 100.0, 1.3])] * 3),
            saturation=st.sampled_from([1.0, 0.0, 1000.0]),
        ),
    }
)
Values = st.sampled_from([0.0, -0.0, 65504.0, -65504.0, 1e-30, -1e-30, 1e9]) | st.floats(-10, 10, width=32)


@given(
    settings=Settings,
    colour=st.tuples(Values, Values, Values),
    alpha=st.sampled_from([0.0, 1e-30, 0.5, 1.0, -1.0]),
)
def test_finite_for_all_that_is_finite(settings, colour, alpha):
    grade, colours = edit(**settings), torch.tensor([[*colour, alpha]])
    for out in (adjust(colours, grade), by_rows([grade], colours)):
        assert out.isfinite().all(), out


Moderate = st.fixed_dictionaries(
    {
        "hue": st.floats(-180, 180),
        "saturation": st.floats(0, 3),
        "brightness": st.floats(-1, 1),
        "exposure": st.floats(-3, 3),
        "contrast": st.just(1.0) | st.floats(0.5, 2),
        "pivot": st.floats(0.05, 2),
        "gamma": st.just(1.0) | st.floats(0.5, 2),
        "cdl": st.builds(
            ColorDecision,
            slope=st.tuples(*[st.floats(0, 2)] * 3),
            offset=st.tuples(*[st.floats(-1, 1)] * 3),
            power=st.tuples(*[st.just(1.0) | st.floats(0.5, 2)] * 3),
            saturation=st.just(1.0) | st.floats(0, 2),
        ),
    }
)


# Contrast and gamma that undo each other, but for less than single precision knows.
ALMOST_LINEAR = {"contrast": 0.5, "pivot": 0.5, "gamma": 0.5000000000000001}


@given(
    settings=Moderate,
    colour=st.tuples(*[st.floats(-4, 8, width=32)] * 3),
    alpha=st.sampled_from([0.0, 0.3, 1.0]),
)
@example(settings=ALMOST_LINEAR, colour=(0.0, 0.0, 1.0), alpha=1.0)
def test_from_rows_as_step_by_step(settings, colour, alpha):
    grade, colours = edit(**settings), torch.tensor([[*colour, alpha]], dtype=torch.float64)
    expected, ours = adjust(colours, grade).numpy(), by_rows([grade], colours).numpy()
    # Rows are single precision, and a root makes 1e-3 of the 1e-6 by which a difference may miss zero.
    assert ours == pytest.approx(expected, rel=2e-5, abs=5e-3)


def test_not_a_number_stays_in_its_pixel():
    colours = torch.rand(4, 4)
    colours[1, 0] = math.nan
    grade = edit(contrast=1.3, cdl=ColorDecision(power=(1.2, 1.2, 1.2), saturation=0.5))
    for out in (adjust(colours, grade), by_rows([grade] * 4, colours)):
        assert out[[0, 2, 3]].isfinite().all()
        assert out[1].isnan().any()
