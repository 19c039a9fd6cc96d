"""The INVE node: a Group whose knobs hold what the artist set and what is kept with the script.

    node = insert(host)                       # beneath the selection
    node.settings().check()
    node.show_result("/cache/inve/plate.v0001.%04d.exr", 1001, 1070)

The Group is toolsets/INVE.nk. It needs nothing of the plugin to show its last result: a Read of the rendered
frames, and a Switch between plate, result and a layer of the result, which shows the plate where a frame has
not arrived.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inve_client.plugin.messages import RefusedError
from inve_nuke.node_settings import NodeSettings

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode

TOOLSET = os.path.join(os.path.dirname(os.path.abspath(__file__)), "toolsets", "INVE.nk").replace("\\", "/")
GRADE = ("hue", "saturation", "brightness", "exposure", "contrast", "pivot", "gamma")
"""The knobs of adjustments, named as in EDITS.json."""
PLATE, PAINT, VECTORS, MATTES = 0, 2, 3, (1, 4, 5, 6)
"""The Group's inputs."""
NO_LAYER = "none"

_BAR_LENGTH = 10


class InveNode:
    """One INVE node of the script.

    Args:
        host: Nuke.
        node: the Group.

    Raises:
        RefusedError: it is no INVE node.
    """

    def __init__(self, host: NukeHost, node: HostNode) -> None:
        if not is_inve(host, node):
            raise RefusedError(
                f"{host.name(node)} is no INVE node; choose one, or add one from the menu INVE."
            )
        self.host, self.host_node = host, node
        self._status = ""

    @property
    def is_alive(self) -> bool:
        """Whether it still is in the script."""
        return self.host.is_alive(self.host_node)

    @property
    def name(self) -> str:
        """Its full name in the script."""
        return self.host.name(self.host_node)

    def settings(self) -> NodeSettings:
        """What the artist set, as it is; `check` looks whether it will do."""
        size = int(self._get("inve_size"))
        return NodeSettings(
            node=self.name,
            endpoint=str(self._get("inve_endpoint")).strip(),
            shot=str(self._get("inve_shot")).strip(),
            first=int(self._get("inve_first")),
            last=int(self._get("inve_last")),
            reference_frame=int(self._get("inve_reference")),
            preset=str(self._get("inve_preset")),
            working_size=size or None,
            grade={name: float(self._get(f"inve_{name}")) for name in GRADE},
            track_as=str(self._get("inve_track_as")),
            with_layers=bool(self._get("inve_with_layers")),
            always_render_plate=bool(self._get("inve_always_render")),
        )

    @property
    def cache_folder(self) -> str:
        """Where plates, vectors and results of this node are kept; absolute, with / on each platform.

        Raises:
            RefusedError: no folder is set, and the script was never saved; or it is relative, or its name has
                what Nuke replaces in paths.
        """
        written = str(self._get("inve_cache")).strip()
        folder = self.host.path_at(self.host_node, "inve_cache", self.host.frame).strip()
        if not folder:
            script = self.host.script_file
            if not script:
                raise RefusedError(
                    f"{self.name} keeps its files beside the script, which was never saved; save it, or set "
                    "the cache folder."
                )
            folder = os.path.join(os.path.dirname(os.path.abspath(script)), "inve")
        if not os.path.isabs(folder) or re.search("[%#]", written) or re.search(r"[\[%#]", folder):
            raise RefusedError(
                f"The cache folder of {self.name} must be an absolute path without [, % and #, which Nuke "
                f"replaces in the files' names, got {folder or written!r}; set another one in the tab Files."
            )
        return os.path.abspath(folder).replace("\\", "/")

    # What is connected

    @property
    def plate(self) -> HostNode:
        """The node at the plate input.

        Raises:
            RefusedError: there is none.
        """
        found = self.host.input(self.host_node, PLATE)
        if found is None:
            raise RefusedError(f"{self.name} has no plate; connect the footage to its plate input.")
        return found

    @property
    def paint(self) -> HostNode | None:
        """The RotoPaint or Roto node at the paint input.

        Raises:
            RefusedError: another kind of node is there.
        """
        found = self.host.input(self.host_node, PAINT)
        while found is not None and self.host.class_name(found) in ("Dot", "NoOp"):
            found = self.host.input(found, 0)
        if found is not None and self.host.class_name(found) not in ("RotoPaint", "Roto"):
            raise RefusedError(
                f"The paint input of {self.name} takes a RotoPaint or Roto node, got {self.host.name(found)} "
                f"({self.host.class_name(found)}); connect the node that you paint on."
            )
        return found

    @property
    def vectors(self) -> HostNode | None:
        """The node at the vectors input."""
        return self.host.input(self.host_node, VECTORS)

    @property
    def mattes(self) -> list[HostNode]:
        """The nodes at the matte inputs, front to back."""
        found = (self.host.input(self.host_node, index) for index in MATTES)
        return [node for node in found if node is not None]

    # What is kept with the script

    @property
    def key(self) -> str:
        """What the node is known by whatever it is called; "" where it never was."""
        return str(self._get("inve_key"))

    @key.setter
    def key(self, key: str) -> None:
        self._set("inve_key", key)

    @property
    def document(self) -> str:
        """The edits, as `EditDocument.to_json` writes them; "" for none."""
        return str(self._get("inve_document"))

    @document.setter
    def document(self, text: str) -> None:
        self._set("inve_document", text)

    @property
    def result(self) -> dict[str, Any]:
        """What the Read inside shows, as it was set; empty where there is none.

        Raises:
            RefusedError: it is damaged.
        """
        text = str(self._get("inve_result"))
        if not text:
            return {}
        try:
            found = json.loads(text)
        except ValueError as damage:
            raise RefusedError(
                f"What {self.name} stored of its last result is damaged ({damage}); press Render."
            ) from damage
        if not isinstance(found, dict):
            raise RefusedError(f"What {self.name} stored of its last result is no map; press Render.")
        return found

    @result.setter
    def result(self, saved: Mapping[str, Any]) -> None:
        self._set("inve_result", json.dumps(dict(saved), sort_keys=True) if saved else "")

    # What is shown

    def show_result(
        self, pattern: str, first: int, last: int, arrived: Collection[int] | None = None
    ) -> None:
        """Have the Read inside show rendered frames, those too that came under names that it has read.

        Args:
            pattern: of the files, with %04d.
            first, last: the frames of the result.
            arrived: those of them that are there, None for all; the others show the plate.
        """
        read = self._read
        wanted = {"first": first, "last": last, "origfirst": first, "origlast": last}
        if self.host.value(read, "file") != pattern:
            self.host.set_value(read, "file", pattern)
        for knob, frame in wanted.items():
            # `file` may have set them from what is on the disk by now.
            if self.host.value(read, knob) != frame:
                self.host.set_value(read, knob, frame)
        self.host.press(read, "reload")
        self.host.set_script(self.host_node, "inve_arrived", _steps(first, last, arrived))

    def refresh_layers(self) -> list[str]:
        """Offer the layers that the result's files have, as Nuke names them, and give their names."""
        found = dict.fromkeys(channel.rpartition(".")[0] for channel in self.host.channels(self._read))
        layers = [layer for layer in found if layer not in ("", "rgba")]
        chosen = str(self._get("inve_layer"))
        self.host.set_choices(self.host_node, "inve_layer", layers or [NO_LAYER])
        if chosen in layers:
            self._set("inve_layer", chosen)
        elif layers:
            self.show_layer(layers[0])
        return layers

    def show_layer(self, layer: str) -> None:
        """Choose the layer that is shown where `show` is at layer."""
        self._set("inve_layer", layer)
        self.host.set_value(self.host.inner(self.host_node, "INVE_Layer"), "in", layer)

    def show_status(self, text: str, share: float | None = None) -> None:
        """The status line; `share` 0..1 draws a bar before it."""
        if share is not None:
            filled = max(0, min(_BAR_LENGTH, round(share * _BAR_LENGTH)))
            text = f"{'▮' * filled}{'▯' * (_BAR_LENGTH - filled)} {text}"
        # Each change of a knob redraws the panel.
        if text != self._status:
            self._status = text
            self._set("inve_status", text)

    def rest(self) -> None:
        """Before the script is saved: who opens it without a daemon must not read that it is learning."""
        shows = "shows the last result" if self.host.value(self._read, "file") else "no result yet"
        self.show_status(f"Offline, {shows}.")

    @property
    def _read(self) -> HostNode:
        return self.host.inner(self.host_node, "INVE_Read")

    def _get(self, knob: str) -> Any:
        return self.host.value(self.host_node, knob)

    def _set(self, knob: str, value: Any) -> None:
        self.host.set_value(self.host_node, knob, value)


def is_inve(host: NukeHost, node: HostNode) -> bool:
    """Whether a node is an INVE node."""
    return host.class_name(node) == "Group" and host.has_knob(node, "inve_key")


def all_of(host: NukeHost, inside: HostNode | None = None) -> list[InveNode]:
    """All INVE nodes of the script, those in groups too.

    Args:
        inside: a group, to look in that only.
    """
    found = []
    for group in host.all_nodes("Group", inside):
        found += [InveNode(host, group)] if is_inve(host, group) else all_of(host, group)
    return found


def insert(host: NukeHost) -> InveNode:
    """Insert an INVE node beneath the selection, set up for what is above it, as one undo step.

    Raises:
        RefusedError: the toolset is missing.
    """
    taken = [node.settings().shot for node in all_of(host)]
    with host.undo("Insert INVE"):
        made = host.paste(TOOLSET)
        plate = host.input(made, PLATE)
        first, last = host.frame_range if plate is None else host.node_frames(plate)
        host.set_values(
            made,
            {
                "inve_shot": _free_name(_stem(host.script_file), taken),
                "inve_first": first,
                "inve_last": last,
                "inve_reference": min(max(host.frame, first), last),
            },
        )
    return InveNode(host, made)


def _stem(script: str) -> str:
    """A shot's name from that of the script's file."""
    stem = os.path.splitext(os.path.basename(script))[0]
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem).strip("._")[:56] or "shot"


def _free_name(stem: str, taken: Sequence[str]) -> str:
    if stem not in taken:
        return stem
    return next(name for name in (f"{stem}_{n}" for n in range(2, len(taken) + 3)) if name not in taken)


def _steps(first: int, last: int, arrived: Collection[int] | None) -> str:
    """The curve that is 1 at the frames that are there and 0 elsewhere, as a knob's text."""
    if arrived is None:
        return "1"
    keys, before = [], None
    for frame in range(first, last + 1):
        here = int(frame in arrived)
        if here != before:
            # K: it holds its value up to the next key.
            keys.append(f"K x{frame} {here}")
            before = here
    return "{curve " + " ".join(keys) + "}"
