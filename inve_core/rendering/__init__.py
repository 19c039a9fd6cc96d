"""Rendering: an edit stack over a frame's own pixels, exact where nothing was touched."""

from inve_core.rendering.renderer import Rendered, Renderer

__all__ = ["Rendered", "Renderer"]
