"""The panel's colours: Nuke's own dark greys with its orange, on whatever style Nuke has set."""

from __future__ import annotations

BACKGROUND = "#323232"
SUNKEN = "#282828"
RAISED = "#464646"
TEXT = "#c8c8c8"
DIM = "#8c8c8c"
ORANGE = "#f7931e"
TONES = {"off": "#787878", "waiting": "#e0b040", "good": "#5fb45f", "bad": "#d9534f"}

SHEET = f"""
QWidget#inve {{ background: {BACKGROUND}; color: {TEXT}; }}
QWidget#inve QLabel {{ color: {TEXT}; background: transparent; }}
QWidget#inve QLabel#heading {{ color: {DIM}; font-weight: bold; }}
QWidget#inve QLabel#dim, QWidget#inve QLabel#log {{ color: {DIM}; }}
QFrame#problem {{ background: #402c2a; border-left: 3px solid {TONES["bad"]}; }}
QPushButton, QToolButton {{
    background: {RAISED}; color: {TEXT}; border: 1px solid #1e1e1e; border-radius: 2px; padding: 3px 10px;
}}
QToolButton {{ padding: 3px 6px; }}
QPushButton:hover, QToolButton:hover {{ background: #555555; }}
QPushButton:pressed, QToolButton:pressed {{ background: {SUNKEN}; }}
QPushButton:disabled, QToolButton:disabled {{ color: #6a6a6a; background: #3a3a3a; }}
QTreeView {{
    background: {SUNKEN}; alternate-background-color: #2c2c2c; color: {TEXT}; border: 1px solid #1e1e1e;
    selection-background-color: #5a4a30; selection-color: #ffffff; outline: 0;
}}
QTreeView::item {{ padding: 2px 0; }}
QTreeView::indicator {{ width: 11px; height: 11px; border: 1px solid {DIM}; background: {BACKGROUND}; }}
QTreeView::indicator:checked {{ background: {ORANGE}; border: 1px solid {ORANGE}; }}
QHeaderView::section {{
    background: {BACKGROUND}; color: {DIM}; border: 0; border-bottom: 1px solid #1e1e1e; padding: 2px 4px;
}}
QProgressBar {{
    background: {SUNKEN}; color: {TEXT}; border: 1px solid #1e1e1e; border-radius: 2px;
    text-align: center; min-height: 16px;
}}
QProgressBar::chunk {{ background: #a8651a; }}
QSlider::groove:horizontal {{ background: {SUNKEN}; height: 4px; border: 1px solid #1e1e1e; }}
QSlider::sub-page:horizontal {{ background: #a8651a; }}
QSlider::handle:horizontal {{
    background: {TEXT}; width: 8px; margin: -5px 0; border: 1px solid #1e1e1e; border-radius: 2px;
}}
QScrollBar:vertical {{ background: {SUNKEN}; width: 10px; border: 0; }}
QScrollBar::handle:vertical {{ background: {RAISED}; min-height: 20px; border-radius: 2px; }}
QScrollBar::add-line:vertical, QScrollBar::sub-line:vertical {{ height: 0; }}
QLineEdit {{ background: {SUNKEN}; color: {TEXT}; border: 1px solid #1e1e1e; }}
"""
