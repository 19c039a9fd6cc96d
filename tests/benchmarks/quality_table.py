"""The settings of a benchmark from its command line, and its figures as a table."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inve_core.presets import TrainingSettings

# What the table shows: label, where it stands in a run, format. A `%` format takes a share.
MEASURES = (
    ("PSNR, dB", "fields.psnr_db", ".2f"),
    ("PSNR without light, dB", "report.atlas_psnr_db", ".2f"),
    ("PSNR worst frame, dB", "fields.psnr_worst_frame_db", ".2f"),
    ("PSNR on object, dB", "fields.psnr_object_db", ".2f"),
    ("matte IoU", "fields.matte_iou", ".3f"),
    ("matte IoU worst frame", "fields.matte_iou_worst_frame", ".3f"),
    ("flow gap 1 mean, px", "flow.product.short.mean", ".2f"),
    ("flow gap 1 median, px", "flow.product.short.median", ".2f"),
    ("flow long gap mean, px", "flow.product.long.mean", ".2f"),
    ("flow long gap median, px", "flow.product.long.median", ".2f"),
    ("... object, mean, px", "flow.product.long.object.mean", ".2f"),
    ("... ground, mean, px", "flow.product.long.ground.mean", ".2f"),
    ("flow error as reported, px", "report.flow_error_px", ".2f"),
    ("edit leak", "edits.leak.strict", ".1%"),
    ("edit leak beyond 2 px", "edits.leak.beyond_2px", ".1%"),
    ("edit leak above the matte", "edits.leak.above_matte", ".1%"),
    ("edit leak worst frame", "edits.leak.worst_frame", ".1%"),
    ("edit kept", "edits.kept", ".1%"),
    ("edit kept, farthest gap", "edits.kept_farthest", ".1%"),
    ("edit spurious", "edits.spurious", ".1%"),
    ("edit kept where drawn", "edits.drawn_kept", ".1%"),
    ("fill of matte", "edits.fill", ".1%"),
    ("fill leak", "edits.fill_leak.strict", ".1%"),
    ("... of the matte's own edge", "edits.fill_leak_of_matte_itself", ".1%"),
    ("colour variance, map", "consistency.map", ".1f"),
    ("colour variance, flow", "consistency.flow", ".1f"),
    ("... ratio", "consistency.ratio", ".2f"),
    ("PCK@0.2", "joints.pck_0.2", ".1%"),
    ("PCK@0.1", "joints.pck_0.1", ".1%"),
    ("joints median, source px", "joints.median_px", ".1f"),
    ("PCK@0.2, network alone", "joints.network.pck_0.2", ".1%"),
    ("PCK@0.2, numerical alone", "joints.numerical.pck_0.2", ".1%"),
    ("round trip p95 network, px", "inversion.network.round_trip_px.p95", ".3f"),
    ("round trip p95 refined, px", "inversion.refined.round_trip_px.p95", ".3f"),
    ("round trip p95 numerical, px", "inversion.numerical.round_trip_px.p95", ".3f"),
    ("round trip p95 product, px", "inversion.product.round_trip_px.p95", ".3f"),
    ("flow gap 1 mean, refined, px", "flow.refined.short.mean", ".2f"),
    ("flow gap 1 mean, numerical, px", "flow.numerical.short.mean", ".2f"),
    ("long flow mean, network, px", "flow.network.long.mean", ".2f"),
    ("long flow mean, refined, px", "flow.refined.long.mean", ".2f"),
    ("long flow mean, numerical, px", "flow.numerical.long.mean", ".2f"),
    ("s/million, network", "inversion.network.seconds_a_million", ".2f"),
    ("s/million, refined", "inversion.refined.seconds_a_million", ".2f"),
    ("s/million, product", "inversion.product.seconds_a_million", ".2f"),
    ("s/million, numerical", "inversion.numerical.seconds_a_million", ".2f"),
    ("folded", "report.folded_share", ".2%"),
    ("iterations", "report.iterations", ".0f"),
    ("learning, s", "seconds.learning", ".1f"),
    ("train_s", "report.train_s", ".1f"),
    ("alive", "alive", ".0f"),
    ("good, by its own report", "good", ".0f"),
    ("went back to an earlier state", "went_back", ".0f"),
)


# -- settings ------------------------------------------------------------------------------------------------


def overridden(settings: TrainingSettings, assignments: Sequence[str]) -> TrainingSettings:
    """Settings with FIELD=VALUE applied, in order; `weights.flow=0.1` reaches into a nested field.

    Raises:
        ValueError: no such field, or a value that is not of the field's type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"--set takes FIELD=VALUE, got {assignment!r}; write e.g. weights.flow=0.1.")
        settings = _replaced(settings, path, path.split("."), text)
    return settings


def _replaced(values: Any, path: str, steps: Sequence[str], text: str) -> Any:
    names = [field.name for field in dataclasses.fields(values)]
    if steps[0] not in names:
        raise ValueError(f"--set {path}: no field {steps[0]!r}; use one of {', '.join(names)}.")
    old = getattr(values, steps[0])
    nested = dataclasses.is_dataclass(old)
    if nested != (len(steps) > 1):
        raise ValueError(f"--set {path}: name {'a field inside' if nested else 'nothing inside'} {steps[0]}.")
    new = _replaced(old, path, steps[1:], text) if nested else _like(old, path, text)
    return dataclasses.replace(values, **{steps[0]: new})


def _like(old: Any, path: str, text: str) -> Any:
    """Text as a value of the type that a field has."""
    if isinstance(old, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"--set {path} takes true or false, got {text!r}.")
        return text.lower() == "true"
    if not isinstance(old, int | float | str):
        raise ValueError(f"--set {path}: a {type(old).__name__} cannot be set here.")
    try:
        return type(old)(text)
    except ValueError as error:
        raise ValueError(f"--set {path} takes {type(old).__name__}, got {text!r}.") from error


# -- figures -------------------------------------------------------------------------------------------------


def finite(value: Any) -> Any:
    """Plain data with None for each number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def found(run: Mapping[str, Any], path: str) -> float | None:
    """A run's figure by its dotted path; None where it has none. Keys may hold dots themselves."""
    value: Any = run
    while path:
        if not isinstance(value, Mapping):
            return None
        key = next((key for key in value if path == key or path.startswith(f"{key}.")), None)
        if key is None:
            return None
        value, path = value[key], path[len(key) + 1 :]
    return None if value is None else float(value)


def spread(runs: Sequence[Mapping[str, Any]], path: str) -> tuple[float, float, float] | None:
    """Least, median and greatest of a figure over runs; None where no run has it."""
    values = [value for run in runs if (value := found(run, path)) is not None]
    return (min(values), float(np.median(values)), max(values)) if values else None


def summarise(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Each measure's [least, median, greatest] per clip, and the mean over clips of the medians."""
    result: dict[str, Any] = {}
    for _, path, _ in MEASURES:
        clips = {clip: spread(of_clip, path) for clip, of_clip in runs.items()}
        medians = [figures[1] for figures in clips.values() if figures]
        result[path] = {"clips": clips, "mean": float(np.mean(medians)) if medians else None}
    return result


def table(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Measures in rows, clips in columns as `least median greatest` (one figure where there is one run)."""
    rows = [["measure", *runs, "mean of medians"]]
    for (label, _, form), figures in zip(MEASURES, summarise(runs).values(), strict=True):
        if figures["mean"] is None:
            continue
        cells = [_cell(figures["clips"][clip], form, len(of_clip)) for clip, of_clip in runs.items()]
        rows.append([label, *cells, format(figures["mean"], form)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def _cell(figures: tuple[float, float, float] | None, form: str, count: int) -> str:
    if figures is None:
        return "-"
    return format(figures[1], form) if count == 1 else " ".join(format(figure, form) for figure in figures)
