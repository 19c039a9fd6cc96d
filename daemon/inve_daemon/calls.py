"""The commands that talk to a daemon. Each returns what `--json` prints, and says the rest."""

import contextlib
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from inve_client import Client
from inve_client.errors import CallError, InveError, MediaError, Unreachable
from inve_client.watching import ENDED_STATES
from inve_daemon.connecting import Target, daemon_for, running_daemon
from inve_daemon.progress import ProgressLine, duration
from inve_daemon.roots import output_root, own_roots

Say = Callable[[str], None]
CANCEL_S = 20.0
_GENERIC_FOLDERS = frozenset(
    {"frames", "plate", "plates", "images", "rgb", "exr", "png", "jpg", "jpeg", "source"}
)


def train(
    target: Target,
    frames: str,
    mattes: tuple[str, ...],
    *,
    flow: str | None,
    frame_range: tuple[int, int] | None,
    working_size: int | None,
    name: str | None,
    preset: str,
    seed: int,
    say: Say,
) -> dict[str, Any]:
    """`inve-daemon train`."""
    shot = shot_name(frames) if name is None else name
    named = (frames, *mattes, *([] if flow is None else [flow]))
    with daemon_for(target, own_roots(named)) as client:
        is_new = all(known["shot"] != shot for known in client.list_shots())
        opened = client.open_shot(
            shot,
            os.path.abspath(frames),
            [os.path.abspath(pattern) for pattern in mattes],
            frame_range,
            flow=None if flow is None else os.path.abspath(flow),
        )
        given = "" if flow is None else ", with flow of its own"
        say(f"Shot {shot}: {len(opened['frames'])} frames of {opened['width']}x{opened['height']}{given}.")
        job = client.train(shot, preset=preset, working_size=working_size, seed=seed)
        try:
            result = _follow(client, job)
        except MediaError:
            # Headers were fine, a picture was not: the call was wrong and leaves no shot behind.
            if is_new:
                client.delete_shot(shot)
            raise
    for line in outcome_lines(shot, result):
        say(line)
    return result


def put_edits(target: Target, shot: str, edits: Path, *, say: Say) -> dict[str, Any]:
    """`inve-daemon edit SHOT EDITS.json`."""
    from inve_daemon import documents, editing

    stack, files = documents.read_edits(edits)
    with daemon_for(target, tuple(files)) as client:
        answer = client.put_edits(shot, editing.plain(stack))
    say(f"Shot {shot} has {len(answer['ids'])} edits now, revision {answer['revision']}.")
    return {"shot": shot, "edits": len(answer["ids"]), **answer}


def export_edits(target: Target, shot: str, out: Path, *, say: Say) -> dict[str, Any]:
    """`inve-daemon edit SHOT --out EDITS.json`."""
    from inve_daemon import documents

    documents.output_document(out)
    with daemon_for(target) as client:
        described = client.describe_shot(shot, with_edits=True)
        textures = documents.write_edits(client, described["stack"], out)
    count = sum(len(layer["edits"]) for layer in described["stack"]["layers"])
    beside = f", its {len(textures)} textures in {textures[0].parent}" if textures else ""
    say(f"The {count} edits of shot {shot} are in {out}{beside}.")
    return {
        "shot": shot,
        "edits": count,
        "revision": described["revision"],
        "out": str(out),
        "textures": [str(path) for path in textures],
    }


def step_edits(target: Target, shot: str, word: str, *, say: Say) -> dict[str, Any]:
    """`inve-daemon edit SHOT --undo` and `--redo`.

    Args:
        word: "undo" or "redo".
    """
    with daemon_for(target) as client:
        answer = client.undo(shot) if word == "undo" else client.redo(shot)
    done = "taken back" if word == "undo" else "brought back"
    say(f"A change of the edits of shot {shot} is {done}, revision {answer['revision']}.")
    return {"shot": shot, **answer}


def copy_edits(target: Target, shot: str, to: str, frame_offset: int, *, say: Say) -> dict[str, Any]:
    """`inve-daemon edit SHOT --copy-to SHOT`."""
    with daemon_for(target) as client:
        answer = client.copy_edits(shot, to, frame_offset=frame_offset)
    say(f"Shot {to} has the {len(answer['ids'])} edits of {shot} now, revision {answer['revision']}.")
    return {"shot": shot, "to": to, "edits": len(answer["ids"]), **answer}


def track(target: Target, shot: str, points: Path, out: Path | None, *, say: Say) -> dict[str, Any]:
    """`inve-daemon track`."""
    from inve_core.points import parse_points
    from inve_daemon import documents

    if out is not None:
        documents.output_file(out)
    wanted = [msgspec.structs.asdict(point) for point in parse_points(documents.read_file(points))]
    with daemon_for(target) as client:
        tracks = client.track(shot, wanted)
    if out is None:
        return tracks
    documents.write_file(out, msgspec.json.encode(tracks))
    say(f"{len(tracks['tracks'])} points on {len(tracks['frames'])} frames are in {out}.")
    return {"shot": shot, "points": len(tracks["tracks"]), "frames": len(tracks["frames"]), "out": str(out)}


def render(
    target: Target,
    shot: str,
    out: str,
    *,
    frame_range: tuple[int, int] | None,
    scale: float,
    layers: bool,
    bits: int | None,
    say: Say,
) -> dict[str, Any]:
    """`inve-daemon render`."""
    with daemon_for(target, (output_root(out),)) as client:
        frames = None if frame_range is None else list(range(frame_range[0], frame_range[1] + 1))
        job = client.render_to(shot, os.path.abspath(out), frames, scale=scale, layers=layers, bits=bits)
        result = _follow(client, job)
    say(
        f"Wrote {result['frames']} frames, {result['first_path']} to {os.path.basename(result['last_path'])}."
    )
    return result


def shots(target: Target, *, say: Say) -> dict[str, Any]:
    """`inve-daemon shots`."""
    with daemon_for(target) as client:
        known = client.list_shots()
    for shot in known:
        state = "learned" if shot["final"] else "being learned" if shot["trained"] else "not learned"
        span = f"{shot['first_frame']}-{shot['last_frame']}"
        say(f"{shot['shot']}  {span}  {shot['width']}x{shot['height']}  {state}  revision {shot['revision']}")
    if not known:
        say("No shots yet; make one with `inve-daemon train FRAMES`.")
    return {"shots": known}


def jobs(target: Target, *, say: Say) -> dict[str, Any]:
    """`inve-daemon jobs`."""
    with daemon_for(target) as client:
        known = client.list_jobs()
    for job in known:
        progress, error = job["progress"], job["error"]
        how = f"{progress['iteration']}/{progress['iterations']}" if job["state"] == "running" else ""
        if error is not None:
            how = error["message"]
        say(f"{job['id']}  {job['kind']}  {job['shot']}  {job['state']} {how}".rstrip())
    if not known:
        say("No jobs yet.")
    return {"jobs": known}


def cancel(target: Target, job: str, *, say: Say) -> dict[str, Any]:
    """`inve-daemon cancel`."""
    with daemon_for(target) as client:
        answer = client.cancel(job)
    say(f"Job {job} is {answer['state']}.")
    return answer


def delete(target: Target, shot: str, *, say: Say) -> dict[str, Any]:
    """`inve-daemon delete`."""
    with daemon_for(target) as client:
        answer = client.delete_shot(shot)
    say(f"Shot {shot} is forgotten; its pictures are where they were.")
    return answer


def status(connect: str | None, *, say: Say) -> dict[str, Any]:
    """`inve-daemon status`; it never starts a daemon."""
    client = running_daemon() if connect is None else Client(connect, name="inve-daemon")
    if client is None:
        raise Unreachable(
            "No daemon is running; start one with `inve-daemon serve` or name one with --connect."
        )
    with client:
        answer = client.status(timeout_s=5.0)
        endpoint = str(client.endpoint)
    worker, counts = answer["worker"], answer["jobs"]
    say(
        f"Daemon {answer['version']} at {endpoint}, process {answer['pid']}, "
        f"up {duration(answer['uptime_s'])}."
    )
    say(
        f"Store {answer['store']}: {answer['shots']} shots; "
        f"jobs: {counts['running']} running, {counts['queued']} waiting."
    )
    say(
        f"Worker {worker['state']} on {worker['device'] or answer['device']}; "
        f"roots: {', '.join(answer['roots']) or 'none'}."
    )
    # A daemon of an earlier release does not say.
    backend = worker.get("backend") or "not yet known"
    say("; ".join([f"Backend {backend}", *worker.get("passed_over", [])]) + ".")
    return {"endpoint": endpoint, **answer}


def shot_name(frames: str) -> str:
    """A shot's name from its frames' pattern: the file's, or the folder's where the file is all number.

    Raises:
        CallError: nothing is left of it to be a name.
    """
    path = Path(os.path.abspath(frames))
    stem = re.sub(r"[#*?]+|%0?\d*d|\[[^\]]*\]", "", path.stem if path.suffix and not path.is_dir() else "")
    candidates = [
        stem,
        *([] if path.suffix and not path.is_dir() else [path.name]),
        *(parent.name for parent in path.parents),
    ]
    for candidate in candidates:
        cleaned = re.sub(r"[^A-Za-z0-9._-]+", "_", candidate).strip("._-")[:64]
        if cleaned and cleaned.lower() not in _GENERIC_FOLDERS and not cleaned.isdigit():
            return cleaned
    raise CallError(f"No name for the shot can be made of {frames!r}; give it one with --name.")


def _follow(client: Client, job: str) -> dict[str, Any]:
    """Follow a job with a progress line; Ctrl-C cancels it."""
    with contextlib.closing(ProgressLine()) as line:
        try:
            return client.wait_job(job, on_progress=line)
        except KeyboardInterrupt:
            _cancel_and_wait(client, job)
            raise


def _cancel_and_wait(client: Client, job: str) -> None:
    end = time.monotonic() + CANCEL_S
    # The interrupt is what is reported; a daemon that is gone has nothing left to cancel.
    with contextlib.suppress(InveError):
        state = client.cancel(job)["state"]
        while state not in ENDED_STATES and time.monotonic() < end:
            time.sleep(0.1)
            state = client.describe_job(job)["state"]


def outcome_lines(shot: str, result: dict[str, Any]) -> list[str]:
    """What is told of a training that has ended, and of what is wrong with it."""
    verdict = ", but poorly" if result.get("outcome") == "poor" else ""
    took = duration(result["total_s"])
    warnings = [f"Warning: {warning}" for warning in result.get("warnings", [])]
    return [f"Learned {shot} in {took}{verdict}: {_figures(result)}.", *warnings]


def _figures(result: dict[str, Any]) -> str:
    """What a training reached, in words; what could not be measured is left out."""
    told = [f"{result['iterations']} iterations on {result['device']}"]
    for name, text in (
        ("psnr_db", "PSNR {:.1f} dB"),
        ("flow_error_px", "flow error {:.2f} px"),
        ("matte_iou", "matte IoU {:.3f}"),
    ):
        if result.get(name) is not None:
            told.append(text.format(result[name]))
    return ", ".join(told)
