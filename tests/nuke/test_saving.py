"""What the script keeps of the edits, and when it counts as changed."""

from __future__ import annotations

import json

import pytest
from nuke_live import Nuke, ready, stroke

import stage
from inve_client.plugin.document import EditDocument

NEWER = json.dumps({"version": 99, "shot": "plate", "all": "of it"})
DAMAGED = '{"version": 1, "shot": "pla'


def offline(nuke: Nuke) -> str:
    """A script of one painted node whose edits are known, opened again without a daemon; its key."""
    node = ready(nuke, stroke("Brush1", [(10, 14), (15, 12)]))
    nuke.run(node, "send_edits")
    path = nuke.save()
    nuke.session.disconnect()
    nuke.nuke.scriptOpen(path)
    nuke.live.look()
    return nuke.key(nuke.nuke.toNode("INVE1"))


def test_what_cannot_be_read_is_kept_until_the_daemon_has_told(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits")
    for text in (NEWER, DAMAGED):
        live.session.disconnect()
        live.live.close_script()
        node["inve_document"].setValue(text)
        live.live.look()
        live.save()
        assert node["inve_document"].value() == text
        live.live.close_script()
        assert node["inve_document"].value() == text
        live.run(node, "connect")
        live.until(lambda: live.live.document(live.key(node)).revision is not None)
        live.save()
        kept = EditDocument.from_json(node["inve_document"].value())
        assert [len(layer["edits"]) for layer in kept.layers] == [1]


def test_a_close_that_does_not_happen_loses_nothing(live: Nuke) -> None:
    key = offline(live)
    document = live.live.document(key)
    assert document is not None
    document.change_layer("RotoPaint1", opacity=0.25)
    live.live.close_script()
    # The artist has pressed Cancel: all of it is still there.
    live.live.look()
    again = live.live.document(key)
    assert again is not None
    assert again is not document
    assert [step.label for step in again.pending] == ["Change layer 'RotoPaint1'"]
    assert again.layers[0]["opacity"] == 0.25


def test_what_the_plugin_writes_leaves_a_script_saved(live: Nuke) -> None:
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    live.run(node, "send_edits", "render")
    root = live.nuke.root()
    assert root.modified()
    live.save()
    assert not root.modified()
    live.live.look_at_once()
    assert live.status(node) == "Ready, 30.0 dB."
    live.live.change(live.key(node), lambda edits: edits.change_layer("RotoPaint1", opacity=0.5))
    live.run(node, "render")
    assert not root.modified()
    node["inve_first"].setValue(1002)
    live.live.look_at_once()
    live.live.store()
    assert root.modified()


@pytest.mark.parametrize("tells_all_changes", [False, True])
def test_each_change_may_be_told_or_only_the_artists(
    live: Nuke, monkeypatch: pytest.MonkeyPatch, tells_all_changes: bool
) -> None:
    """Nuke 17.1 tells of the plugin's own changes too, and with the panel closed."""
    live.stage.tells_all_changes = tells_all_changes
    layers = ["edit.one", "edit.two", "matte.1"]
    monkeypatch.setattr(type(live.live.host), "channels", lambda *_: [f"{layer}.red" for layer in layers])
    node = ready(live, stroke("Brush1", [(10, 14), (15, 12)]))
    node["inve_with_layers"].setValue(True)
    node.showControlPanel()
    live.run(node, "send_edits", "render")
    assert list(node["inve_layer"].values()) == layers
    for layer in ("matte.1", "edit.one", "edit.two"):
        stage.move(node, "inve_layer", layer)
        assert node["inve_layer"].value() == node.node("INVE_Layer")["in"].value() == layer
    # A layer is made anew: what was chosen stays.
    layers.insert(0, "edit.three")
    live.live.nodes.of(node).refresh_layers()
    assert node["inve_layer"].value() == node.node("INVE_Layer")["in"].value() == "edit.two"
    live.run(node, "send_edits", "render")
    assert live.session.problem is None
