"""The layers as a table for Qt: what changes is told row by row, so that many layers cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .qt import QtCore

if TYPE_CHECKING:
    from collections.abc import Callable

    from inve_client.plugin.document import LayerRow

    from .model import PanelModel

COLUMNS = ("Layer", "Kind", "Opacity", "Edits")
NAME, KIND, OPACITY, EDITS = range(4)

_Qt = QtCore.Qt
_RIGHT = _Qt.AlignmentFlag.AlignRight | _Qt.AlignmentFlag.AlignVCenter
# A table's answer must be a number in PySide2; only PySide6's flags have a `value`.
_NUMBERS = int(getattr(_RIGHT, "value", _RIGHT))  # type: ignore[call-overload, unused-ignore]


class LayerModel(QtCore.QAbstractTableModel):
    """The rows of a `LayersView`, with a tick for enabled; the name can be edited.

    Args:
        panel: whose layers they are.
        acted: called after each act of the artist.
        parent: of the model.
    """

    def __init__(self, panel: PanelModel, acted: Callable[[], None], parent: QtCore.QObject) -> None:
        super().__init__(parent)
        self.rows: tuple[LayerRow, ...] = ()
        self._panel, self._acted = panel, acted

    def show(self, rows: tuple[LayerRow, ...]) -> None:
        """Show other rows."""
        before, self.rows = self.rows, self.rows
        if [row.name for row in before] != [row.name for row in rows]:
            self.beginResetModel()
            self.rows = rows
            self.endResetModel()
            return
        self.rows = rows
        for index, (old, new) in enumerate(zip(before, rows)):
            if old != new:
                self.dataChanged.emit(self.index(index, 0), self.index(index, len(COLUMNS) - 1))

    def row_of(self, name: str) -> int:
        """Where a layer stands, -1 where it does not."""
        return next((index for index, row in enumerate(self.rows) if row.name == name), -1)

    # What Qt asks

    def rowCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008, N802 - Qt's
        """Layers."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Any = QtCore.QModelIndex()) -> int:  # noqa: B008, N802 - Qt's
        """Columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = 0) -> Any:  # noqa: N802 - Qt's
        """The names of the columns."""
        if orientation == _Qt.Orientation.Horizontal and role == _Qt.ItemDataRole.DisplayRole:
            return COLUMNS[section]
        return None

    def flags(self, index: Any) -> Any:
        """What can be done to a cell."""
        flags = super().flags(index)
        if index.column() == NAME:
            flags |= _Qt.ItemFlag.ItemIsUserCheckable | _Qt.ItemFlag.ItemIsEditable
        return flags

    def data(self, index: Any, role: int = 0) -> Any:
        """A cell."""
        row, column = self.rows[index.row()], index.column()
        if role in (_Qt.ItemDataRole.DisplayRole, _Qt.ItemDataRole.EditRole):
            return (row.name, row.kind, f"{row.opacity:.0%}", str(row.edits))[column]
        if role == _Qt.ItemDataRole.CheckStateRole and column == NAME:
            return _Qt.CheckState.Checked if row.enabled else _Qt.CheckState.Unchecked
        if role == _Qt.ItemDataRole.TextAlignmentRole and column in (OPACITY, EDITS):
            return _NUMBERS
        if role == _Qt.ItemDataRole.ToolTipRole:
            return f"{row.name}: {row.kind}, blend {row.blend}" + (", solo" if row.solo else "")
        return None

    def setData(self, index: Any, value: Any, role: int = 0) -> bool:  # noqa: N802 - Qt's
        """The artist ticks or renames; the step itself brings the new rows."""
        name = self.rows[index.row()].name
        if role == _Qt.ItemDataRole.CheckStateRole:
            # PySide2 gives a number, PySide6 may give the enum.
            self._panel.change_layer(name, enabled=value in (2, _Qt.CheckState.Checked))
        elif role == _Qt.ItemDataRole.EditRole and str(value).strip():
            self._panel.rename_layer(name, str(value).strip())
        else:
            return False
        # The list may be another one then, which Qt does not expect in the middle of an edit.
        QtCore.QTimer.singleShot(0, self._acted)
        return True
