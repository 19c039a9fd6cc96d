"""What operators have in common: a refusal becomes a sentence in the panel and in the status bar."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from inve_client.plugin import session
from inve_client.plugin.messages import RefusedError

from .. import results


class InveOperator:
    """Mixin: write `run` in the place of `execute`, and raise RefusedError where it cannot be done.

    No operator may take 16 ms: ask the session, and let the callback do the rest.
    """

    report: Callable[[set[str], str], None]

    def run(self, context: bpy.types.Context) -> set[str] | None:
        """Do it.

        Raises:
            RefusedError: with the sentence for the artist.
        """
        raise NotImplementedError

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Blender's entry."""
        try:
            return self.run(context) or {"FINISHED"}
        except RefusedError as refusal:
            session.current().fail(refusal.problem)
            self.report({"ERROR"}, refusal.problem.message)
            return {"CANCELLED"}


def active_strip(context: bpy.types.Context) -> bpy.types.bpy_struct:
    """The active strip, or its source where a result is active: results lie on top, where one clicks.

    Raises:
        RefusedError: there is none.
    """
    strip = results.active_source(context)
    if strip is None:
        raise RefusedError("A strip of the sequencer must be active, got none; click on one.")
    return strip
