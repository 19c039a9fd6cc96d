"""What is asked of the daemon for a node's frames: layers where wanted, the looked-at frame first."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from panel_support import add_layers, shot

from inve_client.plugin.document import EditDocument
from inve_client.plugin.messages import Connection, ConnectionState, RefusedError
from inve_client.plugin.result_files import RemoveFiles, RenderedFile, RenderFrame
from inve_client.plugin.session import Session
from inve_nuke.frames import NodeFrames
from inve_nuke.host import NukeHost
from inve_nuke.node import InveNode
from inve_nuke.result_versions import Result
from inve_nuke.script_nodes import ScriptNodes

if TYPE_CHECKING:
    from types import ModuleType


class Asked(Session):
    """A session whose requests are only noted."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = Connection(ConnectionState.CONNECTED, "tcp://127.0.0.1:47310")
        self.requests: list[Any] = []
        self.answers: list[Callable[[Any], None]] = []

    def ask(self, request: Any, done: Any = None, failed: Any = None, request_id: Any = None) -> str:
        self.requests.append(request)
        return ""

    @property
    def waiting(self) -> int:
        return len(self.requests)

    @property
    def frames(self) -> list[tuple[int, bool]]:
        return [(one.frame, one.layers) for one in self.requests if isinstance(one, RenderFrame)]


class Bench:
    def __init__(self, nuke: ModuleType) -> None:
        self.nuke, self.session = nuke, Asked()
        host = NukeHost()
        self.nodes = ScriptNodes(host, lambda node: None, lambda key: None)
        self.frames = NodeFrames(host, self.session, self.nodes, lambda node: True, lambda: None)
        from inve_nuke.node import insert

        self.node: InveNode = self.nodes.adopt(insert(host))
        group = self.node.host_node
        for knob, value in {"first": 1001, "last": 1010, "shot": "plate", "cache": "/cache"}.items():
            group[f"inve_{knob}"].setValue(value)
        self.session.remember_shot(shot("plate"))
        nuke.root()["frame"].setValue(1003)


@pytest.fixture
def bench(nuke: ModuleType) -> Bench:
    return Bench(nuke)


def test_the_looked_at_frame_comes_first_also_later(bench: Bench) -> None:
    run = bench.frames.request(bench.node, 4)
    bench.frames.rendering.tick()
    assert bench.session.frames == [(1003, False), (1004, False)]
    assert run.queue == [1005, 1006, 1007, 1008, 1009, 1010, 1001, 1002]
    assert run.total == 10
    bench.nuke.root()["frame"].setValue(1008)
    bench.frames.look({})
    assert run.queue == [1008, 1009, 1010, 1001, 1002, 1005, 1006, 1007]
    # The bar goes on where it was.
    assert run.total == 10
    bench.nuke.root()["frame"].setValue(2000)
    bench.frames.look({})
    assert run.current == 1008


def test_layers_are_asked_for_where_the_node_says_so(bench: Bench) -> None:
    first = bench.frames.request(bench.node, 4)
    bench.frames.rendering.tick()
    bench.node.host_node["inve_with_layers"].setValue(True)
    second = bench.frames.request(bench.node, 4)
    # Files without layers are none of this run.
    assert second is not first
    bench.frames.rendering.tick()
    assert bench.session.frames[2:] == [(1003, True), (1004, True)]
    assert bench.session.requests[-1].fields()["layers"] is True


def test_only_frames_that_the_shot_has_are_asked_for(bench: Bench) -> None:
    bench.node.host_node["inve_last"].setValue(2000)
    assert bench.frames.request(bench.node, 4).frames[-1] == 1048
    bench.node.host_node["inve_first"].setValue(1900)
    with pytest.raises(RefusedError, match=r"must have frames of its shot \(1001-1048\), got 1900-2000"):
        bench.frames.request(bench.node, 4)


def test_a_file_that_is_in_use_again_is_not_removed(bench: Bench) -> None:
    run = bench.frames.request(bench.node, 4)
    for name in ("first", "second", "first"):
        bench.frames.rendering._arrived(run, RenderedFile(1003, 4, "/cache", name, 0, 1, False), 4)
    result = Result("/cache", "plate", 1, 1001, 1010, 4)
    bench.frames._show(bench.node.key, result, frozenset((1003,)))
    (removal,) = [one for one in bench.session.requests if isinstance(one, RemoveFiles)]
    assert [os.path.basename(path) for path in removal.paths] == ["second"]
    assert run.superseded == set()


def test_layers_are_offered_once_they_have_come_also_in_a_version_that_had_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, layers = [], []

    def refresh(node: InveNode) -> list[str]:
        looks.append(node.name)
        return layers

    monkeypatch.setattr(InveNode, "refresh_layers", refresh)
    result = Result("/cache", "plate", 1, 1001, 1010, 4)
    bench.frames._show(bench.node.key, result, frozenset((1003,)))
    assert looks == []
    bench.node.host_node["inve_with_layers"].setValue(True)
    # Of frames that were on their way, the last without layers comes now.
    bench.frames._show(bench.node.key, result, frozenset((1003, 1004)))
    layers.append("uv")
    bench.frames._show(bench.node.key, result, frozenset((1003, 1004)))
    assert len(looks) == 2
    bench.frames._show(bench.node.key, result, frozenset((1003, 1004, 1005)))
    assert len(looks) == 2


def test_nothing_is_asked_of_a_shot_before_it_is_learned(bench: Bench) -> None:
    document = EditDocument("plate")
    add_layers(document, ["paint"])
    bench.session.remember_shot(shot("plate", trained=False, final=False))
    bench.frames.update(document)
    bench.frames.look({"plate": document})
    assert bench.frames.rendering.runs == {}
    bench.session.remember_shot(shot("plate"))
    bench.frames.look({"plate": document})
    assert bench.frames.rendering.runs[bench.node.key].left == 10


def test_the_result_of_another_shot_is_none(bench: Bench) -> None:
    document = EditDocument("plate")
    document.revision = 4
    for shot_name, asked in (("other", []), ("plate", [bench.node.key])):
        # The same edits are shown already, or others, but for this shot.
        bench.frames.results.adopt(bench.node.key, Result("/cache", shot_name, 1, 1001, 1010, 3))
        bench.frames.update(document)
        assert list(bench.frames.rendering.runs) == asked
    bench.frames.rendering.forget(bench.node.key)
    bench.frames.results.adopt(bench.node.key, Result("/cache", "other", 1, 1001, 1010, 4))
    add_layers(document, ["paint"])
    bench.frames.update(document)
    assert bench.frames.rendering.runs[bench.node.key].left == 10
