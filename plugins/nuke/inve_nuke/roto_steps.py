"""What a node's paint has become -> the steps that bring a shot's edits in line with it. Pure.

Only what differs is sent. The edit layers stay the artist's: names, order, blending and opacity that were
changed in the panel, or in Blender, stay as they are, and so do edits that others made in these layers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inve_client.plugin.steps import Edit, Layer, Step, apply, free_name

from .roto import EditLayer, prefix_of
from .roto_elements import NEUTRAL

_DEFAULTS: Mapping[str, Any] = {
    "hardness": 1.0,
    "closed": False,
    "smooth": False,
    "space": "frame",
    "video_layer": "auto",
    "point_widths": None,
    "point_opacities": None,
    "blend": "over",
    **NEUTRAL,
    "opacity": 1.0,
}
"""Fields of strokes and adjustments that say nothing; the daemon tells some of them and leaves others out."""


def steps(layers: Sequence[Layer], wanted: Sequence[EditLayer], owner: str) -> tuple[Step, ...]:
    """At most two steps, one request each: what is gone is removed, then what is new or other is put in.

    Args:
        layers: the shot's edit layers as they are, bottom to top.
        wanted: what the node paints, bottom to top.
        owner: the INVE node, as in `RotoSettings`; of the shot's edits only its own are removed.
    """
    made: list[Step] = []
    prefix = prefix_of(owner)
    kept = {edit["id"] for layer in wanted for edit in layer.edits}
    gone = tuple(
        edit["id"]
        for layer in layers
        for edit in layer["edits"]
        if edit["id"].startswith(prefix) and edit["id"] not in kept
    )
    if gone:
        made.append(Step("remove_edits", f"Remove {_counted(len(gone))} of the paint node", edits=gone))
        layers = apply(layers, made[-1])
    homes, layer_patches = _homes(layers, wanted)
    stack = _Stack(layers)
    edit_patches = [patch for layer, home in zip(wanted, homes) for patch in stack.put(layer.edits, home)]
    if edit_patches:
        label = f"Paint {_counted(len(edit_patches))}"
        made.append(Step("patch_edits", label, layers=tuple(layer_patches), edits=tuple(edit_patches)))
    return tuple(made)


def _counted(count: int) -> str:
    return f"{count} edit{'' if count == 1 else 's'}"


def _homes(layers: Sequence[Layer], wanted: Sequence[EditLayer]) -> tuple[list[str], list[dict[str, Any]]]:
    """The name of the edit layer that each wanted one lives in, and patches that make those that are missing.

    A layer is known by the edits that it has already, whatever it is called by now, else by its name.
    """
    names = [layer["name"] for layer in layers]
    free = {layer["name"]: layer for layer in layers}
    homes: list[str | None] = []
    for layer in wanted:
        own = {edit["id"] for edit in layer.edits}
        known = {
            name: sum(edit["id"] in own for edit in one["edits"])
            for name, one in free.items()
            if one["kind"] == layer.kind
        }
        best = max(known, key=lambda name: known[name], default=None)
        if best is None or not known[best]:
            best = layer.name if layer.name in known else None
        if best is not None:
            del free[best]
        homes.append(best)
    patches = []
    for index, (layer, home) in enumerate(zip(wanted, homes)):
        if home is None:
            name = free_name(layer.name, names)
            below = homes[index - 1] if index else None
            above = next((one for one in homes[index:] if one is not None), None)
            place = names.index(below) + 1 if below else names.index(above) if above else len(names)
            patches.append(
                {
                    "name": name,
                    "kind": layer.kind,
                    **({"position": place} if place < len(names) else {}),
                }
            )
            names.insert(place, name)
            homes[index] = name
    return [home for home in homes if home is not None], patches


class _Stack:
    """The order of all edits, as it becomes patch by patch."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._order = {layer["name"]: [edit["id"] for edit in layer["edits"]] for layer in layers}
        self._home = {edit["id"]: layer["name"] for layer in layers for edit in layer["edits"]}
        self._edits = {edit["id"]: edit for layer in layers for edit in layer["edits"]}

    def put(self, edits: Sequence[Edit], home: str) -> list[dict[str, Any]]:
        """Patches that put edits into an edit layer as they are now, in their order from the bottom."""
        order = self._order.setdefault(home, [])
        here = [self._home.get(edit["id"]) == home for edit in edits]
        last_here = max((index for index, is_here in enumerate(here) if is_here), default=-1)
        patches: list[dict[str, Any]] = []
        at = -1  # of the edit before, from the bottom
        for index, edit in enumerate(edits):
            one = edit["id"]
            patch: dict[str, Any] = {}
            if here[index]:
                try:
                    at = order.index(one, at + 1)
                except ValueError:
                    # It lies below the one before, which so comes down by one and leaves it its place.
                    order.remove(one)
                    order.insert(at, one)
                    patch["position"] = at
            else:
                if one in self._home:
                    self._order[self._home[one]].remove(one)
                    patch["id"] = one
                at = at + 1 if index < last_here else len(order)
                if at < len(order):
                    patch["position"] = at
                order.insert(at, one)
            if one not in self._edits or not _same(self._edits[one], edit):
                patch.pop("id", None)
                patch["edit"] = dict(edit)
            elif patch:
                patch["id"] = one
            if patch:
                patches.append({"layer": home, **patch})
        return patches


def _same(one: Edit, other: Edit) -> bool:
    return one == other or _said(one) == _said(other)


def _said(edit: Edit) -> dict[str, Any]:
    """What an edit says, however it is written: lists and tuples alike, without what says nothing."""
    return {
        name: _listed(value)
        for name, value in edit.items()
        if name not in _DEFAULTS or value != _DEFAULTS[name]
    }


def _listed(value: Any) -> Any:
    return [_listed(one) for one in value] if isinstance(value, (list, tuple)) else value
