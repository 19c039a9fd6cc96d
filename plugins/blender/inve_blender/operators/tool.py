"""What the tools of the preview have in common: one runs at a time, over the preview only, until ESC.

The rest of Blender stays usable meanwhile: what happens outside of the preview, and what a tool does not use
(zooming, panning, changing the frame), goes its way.
"""

from __future__ import annotations

from typing import Any

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from .. import documents, overlay, results
from ..previews import Canvas, Preview, any_preview, canvas_of, preview_at
from .base import InveOperator, active_strip

_running: PreviewTool | None = None

_ENDS = {"ESC", "RIGHTMOUSE"}


def is_running(idname: str) -> bool:
    """Whether a tool is in use, by its operator's name."""
    # Of the class: an instance has Blender's own form of the name.
    return _running is not None and type(_running).bl_idname == idname


def stop() -> None:
    """End the running tool at its next event; called by unregister, and where another file is loaded."""
    global _running
    _running = None
    overlay.clear()


class PreviewTool(InveOperator):
    """Mixin of modal operators in the preview.

    Subclasses write `run` for scripts, and for the mouse `press`, `drag`, `release`, `cancel`, `key`; all of
    them may raise RefusedError. `canvas` is where the mouse was last, in source pixels by `canvas.to_source`.
    """

    bl_options = {"REGISTER"}
    bl_idname: str
    bl_label: str
    help = ""
    cursor = "PAINT_CROSS"
    canvas: Canvas
    is_dragging: bool
    mouse: tuple[int, int]

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Greyed out where no prepared strip is active."""
        strip = results.active_source(context)
        return strip is not None and bool(strip.inve.shot)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take the mouse; called again, let go of it."""
        global _running
        if is_running(type(self).bl_idname):
            stop()
            return {"FINISHED"}
        try:
            strip = active_strip(context)
            documents.of(strip)
            preview = any_preview(context.window)
            self.canvas = canvas_of(context, strip, preview)
            self.is_dragging, self.mouse = False, (event.mouse_x, event.mouse_y)
            self.begin(context)
        except RefusedError as refusal:
            return self._refused(refusal)
        stop()
        _running = self
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set(f"{self.bl_label}: {self.help}")
        self._show(context, preview)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Blender's entry, with each event."""
        if _running is not self:
            return self._end(context)
        if event.type.startswith("TIMER") or event.type in ("NONE", "WINDOW_DEACTIVATE"):
            return {"PASS_THROUGH"}
        preview = preview_at(context.window, event.mouse_x, event.mouse_y)
        if preview is None and not self.is_dragging:
            context.window.cursor_modal_restore()
            overlay.state.mouse = None
            if event.type == "ESC" and event.value == "PRESS":
                return self._end(context)
            return {"PASS_THROUGH"}
        try:
            return self._take(context, event, preview)
        except RefusedError as refusal:
            self.is_dragging = False
            self.cancel(context)
            self._refused(refusal)
            return {"RUNNING_MODAL"}
        except Exception:
            # A tool that fails must not keep the mouse.
            self._end(context)
            raise

    def _take(self, context: bpy.types.Context, event: bpy.types.Event, preview: Preview | None) -> set[str]:
        self.mouse = (event.mouse_x, event.mouse_y)
        if preview is not None:
            context.window.cursor_modal_set(self.cursor)
            self._show(context, preview)
        kind, pressed = event.type, event.value == "PRESS"
        if kind in ("MOUSEMOVE", "INBETWEEN_MOUSEMOVE"):
            if self.is_dragging:
                self.drag(context, event)
            else:
                self.hover(context, event)
            return {"RUNNING_MODAL"} if self.is_dragging else {"PASS_THROUGH"}
        if kind == "LEFTMOUSE" and event.value in ("PRESS", "DOUBLE_CLICK"):
            # A new look at the strip: it may have been moved, and the frame changed.
            self.canvas = canvas_of(context, active_strip(context), preview)
            self.is_dragging = True
            self.press(context, event)
            return {"RUNNING_MODAL"}
        if kind == "LEFTMOUSE" and event.value == "RELEASE":
            if self.is_dragging:
                self.is_dragging = False
                self.release(context, event)
            return self._after(context)
        if kind in _ENDS and pressed:
            if self.is_dragging or self.is_busy:
                self.is_dragging = False
                self.cancel(context)
                return {"RUNNING_MODAL"}
            return self._end(context)
        if kind == "Z" and pressed and (event.ctrl or event.oskey):
            self._undo(context, redo=event.shift)
            return {"RUNNING_MODAL"}
        if pressed and self.key(context, event):
            return self._after(context)
        return {"RUNNING_MODAL"} if self.is_dragging else {"PASS_THROUGH"}

    # What a tool does; in `run` it does all of it at once

    def begin(self, context: bpy.types.Context) -> None:
        """The tool was chosen."""

    @property
    def is_busy(self) -> bool:
        """Whether ESC has something to cancel besides what is being dragged."""
        return False

    @property
    def is_done(self) -> bool:
        """Whether the tool ends by itself now."""
        return False

    def hover(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """The mouse moves, no button down."""

    def press(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """The button or the pen goes down."""

    def drag(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It moves while down."""

    def release(self, context: bpy.types.Context, event: bpy.types.Event) -> None:
        """It goes up."""

    def cancel(self, context: bpy.types.Context) -> None:
        """What is being done is not wanted."""

    def key(self, context: bpy.types.Context, event: bpy.types.Event) -> bool:
        """A key; True where the tool has used it."""
        return False

    def brush_width(self, context: bpy.types.Context) -> float:
        """Of the circle around the mouse, in pixels of the source; 0 for none."""
        return 0.0

    # What is the same for all

    def place(self, event: bpy.types.Event) -> tuple[float, float]:
        """Where the mouse is, in pixels of the source picture."""
        return self.canvas.to_source(event.mouse_x, event.mouse_y)

    def _undo(self, context: bpy.types.Context, *, redo: bool) -> None:
        if self.is_dragging or self.is_busy:
            self.is_dragging = False
            self.cancel(context)
            return
        strip = active_strip(context)
        documents.change(strip, lambda document: document.redo() if redo else document.undo())
        overlay.drop_fresh(documents.of(strip))

    def _show(self, context: bpy.types.Context, preview: Preview) -> None:
        overlay.state.mouse = (self.mouse[0] - preview.region.x, self.mouse[1] - preview.region.y)
        overlay.state.region = preview.region
        overlay.state.brush_width = self.brush_width(context)
        preview.region.tag_redraw()

    def _after(self, context: bpy.types.Context) -> set[str]:
        return self._end(context) if self.is_done else {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context) -> set[str]:
        if _running is self:
            stop()
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)
        for area in context.window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()
        return {"FINISHED"}

    def _refused(self, refusal: RefusedError) -> Any:
        session.current().fail(refusal.problem)
        self.report({"ERROR"}, refusal.problem.message)
        return {"CANCELLED"}
