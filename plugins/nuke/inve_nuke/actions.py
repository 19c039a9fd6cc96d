"""What the buttons of an INVE node do, and what scripts without a window call: one function each.

    node = nuke.toNode("INVE1")
    actions.prepare(node, timeout_s=3600)     # waits until the shot is learned
    actions.send_edits(node, timeout_s=60)
    actions.render(node, timeout_s=3600)

Without a timeout each asks and returns; answers come with the session's pump. What cannot be done is raised
as RefusedError with its sentence; where there is a window and no timeout, a dialog shows it instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Optional

from inve_client.plugin import preparation
from inve_client.plugin.messages import ConnectionState, RefusedError, Train
from inve_nuke import sending, shots, waiting

if TYPE_CHECKING:
    from inve_client.plugin.document import EditDocument
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode
    from inve_nuke.shots import Shots

Work = Callable[["Shots", "InveNode", "waiting.Waiting"], None]
Button = Callable[..., None]


def _button(work: Work) -> Button:
    """Give a button's work the node's live half, and its refusal to whoever asked."""

    @functools.wraps(work)
    def pressed(host_node: HostNode, timeout_s: Optional[float] = None) -> None:
        live, shot = shots.current(), ""
        try:
            node = live.of(host_node)
            shot = live.statuses.shot_of(node)
            live.session.dismiss(shot)
            work(live, node, waiting.Waiting(live.session, shot, timeout_s))
        except RefusedError as refusal:
            live.session.fail(refusal.problem, shot)
            if timeout_s is not None or not live.host.is_gui:
                raise
            live.host.message(refusal.problem.message)
        finally:
            live.hurry()

    return pressed


@_button
def connect(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Connect to the node's daemon, in the place of another one; where that is so, nothing is done."""
    session = live.session
    is_on = session.connection.state in (ConnectionState.CONNECTED, ConnectionState.CONNECTING)
    if not is_on or live.endpoint != node.settings().endpoint:
        live.connect(node.key)
    wait.until(lambda: session.is_connected, "Connecting")


@_button
def prepare(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Have the daemon learn the node's plate; what is no file is rendered first, with Nuke's own progress."""
    from inve_nuke import opening

    _need_daemon(live, node)
    wanted = opening.of(live.host, node, live.log.say)
    settings = node.settings()
    before = live.session.job_of(wanted.shot)
    preparation.prepare(live.session, wanted, Train(wanted.shot, settings.preset, settings.working_size))

    def is_learned() -> bool:
        job = live.session.job_of(wanted.shot)
        if wanted.shot in live.session.opening or job is None or not job.ended:
            return False
        return job is not before and (job.state != "done" or live.session.shots[wanted.shot].final)

    wait.until(is_learned, f"Preparing {wanted.shot!r}")
    job = live.session.job_of(wanted.shot)
    if wait.is_on and job is not None and job.state != "done":
        raise RefusedError(
            f"Preparing {wanted.shot!r} must end by itself, got {job.state}; prepare it again."
        )


@_button
def cancel(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """End what is being learned or rendered for the node."""
    was_learning = preparation.cancel(live.session, node.settings().shot)
    if not live.cancel_run(node.key) and not was_learning:
        raise RefusedError(f"{node.name} must be learning or rendering to be cancelled; it is not.")
    wait.until(lambda: not live.is_busy, "Cancelling")


@_button
def send_edits(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Bring the shot's edits in line with what is painted; only what differs is sent.

    What cannot be carried is refused, element by element, after all else was sent.
    """
    from inve_nuke import painting

    _need_daemon(live, node)
    painted = painting.of(live.host, node)
    document = _document(live, node)
    # What was held, and what the daemon has meanwhile: the new steps build on it.
    document.release()
    live.send(document)
    live.paint.want(document, node, painted)
    wait.until(lambda: not live.paint.is_waiting(node), "Fetching the edits")
    wait.until(lambda: not document.pending, "Sending the edits")
    if painted.refusals:
        raise RefusedError(" ".join(painted.refusals), "bad_edit")


@_button
def render(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Have the node's frames rendered with all edits, and shown by the Read inside."""
    _need_daemon(live, node)
    _document(live, node)
    run = live.frames.request(node)
    wait.until(lambda: live.frames.is_shown(node.key, run), "Rendering")


@_button
def track_selected(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Follow the points of the selected Tracker, or the node's own, and make a node of their tracks."""
    from inve_nuke import tracking

    _need_daemon(live, node)
    shot = _document(live, node).shot
    wait.until(tracking.follow(live, node, shot), "Tracking")


@_button
def export(live: Shots, node: InveNode, wait: waiting.Waiting) -> None:
    """Have the daemon export the shot's maps, where it offers that."""
    from inve_client.plugin import exporting

    _need_daemon(live, node)
    answered: list[bool] = []
    shot = _document(live, node).shot
    exporting.export(live.session, shot, "Track selected", answered=lambda: answered.append(True))
    wait.until(lambda: bool(answered), "Exporting")


def _document(live: Shots, node: InveNode) -> EditDocument:
    """The edits of the node's shot.

    Raises:
        RefusedError: the daemon does not know that; where it has not told yet, what is asked tells.
    """
    shot = node.settings().shot
    if live.paint.is_unknown(shot):
        raise sending.unprepared(node.name, shot)
    return live.document_of(node)


def _need_daemon(live: Shots, node: InveNode) -> None:
    """Connect where nothing is; what is asked then waits for the daemon, for a few seconds.

    Raises:
        RefusedError: the connection is to another daemon than the node's.
    """
    wanted = node.settings().endpoint
    if live.session.connection.state is ConnectionState.OFF:
        live.connect(node.key)
    elif live.endpoint != wanted:
        ours, its = (one or "the default one" for one in (live.endpoint, wanted))
        raise RefusedError(
            f"{node.name} must have the daemon that Nuke is connected to, {ours}, got {its}; press Connect "
            f"on it to change over."
        )
