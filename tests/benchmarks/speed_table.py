"""The speed benchmark's figures as a markdown table, and the way to quality as a curve."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from speed_plan import MARKS


@dataclass(frozen=True)
class Row:
    """A figure.

    Attributes:
        what: in words.
        value: None where it could not be had.
        unit: of the value; "times" means the same on every machine.
        reference: the same of the eager reference, or of the smallest of what grows.
        more_is_better: whether value over reference is how much better it is, or the other way round.
        grows: the ratio is how many times as much as the smallest takes, or is.
        target: what was asked for.
    """

    what: str
    value: float | None
    unit: str
    reference: float | None = None
    more_is_better: bool = False
    grows: bool = False
    target: str = ""

    @property
    def ratio(self) -> float | None:
        """Times better than the reference, or times as much as the smallest."""
        if not self.value or not self.reference:
            return None
        over = self.value / self.reference
        return over if self.grows or self.more_is_better else 1 / over

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ratio": self.ratio}


def table(rows: Sequence[Row], *, on_gpu: bool) -> str:
    """As markdown. On a CPU only ratios are shown, for times there are claims about nothing."""
    lines = ["| what | figure | reference | ratio | asked for |", "| --- | --- | --- | --- | --- |"]
    for row in rows:
        absolute = on_gpu or row.unit == "times"
        value, reference = (shown(v, row.unit) if absolute else "" for v in (row.value, row.reference))
        if row.value is None:
            value = "not reached"
        elif not absolute and row.ratio is None:
            continue
        ratio = ""
        if row.ratio is not None:
            ratio = f"{row.ratio:.3g} times {'as much' if row.grows else 'better'}"
        lines.append(f"| {row.what} | {value} | {reference} | {ratio} | {row.target} |")
    return "\n".join(lines)


def shown(value: float | None, unit: str) -> str:
    """A figure with three digits and its unit."""
    if value is None:
        return ""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{text} {unit}".strip()


TITLES = {"psnr_db": "PSNR, dB", "matte_iou": "matte IoU", "flow_error_px": "flow error, px"}


def write_curve(runs: dict[str, dict[str, Any]], path: Path, title: str) -> str | None:
    """Draw PSNR, flow error and IoU over the seconds since *Prepare*.

    Args:
        runs: name -> what `speed_training.quality` returned.
        path: a PNG.

    Returns:
        Why there is no picture, or None.
    """
    try:
        import matplotlib as mpl

        mpl.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return (
            "no picture: matplotlib is not installed (the `demo` extra brings it); the curve is in the JSON"
        )
    figure, axes = pyplot.subplots(1, len(MARKS), figsize=(4.5 * len(MARKS), 3.6), layout="constrained")
    for axis, (name, mark) in zip(axes, MARKS.items(), strict=True):
        for label, run in runs.items():
            looks = [look for look in run.get("curve", []) if name in look]
            axis.plot([look["seconds"] for look in looks], [look[name] for look in looks], label=label)
        axis.axhline(mark, color="grey", linewidth=0.8, linestyle="--")
        axis.set_xlabel("seconds since Prepare")
        axis.set_xlim(left=0)
        axis.set_title(TITLES.get(name, name))
    axes[0].legend()
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return None
