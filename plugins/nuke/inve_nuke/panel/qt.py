"""Qt as this Nuke has it: PySide6 from Nuke 16 on, PySide2 before. Nothing else imports either.

What the panel uses is the same in both, enums written in full. QAction, which has moved between them, and
`exec`, which has another name, are not used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PySide6 import QtCore, QtGui, QtWidgets
else:
    try:
        from PySide6 import QtCore, QtGui, QtWidgets
    except ImportError:
        from PySide2 import QtCore, QtGui, QtWidgets

__all__ = ["QtCore", "QtGui", "QtWidgets"]
