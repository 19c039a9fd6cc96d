"""The results of this Blender: wishes for frames become runs, what comes goes onto strips, old files go away.

    live.request(strip, scene.frame_current)     # this frame at once, the strip's others after it
    session.pump()                                # until live.is_busy() is False

A result is updated by itself when its shot's edits change, whoever changes them.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from . import documents, overlay, placement, results
from .preferences import cache_folder
from .properties import shot_of

if TYPE_CHECKING:
    # Loaded with the first request: registering has no time for it.
    from inve_client.plugin.rendering import Rendering, Run

SHOW_S = 0.004
"""How long putting pictures onto strips may take at a time."""
FOLLOW_S = 0.5
"""Between two looks at where the sources are; in background mode `follow` is called by hand."""

_rendering: Rendering | None = None
_is_started = False
_saved: frozenset[str] = frozenset()
"""Files that the .blend on disk shows: they stay, so that it can be opened without the daemon."""
_superseded: set[str] = set()
_swept: set[str] = set()
_followed_at = 0.0
_follow_from = 0


def rendering() -> Rendering:
    """All runs.

    Raises:
        RefusedError: the add-on is not enabled.
    """
    global _rendering
    if not _is_started:
        raise RefusedError("The INVE add-on is not enabled; enable it in Blender's preferences.")
    if _rendering is None:
        from inve_client.plugin.rendering import Rendering

        _rendering = Rendering(session.current(), _show)
    return _rendering


def is_busy() -> bool:
    """Whether frames are awaited that the daemon can give."""
    return _rendering is not None and _rendering.is_busy


def request(strip: bpy.types.bpy_struct, frame: int, revision: int | None = None) -> None:
    """Have a strip's frames rendered and shown above it: the one at once, then all others. Never waits.

    Asked again while they come, the newest wish wins; frames that are up to date are not asked for again.

    Args:
        strip: the source, or its result.
        frame: the scene's frame that is looked at.
        revision: of the edits, where it is known; else that frame is asked for in any case.

    Raises:
        RefusedError: the strip has no shot, or its frames cannot be told.
    """
    strip = results.source_of(strip)
    shot = shot_of(strip).shot
    if not shot and not shot_of(strip).is_result:
        raise RefusedError(f"The strip {strip.name!r} must be prepared to be rendered; press Prepare first.")
    one = results.link(strip)
    timing = placement.timing_of(one.scene, strip, session.current().shots.get(shot))
    current = timing.to_source(min(max(frame, timing.first), timing.last))
    folder = results.folder_of(one, cache_folder(create=False))
    rendering().request(one.key, shot, folder, timing.shown_frames(), current, revision)


def request_shot(shot: str) -> None:
    """The same for all strips of a shot whose edits have changed, where there are any to be shown."""
    for scene, strip in list(documents.strips_of(shot)):
        document, one = documents.in_memory(strip), results.find(shot_of(strip).link_id)
        if document is None or shot_of(strip).is_result:
            continue
        if one is None or one.result is None:
            is_wanted = any(layer["edits"] for layer in document.layers)
        else:
            is_wanted = one.key in rendering().runs or shot_of(strip).result_revision != document.revision
        if is_wanted:
            _request_quietly(scene, strip, document.revision)


def _request_quietly(
    scene: bpy.types.Scene, strip: bpy.types.bpy_struct, revision: int | None = None
) -> None:
    """What stands in the way goes to the panel: nobody has pressed anything."""
    try:
        request(strip, scene.frame_current, revision)
    except RefusedError as refusal:
        session.current().fail(refusal.problem)


def cancel(strip: bpy.types.bpy_struct) -> bool:
    """Ask for no more of a strip's frames; False where none were awaited."""
    return _rendering is not None and _rendering.cancel(shot_of(results.source_of(strip)).link_id)


def run_of(strip: bpy.types.bpy_struct) -> Run | None:
    """A strip's run, None where it has none in this session."""
    return None if _rendering is None else _rendering.runs.get(shot_of(results.source_of(strip)).link_id)


def standing(strip: bpy.types.bpy_struct) -> str:
    """How a strip's result stands, in a sentence; "" where there is none."""
    one = results.find(shot_of(results.source_of(strip)).link_id)
    if one is None:
        return "The source of this result was removed." if shot_of(strip).is_result else ""
    if one.result is None:
        return ""
    state, shot = session.current(), shot_of(one.source)
    if not state.is_connected:
        return "Offline: the last result is shown."
    known = state.shots.get(shot.shot)
    if known is not None and known.revision != shot.result_revision:
        return "The edits have changed since; Render shows them."
    return "The result shows all edits." if known is not None else ""


def follow() -> bool:
    """Put all results where their sources are by now, in a few milliseconds; False where that is not done."""
    global _follow_from
    until = time.monotonic() + SHOW_S
    ours = [one for one in results.linked() if one.result is not None]
    for turn in range(len(ours)):
        if time.monotonic() > until:
            # The next look begins here.
            _follow_from += turn
            return False
        one = ours[(_follow_from + turn) % len(ours)]
        if results.is_astray(one) and not _bring_back(one, until):
            return False
    return True


def _bring_back(one: results.Linked, until: float) -> bool:
    run = rendering().runs.get(one.key)
    known = session.current().shots.get(shot_of(one.source).shot)
    files = {} if run is None else _names(run)
    try:
        if results.show(one, results.folder_of(one, ""), files, known, until) is None:
            return False
    except RefusedError as refusal:
        session.current().fail(refusal.problem)
        return True
    if run is not None and session.current().is_connected:
        # It may show frames now that it did not before.
        _request_quietly(one.scene, one.source, run.revision)
    return True


def start() -> None:
    """Begin, with the session; called by register."""
    global _is_started
    _is_started = True
    documents.confirmed.append(request_shot)
    if not bpy.app.background:
        session.current().tickers.append(_follow_now_and_then)


def stop() -> None:
    """End; called by unregister before the session goes."""
    global _rendering, _is_started
    _is_started = False
    if _rendering is not None:
        _rendering.close()
        _rendering = None
    _superseded.clear()
    _swept.clear()


def loaded() -> None:
    """After another file was loaded: its results are what they are, and nothing is awaited."""
    global _saved
    if _rendering is not None:
        _rendering.runs.clear()
    _superseded.clear()
    _saved = results.shown_paths()


def saved() -> None:
    """After saving: what the file showed before and shows no more may go."""
    global _saved
    _saved = results.shown_paths()
    if _rendering is not None:
        _remove_superseded(_rendering)


def undone() -> None:
    """After undo or redo, which may have taken away a result and its link that came between two steps."""
    if _rendering is None:
        return
    for key, run in _rendering.runs.items():
        if results.find(key) is None:
            for _, strip in documents.strips_of(run.shot):
                if not shot_of(strip).link_id:
                    shot_of(strip).link_id = key
                    break
    _rendering.show_again()


def _show(key: str, run: Run) -> bool:
    one = results.find(key)
    if one is None:
        rendering().forget(key)
        return True
    files = _names(run)
    if not files:
        return True
    try:
        known = session.current().shots.get(run.shot)
        gone = results.show(one, run.folder, files, known, time.monotonic() + SHOW_S, run.news)
    except RefusedError as refusal:
        rendering().cancel(key)
        session.current().fail(refusal.problem)
        return True
    if gone is None:
        return False
    overlay.shown(one.source, {frame: file.revision for frame, file in run.files.items()})
    _superseded.update(gone, run.superseded)
    run.superseded.clear()
    run.news = set()
    shot = shot_of(one.source)
    if run.is_complete and shot.result_revision != run.revision:
        shot.result_revision = run.revision
    if run.left == 0:
        _remove_superseded(rendering(), run.folder)
    return True


def _names(run: Run) -> dict[int, str]:
    return {frame: file.name for frame, file in run.files.items()}


def _remove_superseded(to: Rendering, folder: str = "") -> None:
    keep = _saved | results.shown_paths()
    # What is on its way to a strip is shown next.
    keep |= {os.path.join(run.folder, file.name) for run in to.runs.values() for file in run.files.values()}
    sweep = folder if folder not in _swept else ""
    to.remove_files(sorted(_superseded - keep), sweep, frozenset(map(os.path.basename, keep)))
    _swept.update({folder} - {""})
    _superseded.intersection_update(keep)


def _follow_now_and_then() -> bool:
    global _followed_at
    now = time.monotonic()
    if now - _followed_at < FOLLOW_S or any(window.modal_operators for window in _windows()):
        return False
    _followed_at = now
    follow()
    return False


def _windows() -> list[bpy.types.Window]:
    manager = bpy.context.window_manager
    # 4.1 and older do not tell which tools are at work.
    return [
        one for one in (manager.windows if manager is not None else ()) if hasattr(one, "modal_operators")
    ]
