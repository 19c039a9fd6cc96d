"""Drawing from a clip: what a sample says, frames in turns where not all fit, and the kernel that does it.

The kernel runs in Triton's interpreter, in a child process as in test_triton_grid: the functions `check_*`
are the tests of that child.
"""

import dataclasses
from itertools import islice

import numpy as np
import pytest
import torch

from inve_core.clip import Clip
from inve_core.coordinates import PictureGrid
from inve_core.errors import DeviceError
from inve_core.frame_slots import FrameSlots, Rotation
from inve_core.motion.flow import GapFlow
from inve_core.sampling import RANDOM_BELOW, Sampler, Samples, gathered, places
from inve_core.source import ShotSource
from inve_core.training import Trainer

HEIGHT, WIDTH = 18, 26


def random_clip(frames: int = 6, fronts: int = 1, gaps: tuple[int, ...] = (1, 2), seed: int = 0) -> Clip:
    """Random pictures, flow that is valid for some pixels, and a matte that wanders."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (frames, HEIGHT, WIDTH, 3), np.uint8)
    mattes = np.zeros((frames, fronts, HEIGHT, WIDTH), np.float32)
    for t in range(frames):
        for front in range(fronts):
            mattes[t, front, 2 + front : 4 + front, t : t + 2 + t] = rng.random((2, 2 + t), np.float32)
    flows = []
    for gap in gaps:
        shape = (frames - gap, HEIGHT, WIDTH)
        vectors = rng.normal(size=(2, *shape, 2)).astype(np.float16)
        valid = rng.random((2, *shape)) < 0.6
        flows.append(GapFlow(gap, vectors[0], valid[0], vectors[1], valid[1]))
    source = ShotSource("none", ("m",) * fronts, tuple(range(frames)), WIDTH, HEIGHT, 1.0, "uint8")
    return Clip(source, PictureGrid.fit(WIDTH, HEIGHT, 768), rgb, mattes, tuple(flows), 1.0)


def slots_of(clip: Clip, **settings) -> FrameSlots:
    settings = {"iterations": 100} | settings
    return FrameSlots(clip.rgb, clip.mattes, clip.flows, "cpu", **settings)


def frame_bytes(clip: Clip) -> int:
    """What one frame takes, its near pixels counted at their most."""
    return HEIGHT * WIDTH * (3 + clip.mattes.shape[1] + 8 * len(clip.flows) + 4)


def all_pixels(slots: FrameSlots) -> torch.Tensor:
    return torch.arange(len(slots) * HEIGHT * WIDTH)


class TestSamples:
    """Against the clip itself, pixel by pixel."""

    @pytest.fixture
    def clip(self):
        return random_clip(fronts=2)

    def test_colours_mattes_and_differences(self, clip):
        sampler = Sampler(clip, "cpu", 0.0)
        assert sampler.size == clip.rgb[..., 0].size
        place = torch.arange(sampler.size)
        zero = torch.zeros_like(place)
        samples = sampler.at(place, sampler.size, zero, zero)
        t, y, x = np.unravel_index(place.numpy(), clip.rgb.shape[:3])
        assert np.array_equal(samples.t, t)
        assert np.array_equal(samples.xy, np.stack((x, y), 1) + 0.5)
        assert np.allclose(samples.rgb, clip.rgb[t, y, x] / 255, atol=1e-7)
        # Kept in eight bits.
        assert np.allclose(samples.mattes, clip.mattes[t, :, y, x], atol=0.5 / 255 + 1e-6)
        inside = (x < WIDTH - 1) & (y < HEIGHT - 1)
        assert np.array_equal(samples.difference_valid, inside)
        here = clip.rgb[t, y, x][inside] / 255
        t, y, x = t[inside], y[inside], x[inside]
        right, below = clip.rgb[t, y, x + 1] / 255, clip.rgb[t, y + 1, x] / 255
        assert np.allclose(samples.difference[inside, 0], right - here, atol=1e-6)
        assert np.allclose(samples.difference[inside, 1], below - here, atol=1e-6)

    @pytest.mark.parametrize("gap", [0, 1])
    @pytest.mark.parametrize("way", [0, 1])
    def test_flow(self, clip, gap, way):
        sampler = Sampler(clip, "cpu", 0.0)
        place = torch.arange(sampler.size)
        samples = sampler.at(place, 0, torch.full_like(place, gap), torch.full_like(place, way))
        flow = clip.flows[gap]
        vectors, valid = (
            (flow.forward, flow.forward_valid) if way == 0 else (flow.backward, flow.backward_valid)
        )
        known = np.zeros(clip.rgb.shape[:3], bool)
        offset = np.zeros((*known.shape, 2), np.float32)
        frames = slice(0, len(vectors)) if way == 0 else slice(flow.gap, None)
        known[frames], offset[frames] = valid, np.where(valid[..., None], vectors, 0)
        assert np.array_equal(samples.flow_valid, known.ravel())
        step = flow.gap if way == 0 else -flow.gap
        assert np.array_equal(samples.target_t, samples.t.numpy() + step * known.ravel())
        assert np.array_equal(samples.target_xy, samples.xy.numpy() + offset.reshape(-1, 2))

    def test_a_clip_may_come_as_tensors(self, clip):
        flows = [
            GapFlow(flow.gap, *(torch.from_numpy(array) for array in list(vars(flow).values())[1:]))
            for flow in clip.flows
        ]
        eight_bits = torch.from_numpy((clip.mattes * 255 + 0.5).astype(np.uint8))
        ours = FrameSlots(torch.from_numpy(clip.rgb), eight_bits, flows, "cpu", iterations=1)
        expected = slots_of(clip)
        for name in ("rgb", "mattes", "near_pixels", "near_ends"):
            assert torch.equal(getattr(ours, name), getattr(expected, name))
        assert torch.equal(ours.flow.nan_to_num(99), expected.flow.nan_to_num(99))


@dataclasses.dataclass(frozen=True, eq=False)
class Stacked(GapFlow):
    """As whoever makes flow on the device gives it."""

    stack: torch.Tensor


class TestFlowThatIsThereAlready:
    def flows(self, clip):
        stack = slots_of(clip).flow.clone()
        return stack, [Stacked(*vars(flow).values(), stack) for flow in clip.flows]

    def test_it_is_not_copied(self):
        clip = random_clip()
        stack, flows = self.flows(clip)
        slots = FrameSlots(clip.rgb, clip.mattes, flows, "cpu", iterations=1)
        assert slots.flow is stack
        place = all_pixels(slots)
        gap, way = (torch.randint(2, place.shape) for _ in range(2))
        assert same(gathered(slots, place, gap, way, 9), gathered(slots_of(clip), place, gap, way, 9))

    def test_it_is_where_it_is_not_what_the_slots_need(self):
        clip = random_clip()
        stack, flows = self.flows(clip)
        # One gap only, or not all frames at once: not that tensor's shape.
        one = FrameSlots(clip.rgb, clip.mattes, flows[:1], "cpu", iterations=1)
        assert torch.equal(one.flow.nan_to_num(99), stack[:, :1].nan_to_num(99))
        some = FrameSlots(
            clip.rgb, clip.mattes, flows, "cpu", iterations=1, budget_bytes=2 * frame_bytes(clip)
        )
        assert torch.equal(some.flow.nan_to_num(99), stack[some.frames].nan_to_num(99))


class TestDraws:
    def test_a_share_lies_near_the_mattes_all_pixels_there_alike(self):
        clip = random_clip()
        slots = slots_of(clip)
        random = torch.randint(RANDOM_BELOW, (40_000,), generator=torch.Generator().manual_seed(0))
        place, gap, way = places(slots, random, front=16_000)
        counts = torch.bincount(place, minlength=len(all_pixels(slots)))
        near = torch.cat(
            [
                slots.near_pixels[s, : int(end - start)].long() + s * HEIGHT * WIDTH
                for s, (start, end) in enumerate(zip([0, *slots.near_ends], slots.near_ends, strict=False))
            ]
        )
        assert len(near) == slots.near_ends[-1]
        # 24 000 samples everywhere and 16 000 on these; five standard deviations.
        expected = 24_000 / len(counts) + 16_000 / len(near)
        assert (counts[near] - expected).abs().max() < 5.5 * expected**0.5
        far = torch.ones(len(counts), dtype=torch.bool)
        far[near] = False
        assert (counts[far] - 24_000 / len(counts)).abs().max() < 5.5 * (24_000 / len(counts)) ** 0.5
        for values, most in ((gap, 2), (way, 2)):
            assert torch.bincount(values).max() < 40_000 / most + 500
            assert len(torch.bincount(values)) == most

    def test_of_any_first_part_of_a_batch_the_same_share_is_near(self):
        clip = random_clip()
        clip.mattes[:] = 0
        clip.mattes[:, :, 9, 13] = 1
        slots = slots_of(clip)
        random = torch.full((1000,), 12)  # pixel 12 of frame 0, which is far from the matte
        place, _, _ = places(slots, random, front=300)
        near = place != 12
        assert near.sum() == 300
        assert (near.cumsum(0) - 0.3 * torch.arange(1, 1001)).abs().max() <= 1

    def test_mattes_that_are_empty_leave_all_pixels(self):
        clip = random_clip()
        clip.mattes[:] = 0
        slots = slots_of(clip)
        random = torch.randint(RANDOM_BELOW, (100,))
        assert torch.equal(places(slots, random, 50)[0], places(slots, random, 0)[0])

    @pytest.mark.parametrize(("fronts", "gaps"), [(0, (1,)), (1, ()), (0, ())])
    def test_a_clip_without_mattes_or_flow(self, fronts, gaps):
        sampler = Sampler(random_clip(fronts=fronts, gaps=gaps), "cpu", 0.5)
        samples = sampler.draw(50, 10, torch.Generator().manual_seed(0))
        assert samples.mattes.shape == (50, fronts)
        assert bool(samples.flow_valid.any()) == bool(gaps)

    def test_a_seed_repeats_itself(self):
        sampler = Sampler(random_clip(), "cpu", 0.4)
        one, two, other = (sampler.draw(50, 10, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
        assert same(one, two)
        assert not same(one, other)


def same(one: Samples, two: Samples) -> bool:
    return all(
        torch.equal(getattr(one, field.name), getattr(two, field.name)) for field in dataclasses.fields(one)
    )


class TestRotation:
    @pytest.mark.parametrize(("frames", "slots", "iterations"), [(7, 3, 400), (10, 9, 5), (5, 1, 1000)])
    def test_every_frame_gets_its_turn_none_twice_at_once_and_all_alike(self, frames, slots, iterations):
        rotation = Rotation.of(frames, slots, iterations, seed=0)
        assert rotation.changes(0) == 0
        assert rotation.changes(iterations) >= 2 * frames
        time = np.zeros(frames, int)
        before = rotation.held(0)
        for changes in range(frames):
            held = rotation.held(changes)
            assert len(set(held)) == slots
            assert np.count_nonzero(held != before) <= 1
            time[held] += 1
            before = held
        assert (time == slots).all()

    def test_frames_change_in_the_course_of_a_long_run_too(self):
        changes = [Rotation.of(7, 3, 10**6, seed=0).changes(i) for i in range(100)]
        assert changes[-1] == 12
        assert np.diff(changes).max() == 1

    def test_a_seed_decides_the_order(self):
        orders = [Rotation.of(50, 10, 100, seed).order for seed in (1, 1, 2)]
        assert np.array_equal(orders[0], orders[1])
        assert not np.array_equal(orders[0], orders[2])


class TestFramesInTurns:
    def test_where_all_fit_slot_and_frame_are_one_and_nothing_moves(self):
        slots = slots_of(random_clip())
        assert slots.resident
        slots.advance(1000)
        assert slots.frames.tolist() == list(range(6))

    @pytest.mark.parametrize("share", [1, 2.5, 5])
    def test_a_limit_is_honoured(self, share):
        clip = random_clip(frames=8)
        limit = int(share * frame_bytes(clip))
        slots = slots_of(clip, budget_bytes=limit)
        buffers = (slots.rgb, slots.mattes, slots.flow, slots.near_pixels)
        assert sum(buffer.numel() * buffer.element_size() for buffer in buffers) <= limit
        assert not slots.resident
        assert len(slots) >= int(share)

    def test_a_limit_below_one_frame_is_refused(self):
        clip = random_clip()
        with pytest.raises(DeviceError, match=r"at least one frame with its flow, \d+ KiB, but got 1 KiB"):
            slots_of(clip, budget_bytes=1024)

    def test_samples_are_those_of_the_whole_clip(self):
        """For the same frame, pixel and gap; at every stage of the rotation, and each frame comes."""
        clip = random_clip(frames=9, fronts=2)
        whole = slots_of(clip)
        slots = slots_of(clip, budget_bytes=3 * frame_bytes(clip), seed=5)
        addresses = [buffer.data_ptr() for buffer in (slots.rgb, slots.flow, slots.frames, slots.near_ends)]
        place = all_pixels(slots)
        generator = torch.Generator().manual_seed(0)
        seen = set()
        for iteration in range(0, 101, 3):
            slots.advance(iteration)
            seen |= set(slots.frames.tolist())
            gap, way = (torch.randint(2, place.shape, generator=generator) for _ in range(2))
            there = slots.frames[place // (HEIGHT * WIDTH)] * HEIGHT * WIDTH + place % (HEIGHT * WIDTH)
            assert same(gathered(slots, place, gap, way, 500), gathered(whole, there, gap, way, 500))
            ends = [0, *slots.near_ends.tolist()]
            for slot, frame in enumerate(slots.frames.tolist()):
                mine, its = (
                    ends[slot + 1] - ends[slot],
                    whole.near_ends.diff(prepend=torch.tensor([0]))[frame],
                )
                assert mine == its
                assert torch.equal(slots.near_pixels[slot, :mine], whole.near_pixels[frame, :mine])
        assert seen == set(range(9))
        # A captured step would read these.
        assert addresses == [b.data_ptr() for b in (slots.rgb, slots.flow, slots.frames, slots.near_ends)]

    def test_frames_follow_from_seed_and_iteration_alone(self):
        clip = random_clip(frames=9)
        budget = 3 * frame_bytes(clip)
        stepped, jumped = (slots_of(clip, budget_bytes=budget, seed=2) for _ in range(2))
        for iteration in range(41):
            stepped.advance(iteration)
        jumped.advance(40)
        assert torch.equal(stepped.frames, jumped.frames)
        assert torch.equal(stepped.rgb, jumped.rgb)
        assert torch.equal(stepped.near_ends, jumped.near_ends)


class TestTraining:
    def budget(self, clip: Clip, frames: int) -> int:
        _, height, width, _ = clip.rgb.shape
        return frames * height * width * (4 + 8 * len(clip.flows) + 4)

    @pytest.mark.long
    def test_a_clip_that_does_not_fit_is_learned_all_the_same(self, shot, quick):
        trainer = Trainer(shot.clip, quick, device="cpu", seed=1, clip_budget_bytes=self.budget(shot.clip, 3))
        assert not trainer.sampler.slots.resident
        list(trainer.run())
        assert trainer.report["flow_error_px"] < 0.3
        assert trainer.report["matte_iou"] > 0.96
        assert trainer.report["psnr_db"] > 26
        assert trainer.report["outcome"] == "good"

    def test_a_resumed_run_finds_the_frames_of_an_uninterrupted_one(self, shot, quick, tmp_path):
        settings = dataclasses.replace(
            quick, batch=200, iterations=12, least_iterations=12, inverse_iterations=8
        )
        budget = self.budget(shot.clip, 3)
        runs = []
        for stop_after in (None, 15):
            trainer = Trainer(shot.clip, settings, device="cpu", seed=5, clip_budget_bytes=budget)
            if stop_after is not None:
                list(islice(trainer.run(), stop_after))
                trainer.save(tmp_path)
                trainer = Trainer(
                    shot.clip, settings, device="cpu", seed=5, resume=tmp_path, clip_budget_bytes=budget
                )
            list(trainer.run())
            runs.append(list(trainer.model.parameters()))
        assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@pytest.fixture
def kernels(monkeypatch):
    """The module under test, with few and large programs, since each one costs the interpreter its time."""
    from inve_core import triton_sampling

    monkeypatch.setattr(triton_sampling, "BLOCK", 256)
    return triton_sampling


def check_it_passes_its_own_check(kernels):
    assert kernels.mismatch(torch.device("cpu")) is None


@pytest.mark.parametrize("n", [1, 37, 700])
@pytest.mark.parametrize(("frames", "fronts", "gaps"), [(6, 1, (1, 2)), (5, 3, (1,)), (4, 0, ()), (1, 1, ())])
def check_every_bit_is_the_references(kernels, n, frames, fronts, gaps):
    clip = random_clip(frames, fronts, gaps)
    for budget in (None, 2 * frame_bytes(clip)):
        slots = slots_of(clip, budget_bytes=budget)
        random = torch.randint(RANDOM_BELOW, (n,), generator=torch.Generator().manual_seed(n))
        for front, neighbours in ((0, n), (n // 3, n // 2), (n, 0)):
            front = front if fronts else 0
            where = places(slots, random, front)
            expected = gathered(slots, *where, neighbours)
            assert same(kernels.gathered(slots, *where, neighbours), expected)
            assert same(kernels.drawn(slots, random, front, neighbours), expected)


def check_borders_and_frames_without_a_near_pixel(kernels):
    clip = random_clip()
    clip.mattes[1] = clip.mattes[-1] = 0
    slots = slots_of(clip)
    place = all_pixels(slots)
    zero = torch.zeros_like(place)
    assert same(kernels.gathered(slots, place, zero, zero, 2000), gathered(slots, place, zero, zero, 2000))
    total = int(slots.near_ends[-1])
    every = torch.arange(total)
    expected = gathered(slots, *places(slots, every, total), 0)
    assert same(kernels.drawn(slots, every, total, 0), expected)
    assert set(expected.t.tolist()) == {0, 2, 3, 4}


def check_no_samples_and_no_mattes_at_all(kernels):
    clip = random_clip()
    clip.mattes[:] = 0
    slots = slots_of(clip)
    assert len(kernels.drawn(slots, torch.zeros(0, dtype=torch.long), 0, 0).t) == 0
    random = torch.randint(RANDOM_BELOW, (50,))
    assert same(kernels.drawn(slots, random, 25, 0), gathered(slots, *places(slots, random, 25), 0))


def check_the_sampler_uses_the_kernel(kernels, monkeypatch):
    sampler = Sampler(random_clip(), "cpu", 0.4)
    calls = []
    for name in ("drawn", "gathered"):
        monkeypatch.setattr(kernels, name, lambda *args, name=name: calls.append(name))
    sampler.draw(5, 2, torch.Generator())
    place = torch.zeros(3, dtype=torch.long)
    sampler.at(place, 0, place, place)
    assert calls == ["drawn", "gathered"]


def test_the_kernel_in_the_interpreter(interpreted):
    interpreted(__file__)
