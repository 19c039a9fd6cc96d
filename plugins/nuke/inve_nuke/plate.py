"""The plate and the mattes, as files that the daemon can read.

Where the plate comes straight from a Read whose files the daemon reads to the very values that Nuke shows,
those files are named to it, and nothing is written. Anything else is rendered to EXR in the node's cache
folder. The wire has no field for a colour space: the daemon takes EXR as scene-linear as it is, PNG and JPEG
as sRGB; so a Read that is set to something else is rendered, which brings what Nuke shows. So are DPX, Cineon
and TIFF, whose curve the daemon takes from the file, and Nuke from the Read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_nuke import exr_frames
from inve_nuke.fingerprints import is_shifted

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode, PictureFormat
    from inve_nuke.node import InveNode
    from inve_nuke.node_settings import NodeSettings

_FRAME_TOKEN = re.compile(r"%(?:0\d+)?d|#+")  # a frame's number in a path: %04d, %d or ####
_LINEAR_FILES = (".exr",)
_SRGB_FILES = (".png", ".jpg", ".jpeg")
_PNG_HEADER = 65536  # bytes; what stands before the pixels is mostly less


@dataclass(frozen=True)
class Source:
    """Files that hold a node's frames.

    Attributes:
        pattern: absolute, with %04d or ####.
        why: they are rendered and not a Read's own files, a sentence; "" where they are.
        rendered: the frames that had to be rendered for it now.
    """

    pattern: str
    why: str = ""
    rendered: tuple[int, ...] = ()


def plate_of(host: NukeHost, node: InveNode) -> Source:
    """The plate's files, rendered where that must be.

    Raises:
        RefusedError: nothing is connected, proxy mode is on, the settings will not do, or rendering was
            cancelled (`cancelled`) or failed.
    """
    settings = node.settings()
    check_pictures(host, node)
    settings.check()
    read = behind(host, node.plate)
    why = "" if not settings.always_render_plate else "The node is set to always render the plate."
    why = why or why_not_direct(host, read, settings)
    why = why or _why_other_values(host, read, settings.first)
    if not why:
        return Source(file_of(host, read))
    return _rendered(host, node.plate, node, "plate", why)


def mattes_of(host: NukeHost, node: InveNode) -> tuple[Source, ...]:
    """The mattes' files, front to back, rendered where that must be.

    The daemon takes the alpha of a coloured picture whose alpha varies, else its first channel, as coverage
    and without a colour curve, so that a Read's colour space means nothing here.

    Raises:
        RefusedError: as `plate_of`; a matte has another format than the plate.
    """
    check_pictures(host, node)
    settings = node.settings()
    settings.check()
    found = []
    for number, matte in enumerate(node.mattes, 1):
        read = behind(host, matte)
        why = why_not_direct(host, read, settings)
        if not why and os.path.splitext(file_of(host, read))[1].lower() not in (*_LINEAR_FILES, *_SRGB_FILES):
            why = "The daemon reads mattes of other formats less surely than Nuke."
        if why:
            found.append(_rendered(host, matte, node, f"matte{number}", why))
        else:
            found.append(Source(file_of(host, read)))
    return tuple(found)


def check_pictures(host: NukeHost, node: InveNode) -> PictureFormat:
    """Look whether the pictures that are connected fit together; gives the plate's format.

    Raises:
        RefusedError: proxy mode is on, the format does not begin at its corner, a matte has another format.
    """
    if host.proxy_is_on:
        raise RefusedError(
            f"{node.name} needs pictures at full size, and proxy mode is on; switch it off (Ctrl+P)."
        )
    plate = host.format(node.plate)
    if (plate.x, plate.y) != (0, 0):
        raise RefusedError(
            f"The format of {host.name(node.plate)} must begin at (0, 0), got ({plate.x}, {plate.y}); put a "
            "Reformat above."
        )
    for matte in node.mattes:
        own = host.format(matte)
        if (own.width, own.height) != (plate.width, plate.height):
            raise RefusedError(
                f"{host.name(matte)} must have the plate's format of {plate.width}x{plate.height}, got "
                f"{own.width}x{own.height}; put a Reformat above."
            )
    return plate


def rendered_channels(host: NukeHost, node: HostNode) -> str:
    """Which of a node's channels are a picture, as a Write takes them."""
    channels = host.channels(node)
    if "rgba.red" not in channels:
        return "alpha"
    return "rgba" if "rgba.alpha" in channels else "rgb"


def behind(host: NukeHost, node: HostNode) -> HostNode:
    """The node whose picture this is, past what only passes it on."""
    while host.class_name(node) in ("Dot", "NoOp"):
        above = host.input(node, 0)
        if above is None:
            return node
        node = above
    return node


def why_not_direct(host: NukeHost, read: HostNode, settings: NodeSettings) -> str:
    """Why the files of a node cannot be named to the daemon; "" where they can."""
    name = host.name(read)
    if host.class_name(read) != "Read":
        return f"{name} is a {host.class_name(read)}, no Read."
    if host.value(read, "disable") or host.is_animated(read, "disable"):
        return f"{name} is disabled."
    path = str(host.value(read, "file"))
    if len(_FRAME_TOKEN.findall(path)) != 1:
        return f"The file of {name} is no sequence with one frame number."
    if not os.path.isabs(path) or re.search(r"\[|%[vV]", path):
        return f"The path of {name} is one that Nuke has to work out."
    if is_shifted(host, read):
        return f"{name} shows other frames than its files' numbers say."
    first, last = (int(host.value(read, knob)) for knob in ("first", "last"))
    if not first <= settings.first <= settings.last <= last:
        return f"{name} has the frames {first}-{last} only."
    return ""


def file_of(host: NukeHost, read: HostNode) -> str:
    """The pattern of a Read's files."""
    return str(host.value(read, "file"))


def _rendered(host: NukeHost, source: HostNode, node: InveNode, stem: str, why: str) -> Source:
    settings = node.settings()
    folder = f"{node.cache_folder}/{settings.shot}/{stem}"
    wanted = exr_frames.Wanted(folder, stem, settings.first, settings.last, rendered_channels(host, source))
    rendered = exr_frames.write(host, source, wanted)
    return Source(wanted.pattern, why, tuple(rendered))


def _why_other_values(host: NukeHost, read: HostNode, first: int) -> str:
    """Why the daemon would read other values than Nuke from a Read's files; "" where it would not."""
    name, suffix = host.name(read), os.path.splitext(file_of(host, read))[1].lower()
    space = "raw" if host.value(read, "raw") else str(host.value(read, "colorspace"))
    management, working = host.colour_management
    names = _names(space)
    if suffix in _LINEAR_FILES:
        linear = {"raw", "scene_linear"} | _names(working) | ({"linear"} if management == "Nuke" else set())
        return "" if names & linear else f"{name} converts its files from {space!r}."
    if suffix not in _SRGB_FILES or management != "Nuke" or "srgb" not in names:
        return f"The daemon would not read {suffix} files in {space!r} as Nuke does."
    if host.value(read, "premultiplied") or "rgba.alpha" in host.channels(read):
        return f"The daemon would not read the alpha of {name} as Nuke does."
    if suffix == ".png" and _has_own_curve(host.path_at(read, "file", first)):
        return f"The files of {name} name a gamma, which the daemon goes by and Nuke does not."
    return ""


def _has_own_curve(png: str) -> bool:
    """Whether a PNG says in its header that it has another curve than sRGB; a profile is read by neither."""
    try:
        with open(png, "rb") as file:
            header = file.read(_PNG_HEADER).partition(b"IDAT")[0]
    except OSError:
        # The daemon says what is the matter with it.
        return False
    return b"cICP" in header or (b"gAMA" in header and b"\0\0\0\1sRGB" not in header)


def _names(space: str) -> set[str]:
    """A colour space's names: Nuke shows "default (sRGB)" and "scene_linear (ACEScg)"."""
    return {name.strip().lower() for name in re.split(r"[()]", space) if name.strip()}
