"""The dockable panel, as Nuke makes it: `InvePanel()`. It draws again what changed, and never waits.

Not run in Nuke: that Nuke docks it, restores it with a layout and deletes it is as documented, and untried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import style
from .layers import LayerSection
from .qt import QtCore, QtGui, QtWidgets
from .sections import ConnectionSection, ElidedLabel, JobSection, ProblemSection, ShotSection

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import PanelModel
    from .view import PanelView

LOOK_MS = 100
"""Between two looks at what has changed; each is a comparison of three numbers."""
_TIP_LINES = 20


class InvePanel(QtWidgets.QWidget):
    """All sections under each other.

    Args:
        model: what is shown; None is that of this Nuke.
    """

    def __init__(self, model: PanelModel | None = None) -> None:
        super().__init__()
        if model is None:
            from inve_nuke.shots import panel_model

            model = panel_model()
        self.setObjectName("inve")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet(style.SHEET)
        self._panel = model
        self._shown: PanelView | None = None
        self.connection = ConnectionSection(lambda: self._after(model.connect))
        self.problem = ProblemSection(lambda: self._after(model.dismiss))
        self.shots = ShotSection(lambda key: self._after(lambda: model.choose(key)))
        self.jobs = JobSection(lambda key: self._after(lambda: model.cancel(key)))
        self.layers = LayerSection(model, self.look)
        self.log = ElidedLabel("log")
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(10, 10, 10, 8)
        layout.setSpacing(10)
        for part in (self.connection, self.problem, self.shots, self.jobs):
            layout.addWidget(part)
        layout.addWidget(self.layers, 1)
        layout.addWidget(self.log)
        self._timer = QtCore.QTimer(self)
        self._timer.timeout.connect(self.look)
        self.look()

    def look(self) -> None:
        """Show what has changed since the last look."""
        view, before = self._panel.view(), self._shown
        if view is before:
            return
        self._shown = view
        if before is None or view.connection != before.connection:
            self.connection.show_view(view.connection)
        if before is None or view.problem != before.problem:
            self.problem.show_view(view.problem)
        if before is None or (view.shots, view.current) != (before.shots, before.current):
            self.shots.show_view(view.shots, view.current)
        if before is None or view.jobs != before.jobs:
            self.jobs.show_view(view.jobs)
        if before is None or view.layers != before.layers:
            self.layers.show_view(view.layers)
        if before is None or view.log != before.log:
            self.log.setText(view.log)
            self.log.setToolTip("\n".join(self._panel.log_lines()[-_TIP_LINES:]))

    def showEvent(self, event: QtGui.QShowEvent) -> None:  # noqa: N802 - Qt's
        """Begin to look."""
        super().showEvent(event)
        self._timer.start(LOOK_MS)
        self.look()

    def hideEvent(self, event: QtGui.QHideEvent) -> None:  # noqa: N802 - Qt's
        """A panel in a tab behind others costs nothing."""
        super().hideEvent(event)
        self._timer.stop()

    def _after(self, act: Callable[[], None]) -> None:
        act()
        self.look()
