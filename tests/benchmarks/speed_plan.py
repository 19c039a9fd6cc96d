"""How much the speed benchmark does: all of it on a GPU, or a bit of each on a CPU."""

from dataclasses import dataclass, replace

from inve_core.presets import PRESETS, TrainingSettings

# The marks of `fast` (issue 3): good enough to paint on.
MARKS = {"psnr_db": 30.0, "matte_iou": 0.975, "flow_error_px": 0.3}
FALLING = frozenset({"flow_error_px"})


@dataclass(frozen=True)
class Plan:
    """Amounts.

    Attributes:
        preset, working_size, iterations: what is learned for steps and quality; the preset's own where None.
        frames: most frames of the clip that are used for them.
        warm_up: iterations before the clock starts: compilation, capture.
        step_s: seconds of steps, and of the reference's.
        reference_s: the longest that the reference learns towards the marks.
        sizes: of the source for the latency, name and (width, height).
        shot_frames: frames of the shots that latency is measured on.
        strokes, reference_strokes: strokes sent, one after the other; `reference_strokes` also of those that
            are sent while another shot is learned.
        growth_frames, growth_sizes, growth_strokes: what is made larger, step by step.
        growth_s: seconds of steps for each.
        limited: frames and size of the clip that must do with `limit_gib` of device memory.
    """

    preset: str = "fast"
    working_size: int | None = None
    iterations: int | None = None
    frames: int = 70
    warm_up: int = 150
    step_s: float = 4.0
    reference_s: float = 45.0
    sizes: tuple[tuple[str, tuple[int, int]], ...] = (("768x432", (768, 432)), ("4K", (3840, 2160)))
    shot_frames: int = 8
    strokes: int = 200
    reference_strokes: int = 20
    growth_frames: tuple[int, ...] = (25, 70, 200, 500)
    growth_sizes: tuple[tuple[str, tuple[int, int]], ...] = (
        ("480p", (854, 480)),
        ("1080p", (1920, 1080)),
        ("4K", (3840, 2160)),
    )
    growth_size_frames: int = 25
    growth_strokes: tuple[int, ...] = (1, 100, 10_000)
    growth_s: float = 1.5
    limited: tuple[int, tuple[int, int]] = (500, (1920, 1080))
    limit_gib: float = 8.0

    @property
    def settings(self) -> TrainingSettings:
        """Of the training."""
        settings = PRESETS[self.preset]
        if self.working_size is not None:
            settings = replace(settings, working_size=self.working_size)
        if self.iterations is not None:
            fewer = min(settings.inverse_iterations, self.iterations)
            settings = replace(settings, iterations=self.iterations, inverse_iterations=fewer)
        return settings


FULL = Plan()
QUICK = Plan(
    preset="preview",
    working_size=128,
    iterations=100,
    frames=6,
    warm_up=3,
    step_s=2.0,
    reference_s=10.0,
    sizes=(("384x216", (384, 216)),),
    shot_frames=4,
    strokes=10,
    reference_strokes=5,
    growth_frames=(3, 6),
    growth_sizes=(("216p", (384, 216)), ("480p", (854, 480))),
    growth_size_frames=3,
    growth_strokes=(1, 100),
    growth_s=1.0,
    limited=(6, (384, 216)),
)
