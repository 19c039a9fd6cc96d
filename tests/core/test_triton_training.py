"""The training step's kernels in Triton's interpreter: MLP, losses with their gradients, Adam.

As in `test_triton_grid`, the functions `check_*` are the tests of a child process with the interpreter on.
"""

from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from inve_core import measures
from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.encodings.hashgrid import GridSettings
from inve_core.fields import Field, FieldSettings
from inve_core.motion.flow import gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.objective import Phase
from inve_core.presets import preset
from inve_core.source import ShotSource
from inve_core.synthetic import make_clip
from inve_core.training import Trainer


@pytest.fixture
def few_programs(monkeypatch):
    """Few and large programs, since each one costs the interpreter its time."""
    from inve_core.encodings import triton_grid, triton_mlp

    monkeypatch.setattr(triton_grid, "THREADS", 512)
    monkeypatch.setattr(triton_mlp, "PROGRAMS", 2)
    monkeypatch.setattr(triton_mlp, "FORWARD_ROWS", 256)
    monkeypatch.setattr(triton_mlp, "BACKWARD_ROWS", 128)


def mlp_gradients(out, x, weights):
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(2))
    return torch.autograd.grad((out * weight).sum(), [x, *weights])


@pytest.mark.parametrize("precision", ["ieee", "tf32x3", "half"])
@pytest.mark.parametrize(
    ("n", "inputs", "hidden", "outputs"), [(1, 16, 64, 2), (300, 28, 64, 3), (300, 10, 32, 1)]
)
def check_the_mlp(few_programs, precision, n, inputs, hidden, outputs):
    from inve_core.encodings import triton_mlp

    torch.manual_seed(0)
    x = torch.randn(n, inputs).requires_grad_()
    shapes = ((hidden, inputs), (hidden, hidden), (outputs, hidden))
    weights = [(torch.randn(shape) / shape[1] ** 0.5).requires_grad_() for shape in shapes]
    expected = x
    for weight in weights[:-1]:
        expected = torch.relu(expected @ weight.t())
    expected = expected @ weights[-1].t()
    actual = triton_mlp.mlp(x, weights, precision)
    tolerance = 2e-3 if precision == "half" else 2e-6
    assert (actual - expected).abs().max() <= tolerance * expected.abs().max()
    for ours, right in zip(
        mlp_gradients(actual, x, weights), mlp_gradients(expected, x, weights), strict=True
    ):
        # In half precision a hidden unit near zero may be on in one and off in the other.
        limit = 0.1 if precision == "half" else tolerance
        assert (ours - right).norm() <= limit * right.norm()


def check_the_mlp_of_no_rows_and_of_nan(few_programs):
    from inve_core.encodings import triton_mlp

    weights = [torch.ones(16, 4), torch.ones(16, 16), torch.ones(1, 16)]
    assert triton_mlp.mlp(torch.empty(0, 4), weights).shape == (0, 1)
    bad = torch.ones(3, 4)
    bad[1, 2] = torch.nan
    assert triton_mlp.mlp(bad, weights)[:, 0].isnan().tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("layers", "lit", "wide", "matte"),
    [
        (1, True, True, True),
        (1, False, False, True),
        (2, True, True, True),
        (2, False, True, True),
        (3, False, True, False),
    ],
)
def check_losses_and_gradients(few_programs, layers, lit, wide, matte):
    from inve_core.triton_check import mismatch

    assert mismatch("cpu", layers, lit, Phase(wide, matte), ("ieee", "ieee"), tolerance=2e-6) is None


def check_that_the_check_can_fail(few_programs, monkeypatch):
    from inve_core import triton_check, triton_objective

    monkeypatch.setattr(triton_objective, "LIGHT_UNIT", 0.5)
    assert "the lighting loss is" in (triton_check.mismatch("cpu") or "")


def adam_by_hand(value, mean, square, gradient, rate, step):
    """Textbook Adam, where rows without any gradient stay as they are."""
    touched = (gradient != 0).any(-1, keepdim=True) if gradient.ndim > 1 else torch.tensor(True)
    new_mean, new_square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient**2
    moved = value - rate * (new_mean / (1 - 0.9**step)) / ((new_square / (1 - 0.99**step)).sqrt() + 1e-15)
    pairs = ((moved, value), (new_mean, mean), (new_square, square))
    return [torch.where(touched, new, old) for new, old in pairs]


def check_adam(few_programs):
    from inve_core.encodings import triton_grid
    from inve_core.triton_adam import FusedAdam
    from inve_core.triton_objective import FieldGradient

    torch.manual_seed(0)
    fields = [Field(FieldSettings(GridSettings(2, 3, 2, 11, 8, 2.0), 2, width=16)) for _ in range(2)]
    adam = FusedAdam(fields, torch.tensor([1e-2, 2e-3]))
    expected = [
        [(tensor.detach().clone(), torch.zeros_like(tensor), torch.zeros_like(tensor)) for tensor in group]
        for group in ([one.encoding.table for one in fields], [w for one in fields for w in one.weights])
    ]
    bound = torch.tensor(64.0)
    sums = [triton_grid.new_sums(one.encoding) for one in fields]
    for step in (1, 2, 3):
        parts = torch.randn(5, sum(w.numel() for one in fields for w in one.weights))
        gradients = []
        for one, words in zip(fields, sums, strict=True):
            assert not words.any()
            few = triton_grid.rows_in_copies(one.settings.grid)
            rows = len(one.encoding.table)
            values = torch.randint(-(2**20), 2**20, (len(words), 2))
            values[torch.rand(len(words)) < 0.5] = 0
            words.copy_(values[:, 0] + (values[:, 1] << 32))
            total = values[:rows].clone()
            total[:few] += values[rows:].view(-1, few, 2).sum(0)
            gradients.append(total.float() * float(bound) / triton_grid.FIXED_POINT)
        adam.step(
            [FieldGradient(one, words, bound, parts, parts) for one, words in zip(fields, sums, strict=True)],
            parts,
        )
        flat = parts.sum(0).split([value.numel() for value, _, _ in expected[1]])
        for group, rate, of_group in ((0, 1e-2, gradients), (1, 2e-3, flat)):
            expected[group] = [
                adam_by_hand(*one, gradient.view_as(one[0]), rate, step)
                for one, gradient in zip(expected[group], of_group, strict=True)
            ]
    parameters = [*(one.encoding.table for one in fields), *(w for one in fields for w in one.weights)]
    for parameter, (value, *_) in zip(parameters, [*expected[0], *expected[1]], strict=True):
        assert torch.allclose(parameter, value, atol=2e-6, rtol=1e-5)
    moments = adam.moments()
    assert torch.allclose(moments[1]["exp_avg"], expected[0][1][1], rtol=1e-5, atol=1e-9)
    assert torch.allclose(moments[5]["exp_avg_sq"], expected[1][3][2], rtol=1e-4, atol=1e-9)
    again = FusedAdam(fields, torch.tensor([1e-2, 2e-3]))
    again.restore(moments)
    assert all(
        torch.equal(mine[name], moments[index][name])
        for index, mine in again.moments().items()
        for name in mine
    )
    adam.forget()
    assert adam.moments() == {}


def check_a_short_training(few_programs, tmp_path, monkeypatch):
    """The trainer takes the fast step, comes close to the reference, and resumes where it stopped."""
    monkeypatch.setattr(measures, "COARSE_SAMPLES", 256)
    truth = make_clip(frames=4, width=64, height=64)
    mattes = truth.mattes[:, None].astype(np.float32)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    source = ShotSource("none", ("m",), tuple(range(4)), 64, 64, 1.0, "uint8")
    flows = flow_over_gaps(grey, mattes, gaps_for(4, 2))
    clip = Clip(source, PictureGrid.fit(64, 64, 64), truth.rgb, mattes, flows, 1.0)
    settings = preset("preview", working_size=64, batch=64, iterations=6, least_iterations=6, check_every=6)
    trainer = Trainer(clip, settings, device="cpu", seed=1)
    assert type(trainer.forward_step._update).__name__ == "FusedUpdate"
    list(islice(trainer.run(), 3))
    trainer.save(tmp_path)
    resumed = Trainer(clip, settings, device="cpu", seed=1, resume=tmp_path)
    for one in (trainer, resumed):
        list(islice(one.run(), 3))
    pairs = zip(trainer.model.parameters(), resumed.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert np.isfinite(trainer.report["psnr_db"])


@pytest.mark.slow
def test_kernels_in_the_interpreter(interpreted):
    interpreted(__file__)
