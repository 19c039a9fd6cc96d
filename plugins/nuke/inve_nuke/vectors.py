"""Motion vectors from Nuke, as EXR files that the daemon learns from in the place of its own optical flow.

They are taken from the vectors input, or from the plate where it carries them, as it does beneath a
VectorGenerator: whatever has the channels forward.u, forward.v, backward.u and backward.v, in pixels, v up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_nuke import exr_frames
from inve_nuke.plate import Source, behind, check_pictures, file_of, why_not_direct

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode

CHANNELS = ("forward.u", "forward.v", "backward.u", "backward.v")


def vectors_of(host: NukeHost, node: InveNode) -> Source | None:
    """The files of the motion vectors, those of a Read or rendered; None where nothing gives any.

    Raises:
        RefusedError: what is at the vectors input has none, or another format than the plate; proxy mode is
            on; rendering was cancelled (`cancelled`) or failed.
    """
    plate = check_pictures(host, node)
    settings = node.settings()
    settings.check()
    source = node.vectors
    if source is None:
        if not set(CHANNELS) <= set(host.channels(node.plate)):
            return None
        source = node.plate
    _check(host, source, node)
    own = host.format(source)
    if (own.width, own.height) != (plate.width, plate.height):
        raise RefusedError(
            f"{host.name(source)} must have the plate's format of {plate.width}x{plate.height}, got "
            f"{own.width}x{own.height}; generate the vectors from the plate."
        )
    read = behind(host, source)
    # Vectors are slow to make, so that many have them rendered already. No curve is meant for their values.
    why = why_not_direct(host, read, settings)
    if not why and not file_of(host, read).lower().endswith(".exr"):
        why = f"The files of {host.name(read)} are no EXR."
    if not why:
        return Source(file_of(host, read))
    folder = f"{node.cache_folder}/{settings.shot}/vectors"
    wanted = exr_frames.Wanted(folder, "vectors", settings.first, settings.last, "all")
    with host.unrecorded():
        # The plate's own channels would treble the files.
        only = host.create("Remove", beside=source, inputs=[source])
        try:
            host.set_values(only, {"operation": "keep", "channels": "forward", "channels2": "backward"})
            rendered = exr_frames.write(host, only, wanted)
        finally:
            host.delete(only)
    return Source(wanted.pattern, why, tuple(rendered))


def _check(host: NukeHost, source: HostNode, node: InveNode) -> None:
    missing = [channel for channel in CHANNELS if channel not in host.channels(source)]
    if missing:
        raise RefusedError(
            f"The vectors input of {node.name} must give {', '.join(CHANNELS)}, {host.name(source)} lacks "
            f"{', '.join(missing)}; connect a VectorGenerator, or nothing."
        )
