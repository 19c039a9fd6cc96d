"""The edits of a shot as SPEC.md tells of them, in the most obvious way: lists that are copied and searched.

What the daemon does with a stack is held against this. A layer is a map of its fields with a list of edits,
an edit a map of `kind`, `frame`, `width` and `id`; an id is None until the daemon is seen to have given one.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any

Plain = dict[str, Any]
SETTINGS = {"blend": "over", "opacity": 1.0, "enabled": True, "solo": False, "video_layer": "auto"}


class Refused(Exception):
    """The change must be refused."""


class ModelShot:
    """A shot's edits with their history.

    Args:
        frames: the shot's.
        video_layers: their names.
    """

    def __init__(self, frames: Collection[int], video_layers: Collection[str]) -> None:
        self.frames, self.video_layers = frames, video_layers
        self.states: list[list[Plain]] = [[]]
        self.at = 0
        # How many states the last change has cut off, which no redo may bring back.
        self.cut = 0

    @property
    def layers(self) -> list[Plain]:
        """The current stack, the bottom layer first."""
        return self.states[self.at]

    def put(self, layers: list[Plain]) -> None:
        self._push([{**SETTINGS, **layer} for layer in copy.deepcopy(layers)])

    def copy_from(self, other: ModelShot, frame_offset: int) -> None:
        layers = copy.deepcopy(other.layers)
        for layer in layers:
            for edit in layer["edits"]:
                edit["frame"] += frame_offset
        self._push(layers)

    def patch(self, layers: list[Plain], edits: list[Plain]) -> None:
        draft = copy.deepcopy(self.layers)
        for patch in layers:
            _patch_layer(draft, patch)
        for patch in edits:
            _patch_edit(draft, patch)
        self._push(draft)

    def remove(self, edits: list[str], layers: list[str]) -> None:
        draft = copy.deepcopy(self.layers)
        if set(edits) - {edit["id"] for layer in draft for edit in layer["edits"]}:
            raise Refused
        if set(layers) - {layer["name"] for layer in draft}:
            raise Refused
        draft = [layer for layer in draft if layer["name"] not in layers]
        for layer in draft:
            layer["edits"] = [edit for edit in layer["edits"] if edit["id"] not in edits]
        self._push(draft)

    def step(self, direction: int) -> None:
        if not 0 <= self.at + direction < len(self.states):
            raise Refused
        self.at += direction

    def _push(self, layers: list[Plain]) -> None:
        self._check(layers)
        if layers == self.layers:
            return
        self.cut = len(self.states) - 1 - self.at
        self.states = [*self.states[: self.at + 1], layers]
        self.at += 1

    def _check(self, layers: list[Plain]) -> None:
        names = [layer["name"] for layer in layers]
        ids = [one["id"] for layer in layers for one in (layer, *layer["edits"]) if one["id"] is not None]
        fits = len(set(names)) == len(names) and len(set(ids)) == len(ids)
        for layer in layers:
            fits &= layer["kind"] != "adjustment" or layer["blend"] == "over"
            fits &= layer["video_layer"] in {"auto", *self.video_layers}
            for edit in layer["edits"]:
                fits &= edit["kind"] == layer["kind"] and edit["frame"] in self.frames
        if not fits:
            raise Refused


def _patch_layer(draft: list[Plain], patch: Plain) -> None:
    fields = {name: value for name, value in patch.items() if name in SETTINGS or name == "kind"}
    found = [number for number, layer in enumerate(draft) if layer["name"] == patch["name"]]
    if found:
        layer = draft.pop(found[0])
        place = found[0]
    else:
        if "kind" not in patch or "rename" in patch:
            raise Refused
        layer = {**SETTINGS, "name": patch["name"], "id": None, "edits": []}
        place = len(draft)
    layer.update(fields, name=patch.get("rename", patch["name"]))
    if any(other["name"] == layer["name"] for other in draft):
        raise Refused
    _insert(draft, patch.get("position", place), layer)


def _patch_edit(draft: list[Plain], patch: Plain) -> None:
    homes = [layer for layer in draft if layer["name"] == patch["layer"]]
    if not homes or ("edit" in patch) == ("id" in patch):
        raise Refused
    edits = homes[0]["edits"]
    place = len(edits)
    wanted = patch["edit"]["id"] if "edit" in patch else patch["id"]
    edit = None
    for layer in draft:
        for number, one in enumerate(layer["edits"]):
            if wanted is not None and one["id"] == wanted:
                edit = one
                home, index = layer, number
    if edit is not None:
        home["edits"].pop(index)
        place = index if home is homes[0] else len(edits)
    elif "id" in patch:
        raise Refused
    _insert(edits, patch.get("position", place), dict(patch.get("edit", edit)))


def _insert(items: list[Plain], place: int, item: Plain) -> None:
    if place > len(items):
        raise Refused
    items.insert(place, item)
