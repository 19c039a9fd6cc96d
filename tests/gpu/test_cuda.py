"""The same code on a GPU: same values as on the CPU, same result for the same seed, and it learns."""

import dataclasses
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from inve_core.encodings.hashgrid import GridSettings, HashGrid
from inve_core.motion.flow import gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.motion.parametric import parametric_motion
from inve_core.presets import preset
from inve_core.synthetic import make_clip
from inve_core.training import Trainer

pytestmark = pytest.mark.gpu


def test_flow_on_the_gpu_is_that_of_the_cpu():
    """The same torch code, in another order of sums; how it agrees with OpenCV is tested on the CPU."""
    truth = make_clip(frames=20, width=320, height=192)
    mattes = truth.mattes[:, None].astype(np.float32)
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
    on_cpu, on_gpu = (flow_over_gaps(grey, mattes, gaps_for(20, 16), device=name) for name in ("cpu", "cuda"))
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert other.forward.is_cuda
        for way in ("forward", "backward"):
            valid, there = getattr(one, f"{way}_valid"), getattr(other, f"{way}_valid").cpu()
            assert (valid != there).float().mean() < 1e-3
            apart = (getattr(one, way).float() - getattr(other, way).cpu().float()).abs()
            assert (apart[valid & there] > 0.05).float().mean() < 1e-3


def test_a_clip_with_its_flow_on_the_gpu_learns_as_one_without(clip):
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip.rgb])
    there = dataclasses.replace(clip, flows=flow_over_gaps(grey, clip.mattes, gaps_for(8, 4), device="cuda"))
    motions = [parametric_motion(one.flows, one.mattes) for one in (clip, there)]
    for ours, theirs in zip(*motions, strict=True):
        assert ours.model == theirs.model
        corners = np.array([[0, 0, 1], [160, 0, 1], [0, 96, 1], [160, 96, 1.0]])
        places = [corners @ motion.transforms.transpose(0, 2, 1) for motion in (ours, theirs)]
        apart = places[0][..., :2] / places[0][..., 2:] - places[1][..., :2] / places[1][..., 2:]
        assert np.abs(apart).max() < 0.5
    trainer = Trainer(there, preset("fast", working_size=160), device="cuda", seed=3)
    list(islice(trainer.run(), 30))
    assert all(bool(parameter.isfinite().all()) for parameter in trainer.model.parameters())


@pytest.mark.parametrize("n", [1, 37, 5000])
@pytest.mark.parametrize("dims", [2, 3])
def test_hash_grid_agrees_with_the_cpu(n, dims):
    torch.manual_seed(0)
    settings = GridSettings.spanning(dims, base=16, finest=200, levels=8, log2_table=12)
    grid = HashGrid(settings)
    grid.table.data.normal_()
    x = torch.rand(n, dims)
    results = []
    for device in ("cpu", "cuda"):
        copy = HashGrid(settings).to(device)
        copy.load_state_dict(grid.state_dict())
        there = x.to(device).detach().clone().requires_grad_()
        encoded = copy(there)
        encoded.square().sum().backward()
        assert there.grad is not None
        assert copy.table.grad is not None
        results.append([tensor.detach().cpu() for tensor in (encoded, there.grad, copy.table.grad)])
    for on_cpu, on_gpu in zip(*results, strict=True):
        # Single precision sums in another order; measured 1.5e-7 of the largest value on an H100.
        assert (on_cpu - on_gpu).abs().max() <= 2e-6 * on_cpu.abs().max()


def test_a_seed_repeats_itself(clip):
    runs = []
    for _ in range(2):
        trainer = Trainer(clip, preset("fast", working_size=160), device="cuda", seed=3)
        list(islice(trainer.run(), 30))
        runs.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_learns_on_the_gpu(clip):
    settings = dataclasses.replace(
        preset("preview", working_size=160), batch=2_000, iterations=250, least_iterations=250
    )
    trainer = Trainer(clip, settings, device="cuda", seed=1)
    for _ in trainer.run():
        pass
    assert trainer.report["flow_error_px"] < 0.25
    assert trainer.report["matte_iou"] > 0.97
    assert torch.cuda.get_device_name(0) == trainer.report["device"]


def test_a_model_answers_alike_on_both(clip):
    trainer = Trainer(clip, preset("fast", working_size=160), device="cuda", seed=3)
    list(islice(trainer.run(), 30))
    xy, t = torch.rand(500, 2) * 90, torch.randint(8, (500,))
    on_gpu = trainer.model.map(0, xy.cuda(), t.cuda()).cpu()
    on_cpu = trainer.model.cpu().map(0, xy, t)
    # Pixels; matrix products may use TF32-free single precision in another order.
    assert (on_gpu - on_cpu).abs().max() < 1e-2


@pytest.mark.parametrize("global_until", [0.2, 1.0])
def test_a_captured_step_does_what_the_eager_one_does(clip, global_until):
    """Bit for bit, also where a loss ends on the way and the step is captured anew."""
    settings = dataclasses.replace(
        preset("fast", working_size=160), iterations=60, least_iterations=60, global_until=global_until
    )
    runs = []
    for eager in (True, False):
        trainer = Trainer(clip, settings, device="cuda", seed=3)
        trainer.forward_step.eager_only = eager
        list(islice(trainer.run(), 40))
        assert trainer.forward_step.captured is not eager
        runs.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(clip, tmp_path):
    settings = dataclasses.replace(
        preset("fast", working_size=160), iterations=30, least_iterations=30, inverse_iterations=20
    )
    whole = Trainer(clip, settings, device="cuda", seed=5)
    list(whole.run())
    for stop_after in (12, 37):
        first = Trainer(clip, settings, device="cuda", seed=5)
        list(islice(first.run(), stop_after))
        first.save(tmp_path)
        second = Trainer(clip, settings, device="cuda", seed=5, resume=tmp_path)
        list(second.run())
        pairs = zip(whole.model.parameters(), second.model.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
