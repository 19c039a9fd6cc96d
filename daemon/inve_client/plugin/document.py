"""A shot's edits as the artist changes them: each call one step, and one request to the daemon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .steps import KIND_OF_TYPE, Edit, Layer, Step, StepImpossible, apply, free_name, new_id
from .syncing import SyncedLayers

_LAYER_FIELDS = frozenset(("blend", "opacity", "enabled", "solo", "video_layer"))


@dataclass(frozen=True)
class LayerRow:
    """One line of the list of layers; `index` counts from the bottom, as on the wire."""

    index: int
    name: str
    kind: str
    blend: str
    opacity: float
    enabled: bool
    solo: bool
    edits: int


class EditDocument(SyncedLayers):
    """The edits of a shot: what its list shows, and what an artist does to them.

    Whatever changes something makes a step, shown at once and sent when it can be; it raises
    `StepImpossible` where that cannot be.
    """

    def rows(self) -> list[LayerRow]:
        """What a list shows, the top layer first."""
        rows = [
            LayerRow(
                index=index,
                name=layer["name"],
                kind=layer["kind"],
                blend=layer.get("blend", "over"),
                opacity=layer.get("opacity", 1.0),
                enabled=layer.get("enabled", True),
                solo=layer.get("solo", False),
                edits=len(layer["edits"]),
            )
            for index, layer in enumerate(self.layers)
        ]
        return rows[::-1]

    def layer(self, name: str) -> Layer:
        """A layer by its name.

        Raises:
            StepImpossible: there is none.
        """
        for layer in self.layers:
            if layer["name"] == name:
                return layer
        raise StepImpossible(f"There is no layer {name!r}; choose one of the list.")

    def free_name(self, name: str) -> str:
        """The name, or where it is taken the name with the first free number."""
        return free_name(name, {layer["name"] for layer in self.layers})

    def add_layer(self, name: str, kind: str, position: int | None = None) -> str:
        """Add an empty layer on top, or at a position from the bottom; returns its name, made unique."""
        name = self.free_name(name)
        self._do(f"Add layer {name!r}", layers=({"name": name, "kind": kind, **_given(position=position)},))
        return name

    def change_layer(self, name: str, **fields: Any) -> None:
        """Change `blend`, `opacity`, `enabled`, `solo` or `video_layer`. While a slider is dragged, values
        that were not sent yet are replaced and make no steps of their own.
        """
        unknown = set(fields) - _LAYER_FIELDS
        if unknown or not fields:
            raise TypeError(f"A layer's fields are {sorted(_LAYER_FIELDS)}, got {sorted(fields)}.")
        self.layer(name)
        patch = {"name": name, **fields}
        if self.pending and not self.pending[-1].is_sent:
            last = self.pending[-1]
            if last.kind == "patch_edits" and not last.edits and len(last.layers) == 1:
                before = last.layers[0]
                if before.keys() == patch.keys() and before["name"] == name:
                    self.pending[-1] = replace(last, layers=(patch,))
                    self._shown = None
                    return
        self._do(f"Change layer {name!r}", layers=(patch,))

    def rename_layer(self, name: str, rename: str) -> None:
        """Give a layer another name."""
        self.layer(name)
        if rename != name:
            self._do(f"Rename layer {name!r}", layers=({"name": name, "rename": rename},))

    def move_layer(self, name: str, position: int) -> None:
        """Put a layer at an index from the bottom."""
        self.layer(name)
        self._do(f"Move layer {name!r}", layers=({"name": name, "position": position},))

    def remove_layer(self, name: str) -> None:
        """Remove a layer and all that is in it."""
        self.layer(name)
        self._do(f"Remove layer {name!r}", "remove_edits", layers=(name,))

    def add_edits(self, layer: str, edits: Sequence[Edit]) -> list[str]:
        """Put edits on top of a layer, which is made where there is none of that name, in one step.

        Args:
            layer: its name.
            edits: one or more, as in EDITS.json, of one type; those without an `id` get one.

        Returns:
            Their ids.
        """
        made: list[dict[str, Any]] = [{"id": new_id(), **edit} for edit in edits]
        kind = KIND_OF_TYPE[made[0]["type"]]
        missing = all(one["name"] != layer for one in self.layers)
        self._do(
            f"{made[0]['type'].capitalize()} on {layer!r}",
            layers=({"name": layer, "kind": kind},) if missing else (),
            edits=tuple({"layer": layer, "edit": edit} for edit in made),
        )
        return [edit["id"] for edit in made]

    def replace_edit(self, edit: Edit) -> None:
        """Put an edit in the place of the one with its `id`."""
        home, _ = self._find(edit["id"])
        self._do(f"Change {edit['type']}", edits=({"layer": home["name"], "edit": dict(edit)},))

    def move_edit(self, one: str, layer: str | None = None, position: int | None = None) -> None:
        """Move an edit within its layer, or to another of the same kind; without a position on top."""
        home, edit = self._find(one)
        target = home["name"] if layer is None else layer
        self._do(f"Move {edit['type']}", edits=({"layer": target, "id": one, **_given(position=position)},))

    def remove_edits(self, ids: Sequence[str]) -> None:
        """Remove edits by their ids, in one step."""
        types = {self._find(one)[1]["type"] for one in ids}
        self._do(f"Remove {' and '.join(sorted(types))}", "remove_edits", edits=tuple(ids))

    def perform(self, step: Step) -> None:
        """Do a step that was put together elsewhere, as for all that a paint node has.

        Raises:
            StepImpossible: the layers do not allow it.
        """
        self._shown = apply(self.layers, step)
        self.pending.append(step)
        self._undone = []

    def undo(self) -> None:
        """Take back the last step: here, where it was not sent yet, else by asking the daemon."""
        last = self.pending[-1] if self.pending else None
        if last is None or last.is_sent or last.kind == "undo":
            self.pending.append(Step("undo", "Undo"))
            self._undone.append(None)
            return
        self.pending.pop()
        self._undone.append(None if last.kind == "redo" else last)
        self._shown = None

    def redo(self) -> None:
        """Bring back what `undo` took."""
        taken = self._undone.pop() if self._undone else None
        last = self.pending[-1] if self.pending else None
        if taken is not None:
            self._shown = apply(self.layers, taken)
            self.pending.append(taken.anew())
        elif last is not None and last.kind == "undo" and not last.is_sent:
            self.pending.pop()
        else:
            self.pending.append(Step("redo", "Redo"))

    def _do(self, label: str, kind: str = "patch_edits", **fields: Any) -> None:
        self.perform(Step(kind, label, **fields))

    def _find(self, one: str) -> tuple[Layer, Edit]:
        for layer in self.layers:
            for edit in layer["edits"]:
                if edit["id"] == one:
                    return layer, edit
        raise StepImpossible(f"There is no edit {one!r}; choose one that is there.")


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
