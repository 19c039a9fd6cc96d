"""Drawing on a GPU: the kernel's bits, a graph's draws, and frames that take turns while it is busy."""

import dataclasses
from itertools import islice

import cv2
import numpy as np
import pytest
import torch

from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.encodings import backends
from inve_core.frame_slots import FrameSlots
from inve_core.motion.flow import GapFlow, gaps_for
from inve_core.motion.flow_jobs import flow_over_gaps
from inve_core.presets import preset
from inve_core.sampling import RANDOM_BELOW, Sampler, Samples, gathered, places
from inve_core.source import ShotSource
from inve_core.synthetic import make_clip
from inve_core.training import Trainer

pytestmark = pytest.mark.gpu

GAPS = (1, 2, 4)


@pytest.fixture(autouse=True)
def unforced(monkeypatch):
    monkeypatch.delenv("INVE_BACKEND", raising=False)


def random_clip(frames: int, height: int, width: int, fronts: int = 1) -> Clip:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (frames, height, width, 3), np.uint8)
    mattes = np.zeros((frames, fronts, height, width), np.float32)
    for t in range(frames):
        mattes[t, :, height // 3 : height // 2, width // 4 : width // 3 + t] = 0.7
    flows = []
    for gap in GAPS:
        shape = (frames - gap, height, width)
        vectors = rng.standard_normal((2, *shape, 2), np.float32).astype(np.float16)
        valid = rng.random((2, *shape), np.float32) < 0.6
        flows.append(GapFlow(gap, vectors[0], valid[0], vectors[1], valid[1]))
    source = ShotSource("none", ("m",) * fronts, tuple(range(frames)), width, height, 1.0, "uint8")
    return Clip(source, PictureGrid.fit(width, height, 768), rgb, mattes, tuple(flows), 1.0)


def frame_bytes(clip: Clip) -> int:
    _, fronts, height, width = clip.mattes.shape
    return height * width * (3 + fronts + 8 * len(clip.flows) + 4)


def slots_of(clip: Clip, device: str = "cuda", **settings) -> FrameSlots:
    return FrameSlots(clip.rgb, clip.mattes, clip.flows, device, **({"iterations": 100} | settings))


def same(one: Samples, two: Samples) -> bool:
    return all(torch.equal(value.cpu(), getattr(two, name).cpu()) for name, value in vars(one).items())


def test_the_kernel_passes_its_check_here():
    assert backends.triton_part("sampling", "cuda")
    assert backends.passed_over("cuda") == []


@pytest.mark.parametrize("n", [1, 37, 5000, 100_003])
@pytest.mark.parametrize("fronts", [0, 1, 3])
def test_every_bit_is_the_references_and_the_cpus(n, fronts):
    from inve_core import triton_sampling

    clip = random_clip(6, 54, 96, fronts)
    slots, there = slots_of(clip), slots_of(clip, "cpu")
    random = torch.randint(RANDOM_BELOW, (n,), generator=torch.Generator().manual_seed(n))
    front = n // 3 if fronts else 0
    where = places(slots, random.cuda(), front)
    expected = gathered(there, *places(there, random, front), n // 2)
    assert same(gathered(slots, *where, n // 2), expected)
    assert same(triton_sampling.gathered(slots, *where, n // 2), expected)
    assert same(triton_sampling.drawn(slots, random.cuda(), front, n // 2), expected)


def test_a_captured_draw_goes_on_where_an_eager_one_would():
    sampler = Sampler(random_clip(6, 54, 96), "cuda", 0.4)
    eager = torch.Generator("cuda").manual_seed(3)
    expected = [sampler.draw(5000, 2000, eager) for _ in range(5)]
    generator = torch.Generator("cuda").manual_seed(3)
    assert same(sampler.draw(5000, 2000, generator), expected[0])
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph, capture_error_mode="relaxed"):
        captured = sampler.draw(5000, 2000, generator)
    for right in expected[1:]:
        graph.replay()
        assert same(captured, right)


def test_a_captured_draw_sees_the_frames_that_took_their_turn():
    clip = random_clip(9, 54, 96)
    sampler = Sampler(clip, "cuda", 0.0, iterations=100, budget_bytes=3 * frame_bytes(clip))
    assert not sampler.slots.resident
    place = torch.arange(sampler.size, device="cuda")
    zero = torch.zeros_like(place)
    sampler.at(place, 100, zero, zero)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="relaxed"):
        captured = sampler.at(place, 100, zero, zero)
    seen = set()
    for iteration in range(0, 60, 7):
        sampler.advance(iteration)
        graph.replay()
        assert same(captured, gathered(sampler.slots, place, zero, zero, 100))
        frames = captured.t.unique().tolist()
        assert frames == sorted(sampler.slots.frames.tolist())
        seen |= set(frames)
    assert seen == set(range(9))


def test_no_frame_is_overwritten_while_it_is_still_being_copied():
    """The device is kept busy, so that every copy waits while the next frames are put together."""
    clip = random_clip(12, 270, 480)
    on_gpu = slots_of(clip, budget_bytes=4 * frame_bytes(clip), iterations=24)
    on_cpu = slots_of(clip, "cpu", budget_bytes=4 * frame_bytes(clip), iterations=24)
    torch.cuda._sleep(2_000_000_000)
    copies = []
    for iteration in range(25):
        on_gpu.advance(iteration)
        copies.append([on_gpu.rgb.clone(), on_gpu.flow.clone(), on_gpu.near_ends.clone()])
    for iteration, (rgb, flow, ends) in enumerate(copies):
        on_cpu.advance(iteration)
        assert torch.equal(rgb.cpu(), on_cpu.rgb)
        assert torch.equal(flow.cpu().nan_to_num(99), on_cpu.flow.nan_to_num(99))
        assert torch.equal(ends.cpu(), on_cpu.near_ends)


def test_the_limit_is_honoured_and_half_of_the_free_memory_by_itself():
    clip = random_clip(20, 270, 480)
    limit = 7 * frame_bytes(clip)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    slots = slots_of(clip, budget_bytes=limit)
    # Rounding of each allocation, and the small tables.
    assert torch.cuda.memory_allocated() - before <= limit + (1 << 20)
    assert len(slots) >= 7
    assert slots_of(clip).resident
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    try:
        wanted = torch.cuda.memory_reserved() + 16 * frame_bytes(clip)
        torch.cuda.set_per_process_memory_fraction(wanted / total)
        squeezed = slots_of(clip)
        assert not squeezed.resident
        assert 4 <= len(squeezed) <= 16
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


class TestTraining:
    @pytest.fixture(scope="class")
    def clip(self):
        truth = make_clip(frames=8, width=160, height=96)
        mattes = truth.mattes[:, None].astype(np.float32)
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in truth.rgb])
        flows = flow_over_gaps(grey, mattes, gaps_for(8, 4))
        source = ShotSource("none", ("m",), tuple(range(8)), 160, 96, 1.0, "uint8")
        return Clip(source, PictureGrid.fit(160, 96, 160), truth.rgb, mattes, flows, 1.0)

    def settings(self, **changed):
        return dataclasses.replace(preset("fast", working_size=160), **changed)

    def test_a_clip_that_does_not_fit_is_learned_all_the_same(self, clip):
        settings = self.settings(batch=2_000, iterations=400, least_iterations=400, inverse_iterations=100)
        budget = 3 * frame_bytes(clip)
        trainer = Trainer(clip, settings, device="cuda", seed=1, clip_budget_bytes=budget)
        assert not trainer.sampler.slots.resident
        list(trainer.run())
        assert trainer.forward_step.captured
        assert trainer.report["flow_error_px"] < 0.3
        assert trainer.report["matte_iou"] > 0.96

    def test_a_captured_step_does_what_the_eager_one_does(self, clip):
        settings = self.settings(iterations=60, least_iterations=60)
        runs = []
        for eager in (True, False):
            trainer = Trainer(clip, settings, device="cuda", seed=3, clip_budget_bytes=3 * frame_bytes(clip))
            trainer.forward_step.eager_only = eager
            list(islice(trainer.run(), 40))
            assert trainer.forward_step.captured is not eager
            runs.append([parameter.detach().clone() for parameter in trainer.model.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))

    def test_a_resumed_run_ends_where_an_uninterrupted_one_does(self, clip, tmp_path):
        settings = self.settings(iterations=30, least_iterations=30, inverse_iterations=20)
        limit = {"clip_budget_bytes": 3 * frame_bytes(clip)}
        whole = Trainer(clip, settings, device="cuda", seed=5, **limit)
        list(whole.run())
        for stop_after in (12, 37):
            first = Trainer(clip, settings, device="cuda", seed=5, **limit)
            list(islice(first.run(), stop_after))
            first.save(tmp_path)
            second = Trainer(clip, settings, device="cuda", seed=5, resume=tmp_path, **limit)
            list(second.run())
            pairs = zip(whole.model.parameters(), second.model.parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs)
