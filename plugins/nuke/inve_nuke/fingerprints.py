"""What a node's picture depends on, as a text for each frame that changes when the picture may have.

Two things go into it: everything above the node (classes, knobs, connections, with their animation whole),
and the files that are read, with their size and time; a file that is not found counts as changed. Nuke's own
hashes (`Node.opHashes`) are for the frame that is current, and going through the frames would make the viewer
follow.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How a node looks in the graph and its panel changes no pixel.
_LOOKS = _words(
    "name label autolabel xpos ypos selected tile_color gl_color icon note_font note_font_size "
    "note_font_color postage_stamp postage_stamp_frame hide_input dope_sheet bookmark indicators help "
    "cached reload panelDropped onCreate onDestroy knobChanged updateUI"
)
# These take the picture at a frame from their inputs at that very frame. For any other class each frame is
# taken to depend on all of the files, which costs time and never a wrong picture. RotoPaint is not here: its
# Reveal and Clone may take from another frame.
_SAME_FRAME = _words(
    "Read Dot NoOp Input Output Group Switch Dissolve Constant CheckerBoard2 ColorBars Ramp Radial "
    "Rectangle Roto Text2 Grade ColorCorrect Saturation HueCorrect HueShift EXPTool Gamma "
    "Clamp Invert Add Multiply Colorspace OCIOColorSpace OCIOCDLTransform OCIOFileTransform "
    "OCIOLogConvert Log2Lin Vectorfield ColorLookup ColorMatrix Premult Unpremult Expression Crop "
    "Reformat Transform Mirror2 CornerPin2D STMap LensDistortion2 AdjBBox BlackOutside Tracker4 "
    "Stabilize2D Merge2 Keymix Copy ChannelMerge Shuffle Shuffle2 ShuffleCopy Remove AddChannels Blur "
    "Defocus Sharpen Soften Median EdgeBlur FilterErode Dilate Erode Keyer Keylight Primatte3 "
    "IBKColourV3 IBKGizmoV3 Grain2"
)
_FILE_KNOBS = ("file", "vfield_file", "cdl_file")


class Fingerprints:
    """The fingerprints of a node's frames. Takes a moment at the start, for all that is above is read once.

    Args:
        host: Nuke.
        node: whose picture.
        first, last: the frames that will be asked for.
    """

    def __init__(self, host: NukeHost, node: HostNode, first: int, last: int) -> None:
        self._host, self._range = host, (first, last)
        self._sequences: list[_Sequence] = []
        self._mixes_frames = False
        settings = (host.colour_management, host.format(node))
        tree = "\n".join([repr(settings), *self._lines(node)])
        self._tree = hashlib.blake2b(tree.encode(), digest_size=16)
        self._all = self._stamps_of_all() if self._mixes_frames else ""

    def at(self, frame: int) -> str:
        """The fingerprint of a frame, 32 hexadecimal digits."""
        stamps = self._all or "\n".join(sequence.stamp(frame) for sequence in self._sequences)
        whole = self._tree.copy()
        whole.update(f"\n{stamps}".encode())
        return whole.hexdigest()

    def _lines(self, node: HostNode) -> list[str]:
        """A line for each node above, itself included; without recursion, for chains may be long."""
        host = self._host
        found: dict[str, HostNode] = {host.name(node): node}
        above: dict[str, list[str]] = {}
        waiting = [node]
        while waiting:
            one = waiting.pop()
            others = {host.name(other): other for other in host.inside(one) + host.upstream(one)}
            above[host.name(one)] = list(others)
            waiting += [other for name, other in others.items() if name not in found]
            found.update(others)
        # What a node is called makes no difference.
        number = {name: index for index, name in enumerate(found)}
        return [
            repr((host.class_name(one), self._knobs(one), [number[other] for other in above[name]]))
            for name, one in found.items()
        ]

    def _knobs(self, node: HostNode) -> dict[str, str]:
        host = self._host
        class_name = host.class_name(node)
        self._mixes_frames = self._mixes_frames or class_name not in _SAME_FRAME
        self._take_files(node, class_name)
        return {name: host.script(node, name) for name in sorted(host.knobs(node)) if name not in _LOOKS}

    def _take_files(self, node: HostNode, class_name: str) -> None:
        for knob in _FILE_KNOBS:
            if (
                not self._host.has_knob(node, knob)
                or not self._host.value(node, knob)
                or class_name == "Write"
            ):
                continue
            path_at = functools.partial(self._host.path_at, node, knob)
            if class_name != "Read":
                self._sequences.append(_Sequence(path_at, 1, 0))
                continue
            first, last = (int(self._host.value(node, name)) for name in ("first", "last"))
            self._mixes_frames = self._mixes_frames or is_shifted(self._host, node)
            self._sequences.append(_Sequence(path_at, first, last))

    def _stamps_of_all(self) -> str:
        first, last = self._range
        stamps = []
        for sequence in self._sequences:
            low, high = min(first, sequence.first), max(last, sequence.last)
            stamps += sorted({sequence.stamp(frame) for frame in range(low, high + 1)})
        return "\n".join(stamps)


def is_shifted(host: NukeHost, read: HostNode) -> bool:
    """Whether a Read shows other files than those of the frames' own numbers."""
    return bool(str(host.value(read, "frame")).strip()) or str(host.value(read, "frame_mode")) != "expression"


@dataclass(frozen=True)
class _Sequence:
    """Files of a node, their paths by the frame; `last` before `first` where the numbers have no bounds."""

    path_at: Callable[[int], str]
    first: int
    last: int

    def stamp(self, frame: int) -> str:
        """What a frame's file looks like from outside; a Read holds its first and last frame."""
        if self.last >= self.first:
            frame = min(max(frame, self.first), self.last)
        path = self.path_at(frame)
        # Of views that Nuke has left open, all files count.
        names = sorted(glob.glob(re.sub(r"%[vV]", "*", path))) if re.search(r"%[vV]", path) else []
        names = names or [path]
        return " ".join(f"{name} {_status(name)}" for name in names)


def _status(path: str) -> str:
    try:
        if not os.path.isabs(path):
            raise FileNotFoundError(path)
        status = os.stat(path)
    except OSError:
        # Nuke may find it where we do not, and then nobody saw whether it changed.
        return f"not found {uuid.uuid4().hex}"
    return f"{status.st_size} {status.st_mtime_ns}"
