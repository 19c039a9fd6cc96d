"""The one timer: in Nuke's window it pumps the session; in terminal mode scripts call `session.pump()`.

Nothing happens when this is imported. Not run in Nuke: that its event loop runs Qt's timers while a viewer
renders is as others do it, and untried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BUSY_MS = 30
"""Between two pumps while an answer or a job is awaited,"""
IDLE_MS = 200
"""and otherwise."""


class Pump:
    """Calls `pump` from Qt's event loop until `stop`, or until Nuke ends.

    Args:
        pump: takes milliseconds at most; called on the thread that made this.
        is_busy: whether something is awaited.
        ended: called once as Nuke ends.
    """

    def __init__(
        self, pump: Callable[[], object], is_busy: Callable[[], bool], ended: Callable[[], None]
    ) -> None:
        from .panel.qt import QtCore

        application = QtCore.QCoreApplication.instance()
        self._pump, self._is_busy = pump, is_busy
        self._timer = QtCore.QTimer(application)
        self._timer.timeout.connect(self._tick)
        self._timer.start(IDLE_MS)
        if application is not None:
            application.aboutToQuit.connect(ended)

    @property
    def interval_ms(self) -> int:
        """Between two pumps by now; 0 after `stop`."""
        return self._timer.interval() if self._timer.isActive() else 0

    def hurry(self) -> None:
        """Something was asked: look soon."""
        if self._timer.isActive() and self._timer.interval() != BUSY_MS:
            self._timer.start(BUSY_MS)

    def stop(self) -> None:
        """Pump no more."""
        self._timer.stop()
        self._timer.deleteLater()

    def _tick(self) -> None:
        self._pump()
        wanted = BUSY_MS if self._is_busy() else IDLE_MS
        if self._timer.isActive() and self._timer.interval() != wanted:
            self._timer.start(wanted)
