"""The panel's parts but for the layers: the connection, the problem, the shots, the jobs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from . import style
from .qt import QtCore, QtGui, QtWidgets

if TYPE_CHECKING:
    from collections.abc import Callable

    from .view import ConnectionView, JobView, ProblemView, ShotView

_BAR_STEPS = 1000
_MOST_SHOTS = 5
"""Of the lines that are seen without scrolling."""
_KEY = QtCore.Qt.ItemDataRole.UserRole


def heading(text: str) -> QtWidgets.QLabel:
    """A section's title."""
    label = QtWidgets.QLabel(text)
    label.setObjectName("heading")
    return label


def set_widths(view: QtWidgets.QTreeView, samples: dict[int, str]) -> None:
    """Give columns the width that a text takes, whatever the screen's scale."""
    for column, sample in samples.items():
        view.header().resizeSection(column, view.fontMetrics().horizontalAdvance(sample) + 14)


class ElidedLabel(QtWidgets.QLabel):
    """One line that ends in dots where there is no room, and asks for none; the tip has all of it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:  # noqa: N802 - Qt's
        """Draw what fits."""
        painter = QtGui.QPainter(self)
        mode = QtCore.Qt.TextElideMode.ElideRight
        text = self.fontMetrics().elidedText(self.text(), mode, self.width())
        painter.drawText(self.rect(), QtCore.Qt.AlignmentFlag.AlignVCenter, text)
        painter.end()


class ConnectionSection(QtWidgets.QWidget):
    """A dot, a word, the button; below it who is at the other end."""

    def __init__(self, pressed: Callable[[], None]) -> None:
        super().__init__()
        self.dot, self.state = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.dot.setFixedSize(10, 10)
        self.detail = ElidedLabel("dim")
        self.button = QtWidgets.QPushButton("Connect")
        self.button.clicked.connect(lambda *_: pressed())
        row = QtWidgets.QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.dot)
        row.addWidget(self.state, 1)
        row.addWidget(self.button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(row)
        layout.addWidget(self.detail)

    def show_view(self, view: ConnectionView) -> None:
        """Show another state."""
        self.dot.setStyleSheet(f"background: {style.TONES[view.tone]}; border-radius: 5px;")
        self.state.setText(view.text)
        self.detail.setText(view.detail)
        self.detail.setToolTip(view.detail)
        self.button.setText("Connect" if view.is_off else "Disconnect")


class ProblemSection(QtWidgets.QFrame):
    """What went wrong last and what to do, until it is dismissed."""

    def __init__(self, dismissed: Callable[[], None]) -> None:
        super().__init__()
        self.setObjectName("problem")
        self.message, self.advice = QtWidgets.QLabel(), QtWidgets.QLabel()
        self.advice.setObjectName("dim")
        text = QtWidgets.QVBoxLayout()
        for label in (self.message, self.advice):
            label.setWordWrap(True)
            label.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
            text.addWidget(label)
        close = QtWidgets.QToolButton()
        close.setText("x")
        close.setToolTip("Dismiss")
        close.clicked.connect(lambda *_: dismissed())
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(8, 6, 6, 6)
        layout.addLayout(text, 1)
        layout.addWidget(close, 0, QtCore.Qt.AlignmentFlag.AlignTop)

    def show_view(self, view: ProblemView | None) -> None:
        """Show another problem, or none."""
        self.setVisible(view is not None)
        if view is not None:
            self.message.setText(view.message)
            self.advice.setText(view.advice)
            self.advice.setVisible(bool(view.advice))


class ShotSection(QtWidgets.QWidget):
    """The script's INVE nodes; the chosen one's layers are shown."""

    def __init__(self, chosen: Callable[[str], None]) -> None:
        super().__init__()
        self._chosen = chosen
        self.list = QtWidgets.QTreeWidget()
        self.list.setHeaderLabels(["Node", "Shot", "State"])
        self.list.setRootIsDecorated(False)
        self.list.setUniformRowHeights(True)
        set_widths(self.list, {0: "INVE100", 1: "sh010_plate_v02"})
        self.list.currentItemChanged.connect(self._choose)
        self.empty = QtWidgets.QLabel("No INVE node in this script; add one from the menu INVE.")
        self.empty.setObjectName("dim")
        self.empty.setWordWrap(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (heading("SHOTS"), self.list, self.empty):
            layout.addWidget(part)

    def show_view(self, shots: tuple[ShotView, ...], current: str) -> None:
        """Show other shots."""
        self.list.setVisible(bool(shots))
        self.empty.setVisible(not shots)
        self.list.blockSignals(True)
        while self.list.topLevelItemCount() > len(shots):
            self.list.takeTopLevelItem(len(shots))
        for index, one in enumerate(shots):
            item = self.list.topLevelItem(index)
            if item is None:
                item = QtWidgets.QTreeWidgetItem(self.list)
            for column, text in enumerate((one.name, one.shot or "-", one.standing)):
                item.setText(column, text)
                item.setToolTip(column, text)
            item.setData(0, _KEY, one.key)
            if one.key == current:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        rows = min(max(len(shots), 2), _MOST_SHOTS) * self.list.sizeHintForRow(0)
        self.list.setFixedHeight(self.list.header().sizeHint().height() + rows + 4)

    def _choose(self, item: QtWidgets.QTreeWidgetItem | None, _: object) -> None:
        if item is not None:
            self._chosen(str(item.data(0, _KEY)))


class _JobRow(QtWidgets.QWidget):
    def __init__(self, cancelled: Callable[[], None]) -> None:
        super().__init__()
        self.title = ElidedLabel("job")
        self.bar = QtWidgets.QProgressBar()
        self.bar.setRange(0, _BAR_STEPS)
        self.cancel = QtWidgets.QToolButton()
        self.cancel.setText("Cancel")
        self.cancel.clicked.connect(lambda *_: cancelled())
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.title, 2)
        layout.addWidget(self.bar, 5)
        layout.addWidget(self.cancel)

    def show_view(self, view: JobView) -> None:
        self.title.setText(view.title)
        self.title.setToolTip(view.title)
        self.bar.setFormat(view.text)
        self.bar.setValue(round((view.share or 0.0) * _BAR_STEPS))


class JobSection(QtWidgets.QWidget):
    """What is under way, a bar each."""

    def __init__(self, cancelled: Callable[[str], None]) -> None:
        super().__init__()
        self._cancelled = cancelled
        self.rows: dict[str, _JobRow] = {}
        self.empty = QtWidgets.QLabel("Nothing under way.")
        self.empty.setObjectName("dim")
        self._layout = QtWidgets.QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)
        self._layout.addWidget(heading("JOBS"))
        self._layout.addWidget(self.empty)

    def show_view(self, jobs: tuple[JobView, ...]) -> None:
        """Show other jobs."""
        self.empty.setVisible(not jobs)
        for gone in self.rows.keys() - {job.key for job in jobs}:
            row = self.rows.pop(gone)
            self._layout.removeWidget(row)
            row.deleteLater()
        for job in jobs:
            if job.key not in self.rows:
                self.rows[job.key] = _JobRow(functools.partial(self._cancelled, job.key))
                self._layout.addWidget(self.rows[job.key])
            self.rows[job.key].show_view(job)
