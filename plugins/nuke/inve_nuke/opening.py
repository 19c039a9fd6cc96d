"""What an INVE node gives the daemon to learn: plate, mattes and motion vectors, as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inve_client.plugin.messages import OpenShot
from inve_nuke import plate, vectors

if TYPE_CHECKING:
    from inve_nuke.host import NukeHost
    from inve_nuke.node import InveNode


def of(host: NukeHost, node: InveNode) -> OpenShot:
    """The request that makes the node's shot known; what is no file is rendered now, with Nuke's progress.

    Raises:
        RefusedError: something is connected that will not do, or the artist has cancelled the rendering.
    """
    settings = node.settings()
    settings.check()
    pictures = plate.plate_of(host, node)
    mattes = plate.mattes_of(host, node)
    flow = vectors.vectors_of(host, node)
    return OpenShot(
        settings.shot,
        pictures.pattern,
        tuple(matte.pattern for matte in mattes),
        (pictures.first, pictures.last),
        flow=None if flow is None else flow.pattern,
    )
