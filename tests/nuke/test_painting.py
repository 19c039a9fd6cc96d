"""The paint input of an INVE node, before it goes over the wire."""

from __future__ import annotations

from types import ModuleType

import pytest
from nuke_live import stroke, strokes

from inve_client.plugin.messages import RefusedError
from inve_nuke import node as nodes
from inve_nuke import painting
from inve_nuke.node import InveNode
from stage import Stage


@pytest.fixture
def node(stage: Stage, nuke: ModuleType) -> InveNode:
    """An INVE node beneath a plate, with a stroke on a RotoPaint at its paint."""
    from inve_nuke.host import NukeHost

    plate = nuke.nodes.Constant()
    plate["format"].fromScript("32 24 0 0 32 24 1 plate")
    plate.setSelected(True)
    made = nodes.insert(NukeHost())
    paint = nuke.nodes.RotoPaint(inputs=[plate])
    paint["curves"].fromScript(strokes(stroke("Brush1", [(2, 2), (4, 4)], frame=1)))
    made.host_node.setInput(nodes.PAINT, paint)
    return made


def test_paint_that_is_disabled_is_not_sent(node: InveNode, nuke: ModuleType) -> None:
    assert [len(layer.edits) for layer in painting.of(node.host, node).layers] == [1]
    nuke.toNode("RotoPaint1")["disable"].setValue(True)
    with pytest.raises(RefusedError, match=r"RotoPaint1 must be enabled .* it is disabled; enable it"):
        painting.of(node.host, node)
