"""The paint input of an INVE node -> edits (`roto.py`), and what was made of them in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from inve_client.plugin.messages import RefusedError
from inve_nuke import geometry, roto
from inve_nuke.roto_elements import AttributeNames, RotoSettings
from inve_nuke.script_nodes import owner_of

if TYPE_CHECKING:
    from inve_client.plugin.steps import Step
    from inve_nuke.host import NukeHost
    from inve_nuke.host_types import HostNode
    from inve_nuke.node import InveNode


def of(host: NukeHost, node: InveNode) -> roto.Painted:
    """All that is painted on the node's paint input.

    Raises:
        RefusedError: there is no paint or no plate, the paint is disabled or has another format, Nuke is in
            proxy mode, or the curves cannot be read at all.
    """
    paint = node.paint
    if paint is None:
        raise RefusedError(
            f"{node.name} must have a RotoPaint or Roto node as its paint, got none; connect one."
        )
    if host.value(paint, "disable"):
        raise RefusedError(
            f"{host.name(paint)} must be enabled to be sent, and it is disabled; enable it (D), or "
            "disconnect it."
        )
    picture = picture_of(host, node.plate)
    geometry.check_same(host.name(paint), picture_of(host, paint), picture)
    settings = node.settings()
    return roto.convert(
        host.script(paint, "curves"),
        RotoSettings(
            owner=owner_of(node.key),
            name=host.name(paint),
            picture=picture,
            first=settings.first,
            last=settings.last,
            reference_frame=settings.reference_frame,
            adjustment=settings.grade,
            names=_names(host),
        ),
    )


def said(steps: Sequence[Step]) -> str:
    """What is sent, in words."""
    return "; ".join(step.label for step in steps) if steps else "all of them sent before"


def _names(host: NukeHost) -> AttributeNames:
    """What this Nuke calls the attributes that no saved script at hand has."""
    known = host.curve_constants("AnimAttributes")
    guess = AttributeNames()
    return AttributeNames(
        pressure_size=known.get("kDynamicSizeAttribute", guess.pressure_size),
        pressure_opacity=known.get("kDynamicTransparencyAttribute", guess.pressure_opacity),
        pressure_hardness=known.get("kDynamicHardnessAttribute", guess.pressure_hardness),
    )


def picture_of(host: NukeHost, of_node: HostNode) -> geometry.Picture:
    """The picture that a node gives.

    Raises:
        RefusedError: Nuke is in proxy mode.
    """
    found = host.format(of_node)
    return geometry.picture_of(
        host.name(of_node), found.width, found.height, found.pixel_aspect, proxy=host.proxy_is_on
    )
