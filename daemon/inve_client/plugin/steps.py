"""What an artist does to the edit layers, one step a request, and what each step makes of them.

Layers and edits are plain maps as in EDITS.json; what is given is never changed, only built upon. Here the
rules of SPEC.md's `patch_edits` and `remove_edits` stand once more, so that a step shows before the daemon
has answered.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .messages import RefusedError

Layer = Mapping[str, Any]
Edit = Mapping[str, Any]

KIND_OF_TYPE = {"stroke": "sketch", "texture": "texture", "adjustment": "adjustment"}
"""An edit's type -> the kind of layer that it lives in."""

_GIVEN = ("kind", "blend", "opacity", "enabled", "solo", "video_layer")


class StepImpossible(RefusedError):
    """A step that the layers do not allow; the message is one sentence for the artist."""


def new_id() -> str:
    """An id for a request or an edit."""
    return os.urandom(8).hex()


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, or where it is taken the name with the first free number."""
    numbered = (name if number == 0 else f"{name}.{number:03d}" for number in range(len(taken) + 1))
    return next(one for one in numbered if one not in taken)


@dataclass(frozen=True)
class Step:
    """One step of an artist.

    Attributes:
        kind: the request: patch_edits, remove_edits, put_edits, undo or redo.
        label: what it was, for people: "Stroke on 'paint'".
        layers: of a patch its layer maps, of a removal names.
        edits: of a patch its edit maps, of a removal ids.
        stack: of put_edits, all layers.
        request_id: by which the daemon knows it again.
        base_revision: that it was sent with, so that it can be sent again in the same bytes; None before.
    """

    kind: str
    label: str
    layers: tuple[Any, ...] = ()
    edits: tuple[Any, ...] = ()
    stack: tuple[Layer, ...] = ()
    request_id: str = field(default_factory=new_id)
    base_revision: int | None = None

    @property
    def is_sent(self) -> bool:
        """Whether the daemon may have it already."""
        return self.base_revision is not None

    def anew(self) -> Step:
        """The same step as another request."""
        return replace(self, request_id=new_id(), base_revision=None)

    def fields(self, shot: str) -> dict[str, Any]:
        """The fields of its request, but for its id."""
        fields: dict[str, Any] = {"shot": shot, "base_revision": self.base_revision}
        if self.kind == "put_edits":
            fields["stack"] = {"version": 2, "layers": list(self.stack)}
        elif self.kind in ("patch_edits", "remove_edits"):
            fields |= {"layers": list(self.layers), "edits": list(self.edits)}
        return fields


def apply(layers: Sequence[Layer], step: Step) -> tuple[Layer, ...]:
    """The layers after a step; undo and redo, of which only the daemon knows the outcome, leave them.

    Raises:
        StepImpossible: it names what is not there, or a name that is taken.
    """
    if step.kind == "put_edits":
        return step.stack
    if step.kind == "remove_edits":
        return _removed(layers, step)
    changed: list[Layer] = list(layers)
    for patch in step.layers:
        _patch_layer(changed, patch)
    known = _ids(changed)
    for patch in step.edits:
        _patch_edit(changed, patch, known)
    return tuple(changed)


def fitted(layers: Sequence[Layer], step: Step) -> Step | None:
    """A step that was made before others changed the layers, as it is to be done now.

    What it adds is kept: to a layer that is gone it goes in a new one of that name. What it removes and
    what is gone already is left out. Positions are kept within the layers.

    Returns:
        The step, or None where nothing is left to do.

    Raises:
        StepImpossible: what it changes is gone.
    """
    if step.kind == "remove_edits":
        names = {layer["name"] for layer in layers}
        ids = {edit["id"] for layer in layers for edit in layer["edits"]}
        left = replace(
            step,
            layers=tuple(name for name in step.layers if name in names),
            edits=tuple(one for one in step.edits if one in ids),
        )
        return left if left.layers or left.edits else None
    if step.kind != "patch_edits":
        return step
    changed: list[Layer] = list(layers)
    layer_patches: list[Any] = []
    for patch in step.layers:
        names = {layer["name"] for layer in changed}
        if patch["name"] not in names and patch.get("rename") in names:
            continue
        patch = _within(patch, len(changed) - (patch["name"] in names))
        _patch_layer(changed, patch)
        layer_patches.append(patch)
    for patch in step.edits:
        if "edit" in patch and all(layer["name"] != patch["layer"] for layer in changed):
            layer_patches.append({"name": patch["layer"], "kind": KIND_OF_TYPE[patch["edit"]["type"]]})
            _patch_layer(changed, layer_patches[-1])
    edit_patches: list[Any] = []
    known = _ids(changed)
    for patch in step.edits:
        one = _id_of(patch)
        others = [edit for layer in changed if layer["name"] == patch["layer"] for edit in layer["edits"]]
        patch = _within(patch, sum(edit["id"] != one for edit in others))
        _patch_edit(changed, patch, known)
        edit_patches.append(patch)
    if not layer_patches and not edit_patches:
        return None
    return replace(step, layers=tuple(layer_patches), edits=tuple(edit_patches))


def _within(patch: Mapping[str, Any], top: int) -> Mapping[str, Any]:
    position = patch.get("position")
    return patch if position is None or position <= top else {**patch, "position": top}


def _removed(layers: Sequence[Layer], step: Step) -> tuple[Layer, ...]:
    known = {edit["id"] for layer in layers for edit in layer["edits"]}
    names = {layer["name"] for layer in layers}
    for what, wanted, there in (("edit", step.edits, known), ("layer", step.layers, names)):
        for one in wanted:
            if one not in there:
                raise StepImpossible(f"There is no {what} {one!r} any more; somebody else removed it.")
    gone = set(step.edits)
    return tuple(
        {**layer, "edits": [edit for edit in layer["edits"] if edit["id"] not in gone]}
        for layer in layers
        if layer["name"] not in step.layers
    )


def _find(layers: Sequence[Layer], name: str) -> int | None:
    return next((number for number, layer in enumerate(layers) if layer["name"] == name), None)


def _patch_layer(layers: list[Layer], patch: Mapping[str, Any]) -> None:
    """Add a layer, or change one, in place."""
    name, rename = patch["name"], patch.get("rename")
    given = {key: patch[key] for key in _GIVEN if patch.get(key) is not None}
    number = _find(layers, name)
    if number is None and ("kind" not in given or rename is not None):
        raise StepImpossible(f"There is no layer {name!r} any more; somebody else removed or renamed it.")
    if rename is not None:
        if rename != name and _find(layers, rename) is not None:
            raise StepImpossible(f"There is a layer {rename!r} already; choose another name.")
        given["name"] = rename
    if number is None:
        fresh = {"name": name, "blend": "over", "opacity": 1.0, "enabled": True, "edits": [], **given}
        layers.insert(_position(patch, len(layers), len(layers)), fresh)
        return
    layer = {**layers.pop(number), **given}
    layers.insert(_position(patch, number, len(layers)), layer)


def _ids(layers: Sequence[Layer]) -> set[Any]:
    return {edit["id"] for layer in layers for edit in layer["edits"]}


def _patch_edit(layers: list[Layer], patch: Mapping[str, Any], known: set[Any]) -> None:
    """Add, replace or move an edit, in place.

    Args:
        layers: the layers so far.
        patch: of patch_edits.
        known: the ids of all edits, in place too: what is new is not searched for.
    """
    home = _find(layers, patch["layer"])
    if home is None:
        raise StepImpossible(f"There is no layer {patch['layer']!r} any more; somebody else removed it.")
    one = _id_of(patch)
    places = (
        (number, index)
        for number, layer in enumerate(layers)
        for index, edit in enumerate(layer["edits"])
        if edit["id"] == one
    )
    origin = next(places, None) if one in known else None
    known.add(one)
    if origin is None and "edit" not in patch:
        raise StepImpossible(f"There is no edit {one!r} any more; somebody else removed it.")
    edit = patch["edit"] if "edit" in patch else layers[origin[0]]["edits"][origin[1]]  # type: ignore[index]
    if layers[home]["kind"] != KIND_OF_TYPE[edit["type"]]:
        raise StepImpossible(
            f"The layer {patch['layer']!r} is for {layers[home]['kind']} edits and cannot hold a "
            f"{edit['type']}; choose or add another layer."
        )
    place = None
    if origin is not None:
        number, index = origin
        kept = list(layers[number]["edits"])
        del kept[index]
        layers[number] = {**layers[number], "edits": kept}
        place = index if number == home else None
    edits = list(layers[home]["edits"])
    edits.insert(_position(patch, len(edits) if place is None else place, len(edits)), edit)
    layers[home] = {**layers[home], "edits": edits}


def _id_of(patch: Mapping[str, Any]) -> Any:
    return patch["edit"]["id"] if "edit" in patch else patch["id"]


def _position(patch: Mapping[str, Any], default: int, top: int) -> int:
    position = patch.get("position")
    if position is None:
        return default
    if not 0 <= position <= top:
        raise StepImpossible(f"The position must be 0 to {top}, got {position}; choose one of these.")
    return int(position)
