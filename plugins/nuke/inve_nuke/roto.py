"""What is painted on a Roto or RotoPaint node -> edits as EDITS.json has them, or a sentence why not. Pure.

**The frame.** Edits belong to one frame and hold on all of them, so that an element is taken as it is on the
frame that it was drawn on. Nuke keeps that frame in the element's lifetime (`ltn`), also where it lives on
all frames; else it is the time of the one key of its transform, else of its points; else the node's reference
frame. Animation is worked out on that frame. A stroke that lives on a single frame is carried, since painting
on one frame is what this is for; one that begins or ends in the middle of the shot is refused.

**The order.** Nuke lists and paints the topmost element first, we the lowest. What follows each other in one
roto layer is one edit layer; where a sub-layer lies in between there are two. An eraser takes away what is
below it in its own edit layer.

**What is read.** Attributes that are left out have Nuke's defaults. Brush size, hardness and opacity are
taken as numbers; how soft Nuke paints a hardness was not compared. What an attribute means that is not named
here is not known; it is told in a note.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from inve_client.plugin.messages import RefusedError

from .curve_script import Layer, Shape, Stroke, Unknown, parse
from .roto_elements import ElementReader, ElementRefused, RotoSettings

ADJUSTMENTS = "adjust"
"""How the name of a layer begins whose elements are adjustments, in any case of letters."""


@dataclass(frozen=True)
class EditLayer:
    """Edits of one roto layer; `kind` as in EDITS.json, edits bottom to top, each with an id that stays."""

    name: str
    kind: str
    edits: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Painted:
    """What a node's paint has become.

    Attributes:
        layers: bottom to top.
        refusals: of what was left behind, one sentence each, with the element's path.
        notes: of what came over and is not quite the same.
        hidden: paths of what is switched off, and so was left out.
    """

    layers: tuple[EditLayer, ...]
    refusals: tuple[str, ...]
    notes: tuple[str, ...]
    hidden: tuple[str, ...]


def convert(curves: str | Layer, settings: RotoSettings) -> Painted:
    """All edits of a node's curves.

    Args:
        curves: the knob's text, or what `curve_script.parse` made of it.

    Raises:
        ScriptError: the text is none. What is wrong with one element is in `refusals`.
    """
    root = parse(curves) if isinstance(curves, str) else curves
    walk = _Walk(settings)
    walk.layer(root, settings.name, "", (), adjusting=False)
    # Listed top to bottom, with the first run of a layer at the bottom called by its plain name.
    runs = [run for run in reversed(walk.runs) if run.edits]
    for run in runs[1:]:
        for path in run.erasers:
            walk.note(path, "erases what layers below have in Nuke too, and here what its own layer has")
    taken: dict[str, int] = {}
    layers = []
    for run in runs:
        count = taken[run.name] = taken.get(run.name, 0) + 1
        name = run.name if count == 1 else f"{run.name} {count}"
        layers.append(EditLayer(name, run.kind, tuple(reversed(run.edits))))
    return Painted(tuple(layers), tuple(walk.refusals), tuple(walk.notes()), tuple(walk.hidden))


def prefix_of(owner: str) -> str:
    """How the ids of all edits begin that come from one INVE node."""
    return f"nk{hashlib.blake2b(owner.encode(), digest_size=6).hexdigest()}-"


@dataclass
class _Run:
    """Elements of one roto layer that follow each other, the topmost first."""

    name: str
    kind: str
    edits: list[dict[str, Any]] = field(default_factory=list)
    erasers: list[str] = field(default_factory=list)


class _Walk:
    """Goes through the layers, the topmost element first."""

    def __init__(self, settings: RotoSettings) -> None:
        self.settings = settings
        self.runs: list[_Run] = []
        self.refusals: list[str] = []
        self.hidden: list[str] = []
        self._notes: dict[str, list[str]] = {}
        self._seen: dict[str, int] = {}
        self._prefix = prefix_of(settings.owner)

    def notes(self) -> list[str]:
        """One sentence for each thing, whatever number of elements it is about."""
        told = []
        for note, paths in self._notes.items():
            more = f" (and {len(paths) - 1} more)" if len(paths) > 1 else ""
            told.append(f"'{paths[0]}'{more} {note}.")
        return told

    def note(self, path: str, note: str) -> None:
        self._notes.setdefault(note, []).append(path)

    def layer(self, layer: Layer, name: str, path: str, above: tuple[Layer, ...], *, adjusting: bool) -> None:
        """The elements of a layer.

        Args:
            name: what its edit layer is called.
            path: in Nuke, "" for the root.
            above: the layers that it is in.
        """
        around = (*above, layer)
        run: _Run | None = None
        for element in layer.elements:
            own_path = f"{path}/{element.name}" if path else element.name
            if isinstance(element, Layer):
                nested = adjusting or element.name.lower().startswith(ADJUSTMENTS)
                self.layer(element, own_path, own_path, around, adjusting=nested)
                run = None
                continue
            try:
                edits = self._element(element, own_path, around, adjusting=adjusting)
            except RefusedError as refusal:
                self.refusals.append(f"'{own_path}' {refusal.problem.message}.")
                continue
            if run is None:
                run = _Run(_layer_name(name), "adjustment" if adjusting else "sketch")
                self.runs.append(run)
            run.edits += edits
            run.erasers += [own_path for edit in edits if edit.get("blend") == "erase"]

    def _element(
        self, element: Stroke | Shape | Unknown, path: str, around: tuple[Layer, ...], *, adjusting: bool
    ) -> list[dict[str, Any]]:
        """The edits of an element, the topmost first; none where it is hidden.

        Raises:
            RefusedError: why it cannot be carried.
        """
        if isinstance(element, Unknown):
            raise ElementRefused(f"{element.problem}; draw it again")
        reader = ElementReader(element, around, self.settings)
        if reader.is_hidden:
            self.hidden.append(path)
            return []
        reader.check()
        kind = "adjustment" if adjusting else "stroke"
        look = reader.adjustment() if adjusting else reader.paint()
        if isinstance(element, Stroke):
            edits = [{**one, **look} for one in reader.lines(element)]
        else:
            edits = [{**reader.region(element), **look}]
        for note in reader.notes():
            self.note(path, note)
        # The daemon keeps a kind of edit in a kind of layer, so that the other kind is another edit.
        key = f"{path}\0{kind}"
        count = self._seen[key] = self._seen.get(key, 0) + 1
        digest = hashlib.blake2b(f"{key}\0{count}".encode(), digest_size=8).hexdigest()
        for number, edit in enumerate(edits):
            suffix = f".{number}" if number else ""
            edits[number] = {
                "id": f"{self._prefix}{digest}{suffix}",
                "type": kind,
                "frame": reader.frame,
                **edit,
            }
        return edits[::-1]


def _layer_name(name: str) -> str:
    """A name as an edit layer may have it."""
    printable = "".join(letter if letter.isprintable() else " " for letter in name)
    return printable[:80] or "paint"
