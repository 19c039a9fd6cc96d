"""Dockable panels."""

from __future__ import annotations

from typing import Any

from stage import current


def registerWidgetAsPanel(widget: str, name: str, id: str, create: bool = False) -> Any:
    """Make a widget, named by an expression that gives its class, known as a pane."""
    current().panels.append((widget, name, id))
    return None
