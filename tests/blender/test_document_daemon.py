"""The add-on's edit layers against a real daemon, as a process, with the client that the add-on uses."""

import os
import sys
from pathlib import Path

import pytest

from inve_blender.drawing import Brush, StrokeCapture
from inve_client.errors import InveError
from inve_client.plugin.document import EditDocument

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "daemon"))

from daemon_support import FRAMES, Daemon, write_clip

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the daemon's test process listens on ipc")


@pytest.fixture
def served(tmp_path, tmp_path_factory):
    sockets = tmp_path_factory.mktemp("s")
    sockets.chmod(0o700)
    daemon = Daemon(sockets, tmp_path / "store", tmp_path)
    yield daemon
    if daemon.process is not None and daemon.process.poll() is None:
        daemon.end()


def settle(document, client):
    """Fetch and send until there is nothing left to do."""
    for _ in range(50):
        if document.needs_fetch:
            said = client.describe_shot(document.shot, with_edits=True)
            document.merged(said["stack"], said["revision"])
        request = document.next_request()
        if request is None:
            if not document.needs_fetch:
                return
            continue
        try:
            said = getattr(client, request.kind)(**request.fields, request_id=request.request_id)
        except InveError as error:
            document.refused(request.request_id, error.code, error.message, error.details)
        else:
            document.confirmed(request.request_id, said["revision"])
    raise AssertionError("it never settles")


def shown(document):
    return [(layer["name"], [edit["id"] for edit in layer["edits"]]) for layer in document.layers]


def drawn(points):
    capture = StrokeCapture(Brush(4.0, 1.0, pressure_opacity=True), 32, 24)
    for number, (x, y) in enumerate(points):
        capture.add(x, y, number / len(points), number * 0.01)
    return [
        {"type": "stroke", "frame": FRAMES[0], "width": 4.0, "color": [1.0, 0.5, 0.0, 1.0], **line.fields()}
        for line in capture.finish()
    ]


def test_strokes_of_two_artists_a_restart_and_an_undo(served, tmp_path):
    clip = write_clip(tmp_path / "clip")
    client = served.start()
    client.open_shot("shot", clip.frames, [clip.mattes])
    one, two = EditDocument("shot"), EditDocument("shot")
    settle(one, client)
    settle(two, client)

    # It leaves the picture and comes back: two lines, one step.
    ids = one.add_edits("paint", drawn([(10, 5), (28, 5), (45, 8), (45, 15), (20, 15)]))
    assert len(ids) == 2
    two.add_edits("paint", drawn([(3, 20), (20, 20)]))
    two.change_layer("paint", opacity=0.5, blend="screen")
    settle(one, client)
    settle(two, client)
    assert (one.notes, two.notes) == ([], [])
    two_id = shown(two)[0][1][-1]
    assert shown(two) == [("paint", [*ids, two_id])]

    # The daemon goes away; what is drawn meanwhile waits in the saved file.
    client.close()
    served.end()
    one.add_layer("later", "sketch")
    opened = EditDocument.from_json(one.to_json())
    client = served.start()
    settle(opened, client)
    assert [row.name for row in opened.rows()] == ["later", "paint"]
    assert (opened.rows()[1].opacity, opened.rows()[1].blend, opened.rows()[1].edits) == (0.5, "screen", 3)

    for _ in range(4):
        opened.undo()
    settle(opened, client)
    assert shown(opened) == []
    opened.undo()
    settle(opened, client)
    assert len(opened.notes) == 1, opened.notes
    opened.redo()
    settle(opened, client)
    assert shown(opened) == [("paint", ids)]
    client.close()
