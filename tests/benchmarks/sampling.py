"""What drawing a batch takes on a GPU: the kernel against plain torch, and what frames that take turns cost.

    python tests/benchmarks/sampling.py [--frames 70] [--batch 10000]

All times are of the GPU's own clock but for the last, which is what a training loop would see.
"""

import argparse
import time
from functools import partial

import numpy as np
import torch
from hashgrid import microseconds

from inve_core.frame_slots import FrameSlots
from inve_core.motion.flow import GapFlow
from inve_core.sampling import RANDOM_BELOW, gathered, places

HEIGHT, WIDTH = 432, 768
GAPS = (1, 2, 4, 8, 16)


def random_slots(frames: int, iterations: int, budget_bytes: int | None) -> FrameSlots:
    """Slots of a clip of noise with a matte in its middle."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (frames, HEIGHT, WIDTH, 3), np.uint8)
    mattes = np.zeros((frames, 1, HEIGHT, WIDTH), np.float32)
    mattes[:, :, 100:300, 200:400] = 1
    # The same noise for all pairs: nothing here looks at it, and it would fill the memory of a small machine.
    vectors = torch.randn(HEIGHT, WIDTH, 2).half()
    valid = torch.rand(HEIGHT, WIDTH) < 0.8
    flows = []
    for gap in GAPS:
        shape = (frames - gap, HEIGHT, WIDTH)
        both = vectors.expand(*shape, 2), valid.expand(shape)
        flows.append(GapFlow(gap, *both, *both))
    return FrameSlots(rgb, mattes, flows, "cuda", iterations=iterations, budget_bytes=budget_bytes)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=70)
    parser.add_argument("--batch", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=50)
    options = parser.parse_args()
    from inve_core import triton_sampling

    started = time.perf_counter()
    slots = random_slots(options.frames, 4_000, None)
    torch.cuda.synchronize()
    print(f"{options.frames} frames to the device: {time.perf_counter() - started:.2f} s with making them up")
    n, front, m = options.batch, int(0.4 * options.batch), options.batch // 2
    generator = torch.Generator("cuda").manual_seed(0)
    random = torch.randint(RANDOM_BELOW, (n,), generator=generator, device="cuda")
    steps = {
        "plain torch": lambda: gathered(slots, *places(slots, random, front), m),
        "Triton": partial(triton_sampling.drawn, slots, random, front, m),
        "random numbers alone": lambda: torch.randint(RANDOM_BELOW, (n,), device="cuda"),
    }
    for name, step in steps.items():
        print(f"{name}, {n} samples: {microseconds(step, options.repeats):.1f} µs")

    bytes_a_frame = sum(
        buffer[0].numel() * buffer.element_size()
        for buffer in (slots.rgb, slots.mattes, slots.flow, slots.near_pixels)
    )
    del slots, steps
    torch.cuda.empty_cache()
    iterations = 4_000
    slots = random_slots(options.frames, iterations, options.frames // 2 * bytes_a_frame)
    for busy_ms in (0.0, 1.0):
        torch.cuda.synchronize()
        started = time.perf_counter()
        for iteration in range(1_000):
            slots.advance(iteration)
            # About what a training step is.
            torch.cuda._sleep(int(busy_ms * 1.7e6))
        torch.cuda.synchronize()
        took = time.perf_counter() - started
        changed = slots._rotation.changes(999)
        print(
            f"{len(slots)} of {options.frames} frames at hand, {bytes_a_frame / 1e6:.1f} MB each: 1000 steps "
            f"of {busy_ms:g} ms (at 1.7 GHz) took {took:.3f} s, {changed} frames changed"
        )


if __name__ == "__main__":
    main()
