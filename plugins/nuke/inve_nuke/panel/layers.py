"""The layers of the current shot: a list, the chosen one's opacity, and the buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .layer_model import EDITS, KIND, OPACITY, LayerModel
from .qt import QtCore, QtWidgets
from .sections import set_widths

if TYPE_CHECKING:
    from collections.abc import Callable

    from .model import PanelModel
    from .view import LayersView

_STEPS = 100
"""Of the opacity's slider."""


class LayerSection(QtWidgets.QWidget):
    """Shows a `LayersView`.

    Args:
        model: whose layers they are.
        acted: called after each act of the artist, to show what it made at once.
    """

    def __init__(self, model: PanelModel, acted: Callable[[], None]) -> None:
        super().__init__()
        self._panel, self._acted = model, acted
        self._chosen = ""
        self.rows = LayerModel(model, acted, self)
        self.list = _list(self.rows)
        self.slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.number = QtWidgets.QLineEdit()
        self.number.setMaximumWidth(self.number.fontMetrics().horizontalAdvance("0.000") + 12)
        self.title = QtWidgets.QLabel()
        self.title.setObjectName("heading")
        self.state = QtWidgets.QLabel()
        self.state.setObjectName("dim")
        self.state.setWordWrap(True)
        self.buttons = {
            "Up": self._button("Up", "Put the layer over the next one", lambda: self._move(1)),
            "Down": self._button("Down", "Put the layer under the next one", lambda: self._move(-1)),
            "Delete": self._button("Delete", "Remove the layer and what is in it", self._delete),
            "Undo": self._button("Undo", "Take back the last step on the edits", model.undo),
            "Redo": self._button("Redo", "Bring back what Undo took", model.redo),
            "Restore": self._button("Restore", "Put back the edits that the daemon has lost", model.restore),
        }
        self._lay_out()
        self.list.selectionModel().currentChanged.connect(self._choose)
        self.slider.valueChanged.connect(lambda value: self._set_opacity(value / _STEPS))
        self.number.editingFinished.connect(self._type_opacity)

    def show_view(self, view: LayersView) -> None:
        """Show other layers."""
        self.title.setText(f"LAYERS OF {view.shot}" if view.shot else "LAYERS")
        self.state.setText(_state(view))
        self.state.setVisible(bool(self.state.text()))
        self.rows.show(view.rows)
        row = self.rows.row_of(self._chosen)
        if row < 0 and view.rows:
            row = 0
        if row >= 0:
            self.list.setCurrentIndex(self.rows.index(row, 0))
        self._show_chosen()
        self.buttons["Restore"].setVisible(view.is_lost)
        for name in ("Undo", "Redo"):
            self.buttons[name].setEnabled(bool(view.shot))

    # Inside

    def _button(self, text: str, tip: str, act: Callable[[], None]) -> QtWidgets.QToolButton:
        button = QtWidgets.QToolButton()
        button.setText(text)
        button.setToolTip(tip)

        def clicked() -> None:
            act()
            self._acted()

        button.clicked.connect(lambda *_: clicked())
        return button

    def _lay_out(self) -> None:
        opacity = QtWidgets.QHBoxLayout()
        opacity.addWidget(QtWidgets.QLabel("Opacity"))
        opacity.addWidget(self.slider, 1)
        opacity.addWidget(self.number)
        buttons = QtWidgets.QHBoxLayout()
        buttons.setSpacing(4)
        for name, button in self.buttons.items():
            if name == "Undo":
                buttons.addStretch(1)
            buttons.addWidget(button)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for part in (self.title, self.list, opacity, buttons, self.state):
            if isinstance(part, QtWidgets.QWidget):
                layout.addWidget(part, 1 if part is self.list else 0)
            else:
                layout.addLayout(part)

    def _choose(self, current: Any, _: Any = None) -> None:
        if current.isValid():
            self._chosen = self.rows.rows[current.row()].name
        self._show_chosen()

    def _show_chosen(self) -> None:
        index = self.rows.row_of(self._chosen)
        for name in ("Up", "Down", "Delete"):
            self.buttons[name].setEnabled(index >= 0)
        self.slider.setEnabled(index >= 0)
        self.number.setEnabled(index >= 0)
        if index < 0:
            self.number.clear()
            return
        opacity = self.rows.rows[index].opacity
        self.slider.blockSignals(True)
        self.slider.setValue(round(opacity * _STEPS))
        self.slider.blockSignals(False)
        if not self.number.hasFocus():
            self.number.setText(f"{opacity:.2f}")

    def _set_opacity(self, opacity: float) -> None:
        index = self.rows.row_of(self._chosen)
        if index >= 0 and abs(self.rows.rows[index].opacity - opacity) > 1e-6:
            self._panel.change_layer(self._chosen, opacity=round(opacity, 2))
            self._acted()

    def _type_opacity(self) -> None:
        try:
            opacity = float(self.number.text().replace(",", "."))
        except ValueError:
            self.number.clear()
        else:
            self._set_opacity(min(max(opacity, 0.0), 1.0))
        self.number.clearFocus()
        self._show_chosen()

    def _move(self, rows: int) -> None:
        self._panel.move_layer(self._chosen, rows)

    def _delete(self) -> None:
        self._panel.delete_layer(self._chosen)


def _list(rows: LayerModel) -> QtWidgets.QTreeView:
    made = QtWidgets.QTreeView()
    made.setModel(rows)
    made.setRootIsDecorated(False)
    # Qt then measures one row in the place of all.
    made.setUniformRowHeights(True)
    made.setAlternatingRowColors(True)
    header = made.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QtWidgets.QHeaderView.ResizeMode.Stretch)
    for column in (KIND, OPACITY, EDITS):
        header.setSectionResizeMode(column, QtWidgets.QHeaderView.ResizeMode.Fixed)
    set_widths(made, {KIND: "adjustment", OPACITY: "Opacity", EDITS: "Edits"})
    return made


def _state(view: LayersView) -> str:
    if view.held:
        return f"Not sent: {view.held}"
    if view.waiting:
        return f"{view.waiting} {'step' if view.waiting == 1 else 'steps'} to be confirmed"
    if not view.shot:
        return "Select a prepared INVE node above to see its layers."
    return "" if view.rows else "No edits yet; paint, then press Send edits on the node."
