"""How far things are, in words: for panels and status lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .messages import Job, Shot
    from .rendering import Run
    from .session import Session

_STAGES = {
    "reading": "Reading pictures",
    "flow": "Following motion",
    "learning": "Learning",
    "inverse": "Learning the way back",
    "baking": "Baking",
    "rendering": "Rendering",
}


def time_left(seconds: float) -> str:
    """A duration for people: 40 s, 3 min, 1 h 20 min."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def progress(job: Job | None) -> str:
    """What a job is at, and how long it will take; None is one that the daemon has not made yet."""
    if job is None or job.ended:
        return "Opening the shot"
    if job.state == "queued":
        return "Waiting for its turn"
    if job.state == "cancelling":
        return "Cancelling"
    stage = _STAGES.get(job.stage, job.stage or "Starting")
    share = f" {job.share:.0%}" if job.iterations > 0 else ""
    return f"{stage}{share}" + ("" if job.seconds_left is None else f", {time_left(job.seconds_left)} left")


def frames_left(run: Run) -> str:
    """How many frames of a run are to come."""
    return f"Frame {run.total - run.left + 1} of {run.total}" if run.total > 1 else "The current frame"


def standing(session: Session, shot: str, has_result: bool) -> str:
    """How the shot of a strip or node stands, in a sentence.

    Args:
        session: what is known of the daemon.
        shot: its name; "" where nothing was ever prepared.
        has_result: whether there are edited frames to show.
    """
    if not session.is_connected:
        return "Offline: the last result is shown." if has_result else "Offline."
    if not shot:
        return "Not prepared yet."
    job = session.job_of(shot)
    is_busy = shot in session.opening or (job is not None and not job.ended)
    return _of_daemon(session.shots.get(shot), is_busy)


def _of_daemon(known: Shot | None, is_busy: bool) -> str:
    if is_busy and (known is None or not known.trained):
        return "Being prepared."
    if known is None:
        return "This daemon does not know the shot; press Prepare."
    if not known.trained:
        return "Not learned yet; press Prepare."
    if known.outcome == "poor":
        return "Edits will not hold: " + " ".join(known.warnings)
    quality = "" if known.psnr_db is None else f", {known.psnr_db:.1f} dB"
    return f"Ready{quality}." if known.final else f"Ready to paint, getting sharper{quality}."
