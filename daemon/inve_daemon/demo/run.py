"""The demo from beginning to end."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inve_client import Client
from inve_client.errors import Cancelled, Interrupted
from inve_client.watching import ENDED_STATES
from inve_core.media import Picture, read_picture, write_movie
from inve_daemon.demo import measures
from inve_daemon.demo.inspection import Findings, Inspector
from inve_daemon.demo.pictures import contact_sheet, grey, plot_convergence, write_png
from inve_daemon.demo.placement import Placement, place
from inve_daemon.demo.report import Figure, table, write_json
from inve_daemon.demo.results import to_srgb8
from inve_daemon.demo.serving import serving
from inve_daemon.demo.stack import draw_logo, make_stack
from inve_daemon.demo.stage import SYNTHETIC_FRAMES, SYNTHETIC_SIZE, Stage, clip_stage, synthetic_stage
from inve_daemon.demo.writing import write_file
from inve_daemon.progress import ProgressLine
from inve_daemon.roots import own_roots

SHEET_COLUMNS = 5
MOVIE_FPS = 12.0
ATLAS_LONG_EDGE = 800
# What the project asks of the synthetic clip and, for time, of a clip of fifty frames; two cores, no GPU.
LEARNING_S = 90.0
TOTAL_S = {"synthetic": 300.0, "clip": 600.0}


@dataclass
class Answers:
    """What the daemon said."""

    training: dict[str, Any] = field(default_factory=dict)
    device: str = ""
    points: list[dict[str, Any]] = field(default_factory=list)
    tracks: dict[str, Any] = field(default_factory=dict)
    atlases: dict[str, Path] = field(default_factory=dict)
    timings_s: dict[str, float] = field(default_factory=dict)


class Narrator:
    """Prints lines with the seconds since it was made."""

    def __init__(self, echo: Callable[[str], None]) -> None:
        self._echo = echo
        self._started = time.perf_counter()

    @property
    def elapsed_s(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started

    def say(self, text: str) -> None:
        """One line, with the time."""
        self._echo(f"[{self.elapsed_s:6.1f} s] {text}")


def run_demo(
    *,
    frames: str | None,
    mattes: str | None,
    out: Path,
    preset: str,
    device: str,
    echo: Callable[[str], None],
) -> dict[str, Any]:
    """Prepare a clip, edit it through a real daemon, and measure what came out.

    Args:
        frames: pattern of the user's clip; the synthetic clip is made where it is None.
        mattes: pattern of its mattes, if it has any.
        out: folder for everything that the demo makes; what an earlier demo left there is replaced.
        preset: how to learn.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        echo: prints one line.

    Returns:
        What is in report.json.

    Raises:
        CoreError: a clip that cannot be used, a disk that is full.
        InveError: anything that the daemon refuses or fails at.
    """
    narrator = Narrator(echo)
    out = out.absolute()
    if frames is None:
        count, (width, height) = SYNTHETIC_FRAMES, SYNTHETIC_SIZE
        narrator.say(f"making a synthetic clip of {count} frames, {width}x{height}, in {out / 'source'}")
        stage = synthetic_stage(out / "source")
    else:
        stage = clip_stage(frames, mattes)
    source = stage.source
    placement = place(source.frames, source.width, source.height, stage.matte)
    logo = out / "logo.png"
    draw_logo(logo)
    has_object = len(source.video_layers) > 1
    stack = make_stack(placement, logo, source.width, source.height, has_object=has_object)
    write_file(out / "edits.json", json.dumps(stack, indent=2).encode())
    edited = _clear(out / "edited")

    patterns = [source.frames_pattern, *source.matte_patterns]
    with serving(out / "store", (str(out), *own_roots(patterns)), device, out / "daemon.log") as client:
        narrator.say(f"daemon ready on {client.endpoint}, its log is {out / 'daemon.log'}")
        answers = _converse(client, stage, stack, preset, out, edited, narrator)

    narrator.say("reading the frames back and measuring them")
    sheet_frames = _spread(source.frames, placement.frame)
    inspector = Inspector(stage, stack, placement.frame, edited, sheet_frames)
    write_movie(out / "demo.mp4", (inspector.look(frame) for frame in source.frames), MOVIE_FPS)
    write_png(out / "contact_sheet.png", _sheet(stage, placement, inspector, answers))
    made = ["contact_sheet.png", "demo.mp4", "edited/", "edits.json", "tracks.json", "report.json"]
    try:
        plot_convergence(
            out / "convergence.png",
            answers.training.get("history", []),
            f"{_title(stage)}, preset {preset}, {answers.device}",
        )
        made.insert(2, "convergence.png")
    except ImportError:
        narrator.say("no convergence.png: matplotlib is missing (pip install 'inve[demo]')")
    answers.timings_s["total"] = narrator.elapsed_s
    figures = _figures(stage, answers, inspector.findings)
    report = _report(stage, placement, preset, answers, inspector.findings, figures)
    write_json(out / "report.json", report)
    for line in table(figures):
        echo(line)
    echo("Look at:")
    for name in made:
        echo(f"  {out / name}")
    return report


# --- with the daemon ----------------------------------------------------------------------------------------


def _converse(
    client: Client,
    stage: Stage,
    stack: Mapping[str, Any],
    preset: str,
    out: Path,
    edited: str,
    narrator: Narrator,
) -> Answers:
    """Everything that is asked of the daemon, in an artist's order."""
    source, answers = stage.source, Answers()
    answers.device = str(client.hello().get("device", ""))
    _forget(client, stage.shot)
    span = (source.frames[0], source.frames[-1])
    client.open_shot(stage.shot, source.frames_pattern, source.matte_patterns, span)
    narrator.say(f"opened {_title(stage)}; learning it, preset {preset}")
    with _timed(answers, "prepare"):
        answers.training = _wait(client, client.train(stage.shot, preset=preset))
    trained = answers.training
    answers.device = str(trained.get("device", answers.device))
    narrator.say(f"learnt {trained.get('iterations')} iterations in {trained.get('train_s', 0.0):.1f} s")

    client.put_edits(stage.shot, stack)
    narrator.say("put two strokes, two logos and a grade on one frame")
    frames = source.frames
    if stage.truth is not None:
        answers.points = measures.query_points(stage.truth, (frames[0], frames[len(frames) // 2], frames[-1]))
    else:
        answers.points = _points_to_follow(stack)
    with _timed(answers, "track"):
        answers.tracks = client.track(stage.shot, answers.points)
    write_file(out / "tracks.json", json.dumps(answers.tracks).encode())
    narrator.say(f"followed {len(answers.points)} points; rendering {len(frames)} frames")
    with _timed(answers, "render"):
        _wait(client, client.render_to(stage.shot, edited, layers=True))
    for layer in source.video_layers:
        path = out / f"atlas.{layer}.exr"
        exr = client.view_atlas(stage.shot, layer, with_edits=True, long_edge=ATLAS_LONG_EDGE)
        write_file(path, exr)
        answers.atlases[layer] = path
    return answers


def _forget(client: Client, shot: str) -> None:
    """Delete what an earlier demo in this folder left, even one that was killed in the middle of a job."""
    if all(known["shot"] != shot for known in client.list_shots()):
        return
    for job in client.list_jobs():
        if job["shot"] == shot and job["state"] not in ENDED_STATES:
            client.cancel(job["id"])
            with suppress(Cancelled, Interrupted):
                client.wait_job(job["id"])
    client.delete_shot(shot)


def _wait(client: Client, job: str) -> dict[str, Any]:
    with closing(ProgressLine()) as line:
        return client.wait_job(job, on_progress=line)


@contextmanager
def _timed(answers: Answers, name: str) -> Iterator[None]:
    """Note how many seconds a block takes."""
    started = time.perf_counter()
    yield
    answers.timings_s[name] = time.perf_counter() - started


def _points_to_follow(stack: Mapping[str, Any]) -> list[dict[str, Any]]:
    """On a clip without truth: where the logos were put."""
    logos = [edit for layer in stack["layers"] for edit in layer["edits"] if edit["type"] == "texture"]
    return [
        {"id": f"logo{number}", **{key: logo[key] for key in ("frame", "x", "y", "video_layer")}}
        for number, logo in enumerate(logos)
    ]


def _clear(folder: Path) -> str:
    """Remove the frames of an earlier demo; returns the pattern for new ones."""
    for old in folder.glob("frame.*.exr"):
        old.unlink()
    return str(folder / "frame.%04d.exr")


# --- what came out ------------------------------------------------------------------------------------------


def _figures(stage: Stage, answers: Answers, found: Findings) -> list[Figure]:
    """Everything that was measured, with the targets where the clip has them."""
    figures: list[Figure] = []
    synthetic = stage.truth is not None
    if stage.truth is not None:
        points = measures.point_errors(stage.truth, answers.points, answers.tracks)
        px = points.distances_px
        figures += [
            Figure("point_error_median_px", "point tracks: median error", float(np.median(px)), "px", 1.5),
            Figure("point_error_p95_px", "point tracks: 95 % are within", float(np.percentile(px, 95)), "px"),
            Figure(
                "visibility_right",
                "point tracks: visibility right",
                points.visibility_right,
                "",
                0.95,
                "at least",
            ),
            *(
                Figure(f"point_error_{name}_px", f"point tracks: median on the {name}", value, "px")
                for name, value in points.by_layer_px.items()
            ),
        ]
    if found.matte_iou:
        # On a clip of the user's the mattes are what was learned from, not the truth.
        iou_target, outside_target = (0.97, 0.02) if synthetic else (None, None)
        figures += [
            Figure(
                "matte_iou_mean",
                "matte IoU, mean",
                float(np.mean(found.matte_iou)),
                "",
                iou_target,
                "at least",
            ),
            Figure("matte_iou_least", "matte IoU, worst frame", min(found.matte_iou), "", None, "at least"),
            Figure(
                "stroke_outside_matte_max",
                "object stroke outside the matte, worst frame",
                max(found.stroke_outside),
                "",
                outside_target,
            ),
        ]
    if found.drawn_offsets_px:
        worst = max(found.drawn_offsets_px)
        figures.append(Figure("stroke_drawn_max_px", "stroke centre where drawn, worst", worst, "px", 0.5))
    if found.carried_offsets_px:
        carried = np.array(found.carried_offsets_px)
        figures += [
            Figure(
                "stroke_carried_median_px", "stroke centre elsewhere, median", float(np.median(carried)), "px"
            ),
            Figure(
                "stroke_carried_p95_px",
                "stroke centre elsewhere, 95 % within",
                float(np.percentile(carried, 95)),
                "px",
            ),
        ]
    untouched = found.untouched_pixels / max(1, found.pixels)
    seconds = answers.timings_s
    learning = float(answers.training.get("train_s", float("nan")))
    return [
        *figures,
        Figure("changed_pixels", "untouched pixels with other bits", found.changed_pixels, "", 0),
        Figure("untouched_share", "share of pixels untouched", untouched),
        Figure("learning_s", "learning", learning, "s", LEARNING_S if synthetic else None),
        Figure("prepare_s", "from opened to editable", seconds["prepare"], "s"),
        Figure("render_s", "rendering all frames with layers", seconds["render"], "s"),
        Figure("total_s", "the whole demo", seconds["total"], "s", TOTAL_S[stage.shot]),
    ]


def _report(
    stage: Stage,
    placement: Placement,
    preset: str,
    answers: Answers,
    found: Findings,
    figures: list[Figure],
) -> dict[str, Any]:
    source = stage.source
    return {
        "clip": {
            "kind": stage.shot,
            "frames": [source.frames[0], source.frames[-1]],
            "width": source.width,
            "height": source.height,
            "video_layers": list(source.video_layers),
            "drawn_frame": placement.frame,
        },
        "preset": preset,
        "device": answers.device,
        "passed": all(figure.passed is not False for figure in figures),
        "figures": [figure.to_dict() for figure in figures],
        "matte_iou": dict(zip(map(str, source.frames), found.matte_iou, strict=False)),
        "stroke_outside_matte": dict(zip(map(str, source.frames), found.stroke_outside, strict=False)),
        "timings_s": answers.timings_s,
        "training": answers.training,
    }


def _sheet(stage: Stage, placement: Placement, inspector: Inspector, answers: Answers) -> NDArray[np.uint8]:
    frames = sorted(inspector.sheet)
    columns = [f"frame {frame}" + (" (drawn here)" if frame == placement.frame else "") for frame in frames]
    pictures = [inspector.sheet[frame] for frame in frames]
    rows = {"source": [one[0] for one in pictures], "edited": [one[1] for one in pictures]}
    mattes = [one[2] for one in pictures if one[2] is not None]
    below = {"opacity": [grey(matte) for matte in mattes]} if mattes else {}
    atlases = {name: _without_border(read_picture(path)) for name, path in answers.atlases.items()}
    trained = answers.training
    title = f"{_title(stage)}: {trained.get('iterations')} iterations in {trained.get('train_s', 0.0):.0f} s"
    return contact_sheet(title, columns, rows, ("atlas with\nedits", atlases), below)


def _without_border(atlas: Picture) -> NDArray[np.uint8]:
    """An atlas to look at, cut to what it holds."""
    rgba = atlas.display_rgba()
    rows, columns = np.flatnonzero(rgba[..., 3].any(1)), np.flatnonzero(rgba[..., 3].any(0))
    if not len(rows):
        return to_srgb8(rgba[..., :3])
    return to_srgb8(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1, :3])


def _spread(frames: tuple[int, ...], drawn: int) -> list[int]:
    """Frames for the contact sheet: evenly spread, the drawn one among them."""
    places = np.linspace(0, len(frames) - 1, min(SHEET_COLUMNS, len(frames))).round().astype(int)
    chosen = {frames[place] for place in places}
    if drawn not in chosen:
        inner = sorted(chosen)[1:-1] or sorted(chosen)
        chosen.remove(min(inner, key=lambda frame: abs(frame - drawn)))
        chosen.add(drawn)
    return sorted(chosen)


def _title(stage: Stage) -> str:
    source = stage.source
    name = (
        "the synthetic clip" if stage.truth is not None else Path(source.frames_pattern).parent.name or "clip"
    )
    span = f"frames {source.frames[0]}-{source.frames[-1]}"
    return f"{name}, {span}, {source.width}x{source.height}"
