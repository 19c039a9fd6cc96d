"""Edit documents over the session's link, against a daemon as a process that goes away and comes back."""

import pytest
from daemon_support import FRAMES, Daemon, write_clip, write_picture

from inve_client.plugin.document import EditDocument
from inve_client.plugin.editing import EditSync
from inve_client.plugin.messages import OpenShot
from inve_client.plugin.session import Session


class Artist:
    """A session with a document, as a plugin has them."""

    def __init__(self, endpoint):
        self.session = Session()
        self.changed, self.confirmed = [], []
        self.edits = EditSync(self.session, self.changed.append, self.confirmed.append)
        self.session.connect(endpoint)

    def open(self, text=""):
        self.document = self.edits.open(EditDocument.from_json(text) if text else EditDocument("shot"))
        return self.document

    def draw(self, x, layer="paint"):
        points = [[x, 10.0], [x + 5, 12.0]]
        edit = {"type": "stroke", "frame": FRAMES[0], "width": 3.0, "color": [1, 0, 0, 1], "points": points}
        (one,) = self.document.add_edits(layer, [edit])
        self.edits.send("shot")
        return one

    def settle(self, timeout_s=30):
        assert self.session.pump_until(self.is_settled, timeout_s), (self.document.held, self.session.problem)

    def is_settled(self):
        return self.session.is_connected and not self.document.waiting and not self.document.needs_fetch

    def shown(self):
        return [(layer["name"], [edit["id"] for edit in layer["edits"]]) for layer in self.document.layers]

    def end(self):
        self.edits.close()
        self.session.end(3)


@pytest.fixture
def artists(daemon: Daemon, tmp_path):
    """Makes artists at a started daemon that knows the shot."""
    clip = write_clip(tmp_path / "clip")
    daemon.start().close()
    made = []

    def make():
        one = Artist(daemon.endpoint)
        made.append(one)
        assert one.session.pump_until(lambda: one.session.is_connected, 20), one.session.connection
        one.session.ask(OpenShot("shot", clip.frames, (clip.mattes,)), one.session.remember_shot)
        assert one.session.pump_until(lambda: "shot" in one.session.shots, 20), one.session.problem
        one.open()
        return one

    yield make
    for one in made:
        one.end()


def test_each_step_is_sent_at_once_and_another_artist_sees_it(artists):
    one, two = artists(), artists()
    first = one.draw(3)
    assert one.shown() == [("paint", [first])], "it shows before the daemon has it"
    one.settle()
    assert set(one.confirmed) == {"shot"}
    two.session.pump_until(lambda: two.shown() == [("paint", [first])], 20)
    assert two.shown() == [("paint", [first])]
    assert "shot" in two.confirmed, "what others did is to be rendered too"

    # Both at the same moment: one of them is refused, fitted, and sent again.
    a, b = one.draw(5), two.draw(8)
    one.settle()
    two.settle()
    one.session.pump_until(lambda: len(one.shown()[0][1]) == 3, 20)
    assert one.shown() == two.shown()
    assert {*one.shown()[0][1]} == {first, a, b}
    assert one.session.problem is two.session.problem is None


def test_a_dragged_slider_is_few_requests(artists):
    one = artists()
    one.draw(3)
    one.settle()
    before = one.document.revision
    for step in range(60):
        one.document.change_layer("paint", opacity=step / 60)
        one.edits.send("shot")
        if step % 20 == 0:
            one.session.pump()
    one.settle()
    assert one.document.layers[0]["opacity"] == 59 / 60
    one.document.undo()
    one.edits.send("shot")
    one.settle()
    assert one.document.layers[0].get("opacity", 1) != 59 / 60
    assert one.document.revision - before <= 6


def test_steps_outlive_the_daemon_and_the_add_on(artists, daemon):
    one = artists()
    one.draw(3)
    one.settle()
    # Killed with a step on its way: it is done once, whether the daemon had it or not.
    during = one.draw(6)
    daemon.end()
    later = one.draw(9)
    one.session.pump_until(lambda: not one.session.is_connected, 20)
    assert one.document.waiting == 2
    text = one.document.to_json()
    daemon.start().close()
    one.settle(60)
    assert [edit for _, edits in one.shown() for edit in edits][1:] == [during, later]

    # The file as it was saved while the daemon was away: its steps are known there already.
    two = artists()
    two.open(text)
    two.settle()
    assert two.shown() == one.shown()


def test_a_refusal_is_said_and_the_rest_goes_on(artists, tmp_path):
    one = artists()
    write_picture(tmp_path / "sign.png")
    place = {"type": "texture", "frame": FRAMES[0], "x": 10, "y": 10, "width": 8, "height": 6}
    one.document.add_edits("sign", [{**place, "image": "/etc/hostname"}])
    good = one.document.add_edits("logo", [{**place, "image": str(tmp_path / "sign.png")}])
    one.edits.send("shot")
    one.settle()
    assert "/etc/hostname" in one.session.problem.message
    assert one.shown() == [("logo", good)]
    assert one.document.layers[0]["edits"][0]["image"].startswith("sha256:"), "as the daemon stored it"
