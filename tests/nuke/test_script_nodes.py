"""The INVE nodes that are known: one that was deleted a moment ago stands in nobody's way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from nuke_live import Nuke
from panel_support import connected

from inve_client.plugin.document import EditDocument
from inve_client.plugin.messages import ShotNews
from inve_nuke import shots


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[Nuke]:
    yield Nuke(tmp_path, "tcp://127.0.0.1:1")
    shots.stop()


def test_the_others_edits_are_kept_where_a_node_was_deleted_just_now(offline: Nuke) -> None:
    gone, stays = (offline.inve(None, 1, 4, shot=shot) for shot in ("gone", "stays"))
    live = offline.live
    live.look()
    live.edits.documents["stays"].add_layer("paint", "sketch")
    offline.nuke.delete(gone)
    offline.save()
    assert live.session.problem is None
    stored = EditDocument.from_json(stays["inve_document"].value())
    assert [layer["name"] for layer in stored.layers] == ["paint"]


def test_news_are_taken_in_where_a_node_was_deleted_just_now(offline: Nuke) -> None:
    gone, stays = (offline.inve(None, 1, 4, shot=shot) for shot in ("gone", "stays"))
    live = offline.live
    live.look()
    live.edits.documents.clear()
    offline.nuke.delete(gone)
    for news in (ShotNews("gone", "model", None), connected()):
        live._take_in(news)
    assert list(live.edits.documents) == ["stays"]
    assert [node.name for node in live.nodes] == [stays.name()]
    live.frames.update(live.edits.documents["stays"])
    assert live.nodes.is_due
