"""What an INVE node gives the daemon to learn: plate, mattes and motion vectors, as files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inve_client.plugin.messages import OpenShot
from inve_nuke import plate, vectors

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.node import InveNode


def of(host: NukeHost, node: InveNode, say: Callable[[str], None]) -> OpenShot:
    """The request that makes the node's shot known; what is no file is rendered now, with Nuke's progress.

    Args:
        say: is told what was rendered, and why.

    Raises:
        RefusedError: something is connected that will not do, or the artist has cancelled the rendering.
    """
    settings = node.settings()
    settings.check()
    pictures = plate.plate_of(host, node)
    mattes = plate.mattes_of(host, node)
    flow = vectors.vectors_of(host, node)
    named = {"plate": pictures, **{f"matte {number}": matte for number, matte in enumerate(mattes, 1)}}
    for what, source in {**named, **({"vectors": flow} if flow is not None else {})}.items():
        if source.why:
            frames = f"{len(source.rendered)} of {settings.last - settings.first + 1} frames rendered now"
            say(f"{node.name}: the {what} goes as EXR, {frames}. {source.why}")
    return OpenShot(
        settings.shot,
        pictures.pattern,
        tuple(matte.pattern for matte in mattes),
        (settings.first, settings.last),
        flow=None if flow is None else flow.pattern,
    )
