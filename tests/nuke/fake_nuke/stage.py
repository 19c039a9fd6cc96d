"""What a test does to the fake Nuke from outside: nothing of this is in Nuke, so no plugin can reach for it.

One stage is one session: its script, selection, undo list, callbacks, the calls that wait for the main
thread, and what was shown to the artist.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Callable


class FakeNukeError(AssertionError):
    """The plugin did what Nuke has no word for, or what would hang it: a mistake in the plugin."""


@dataclass
class Stage:
    """The state of one fake session.

    Attributes:
        root: the script's root node.
        groups: the groups that nodes are made in, the innermost last.
        this: the nodes that a callback or button runs for, the innermost last.
        selected: the selected nodes, in the order of their selection.
        callbacks: those of each kind, as (call, args, kwargs, class, node).
        main_thread: the thread that stands for Nuke's.
        waiting: calls for the main thread.
        messages: what `nuke.message` and its like have shown.
        printed: what `nuke.tprint` has printed.
        answer: what `nuke.ask` gives.
        cancel_after: how many frames a render writes before the artist cancels it; None lets it end.
        cancelled: whether progress bars have been cancelled.
        progress: (title, percent, message) of each progress that was shown.
        rendered: (file, frame) of all that was written.
        commands: what is in the menus, by path.
        panels: what was registered as (widget, name, id).
        saved_as: the script's file.
        modified: whether the script is other than its file.
        tells_all_changes: whether knobChanged comes with each change, as in Nuke 17.1, and not only with the
            artist's in an open panel.
    """

    root: Any = None
    groups: list[Any] = field(default_factory=list)
    this: list[Any] = field(default_factory=list)
    selected: list[Any] = field(default_factory=list)
    callbacks: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    main_thread: int = field(default_factory=threading.get_ident)
    waiting: queue.Queue[Callable[[], None]] = field(default_factory=queue.Queue)
    messages: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    answer: bool = True
    cancel_after: int | None = None
    cancelled: bool = False
    progress: list[tuple[str, int, str]] = field(default_factory=list)
    rendered: list[tuple[str, int]] = field(default_factory=list)
    commands: dict[str, Any] = field(default_factory=dict)
    panels: list[tuple[str, str, str]] = field(default_factory=list)
    saved_as: str = ""
    undo_steps: list[tuple[str, list[Callable[[], None]]]] = field(default_factory=list)
    undo_open: list[tuple[str, list[Callable[[], None]]]] = field(default_factory=list)
    undo_disabled: int = 0
    modified: bool = False
    tells_all_changes: bool = False

    def journal(self, inverse: Callable[[], None], what: str) -> None:
        """Note how to take back what was just done: in the open undo step, or as a step of its own."""
        self.modified = True
        if self.undo_disabled:
            return
        if self.undo_open:
            self.undo_open[-1][1].append(inverse)
        else:
            self.undo_steps.append((what, [inverse]))

    def take_back(self, inverses: list[Callable[[], None]]) -> None:
        """Run the inverses, the newest first, without noting them."""
        self.undo_disabled += 1
        try:
            for inverse in reversed(inverses):
                inverse()
        finally:
            self.undo_disabled -= 1

    @contextlib.contextmanager
    def running_for(self, node: Any) -> Iterator[None]:
        """`nuke.thisNode()` is this node within."""
        self.this.append(node)
        try:
            yield
        finally:
            self.this.pop()

    def check_main_thread(self, what: str) -> None:
        """Nuke's nodes belong to the main thread."""
        if threading.get_ident() != self.main_thread:
            raise FakeNukeError(f"{what} was called off the main thread; use executeInMainThread.")

    def run_main_thread(self, timeout_s: float = 0.0) -> int:
        """Let the main thread do what waits for it.

        Args:
            timeout_s: how long to wait for a first call.

        Returns:
            How many calls were run.
        """
        ran = 0
        while True:
            try:
                call = (
                    self.waiting.get(timeout=timeout_s)
                    if not ran and timeout_s
                    else self.waiting.get_nowait()
                )
            except queue.Empty:
                return ran
            call()
            ran += 1


_stage = Stage()


def current() -> Stage:
    """The session that is running."""
    return _stage


def fresh(*, gui: bool = True, format_text: str = "96 54 0 0 96 54 1 small") -> Stage:
    """Start Nuke anew: an empty script, nothing selected, no callbacks; this thread is the main one."""
    import nuke
    from nuke import _nodes

    global _stage
    _stage = Stage()
    nuke.GUI = gui
    nuke.env["gui"] = gui
    _stage.undo_disabled += 1
    _stage.root = _nodes.new_root()
    _stage.groups = [_stage.root]
    nuke.root()["format"].fromScript(format_text)
    _stage.undo_disabled -= 1
    _stage.modified = False
    return _stage


def press(node: Any, knob: str) -> None:
    """What a click on a button does."""
    node[knob].execute()


def move(node: Any, knob: str, value: Any) -> None:
    """What an artist's change of a knob does: the value, and knobChanged where the panel is open."""
    from nuke import _events

    node[knob].setValue(value)
    if node.shown() and not current().tells_all_changes:
        _events.fire("knobChanged", node, knob=node[knob])


def update_ui(node: Any) -> None:
    """Nuke's update of a node's interface after something upstream changed."""
    from nuke import _events

    _events.fire("updateUI", node)
