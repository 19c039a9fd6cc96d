"""A plugin's edit layers, against a daemon made of the real one's own functions."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inve_client.errors import EditError, InveError, NothingToUndo, StaleRevision
from inve_client.plugin.document import EditDocument
from inve_client.plugin.steps import Step, StepImpossible, apply, new_id
from inve_client.plugin.syncing import DocumentError
from inve_core.edits import EditStack, parse_stack
from inve_core.errors import CoreError
from inve_daemon import editing, schema
from inve_daemon.keeping import StackKeeper


class Daemon:
    """A shot's edits as the daemon keeps them, by its own decoding and changes: revisions, undo, answers."""

    def __init__(self):
        self.states, self.at, self.revision = [EditStack()], 0, 0
        self.answers = {}

    def describe(self):
        return editing.plain(self.states[self.at]), self.revision

    def ask(self, request):
        """Do a request once; returns the revision."""
        if request.request_id in self.answers:
            return self.answers[request.request_id]
        body = {"kind": request.kind, "id": request.request_id, **request.fields}
        try:
            asked = schema.decode_request(schema.msgspec.msgpack.encode(body), 1 << 24)
        except schema.Refused as refused:
            raise refused.error from refused
        if asked.base_revision not in (None, self.revision):
            raise StaleRevision("The edits were changed.", revision=self.revision)
        stack = self.states[self.at]
        if request.kind in ("undo", "redo"):
            at = self.at + (1 if request.kind == "redo" else -1)
            if not 0 <= at < len(self.states):
                raise NothingToUndo(f"There is nothing to {request.kind}.")
            self.at = at
        else:
            if request.kind == "patch_edits":
                stack, _ = editing.patched(stack, asked.layers, asked.edits)
            elif request.kind == "remove_edits":
                stack = editing.without(stack, asked.edits, asked.layers)
            else:
                stack = asked.stack
            try:
                stack, _ = StackKeeper().checked(stack)
            except CoreError as error:
                raise EditError(str(error)) from error
            if stack == self.states[self.at]:
                self.answers[request.request_id] = self.revision
                return self.revision
            self.states[self.at + 1 :] = [stack]
            self.at += 1
        # Grows by more than one: other shots count too.
        self.revision += 3
        self.answers[request.request_id] = self.revision
        return self.revision


def exchange(document, daemon):
    """One request, with its answer."""
    request = document.next_request()
    if request is None:
        return False
    try:
        revision = daemon.ask(request)
    except InveError as error:
        document.refused(request.request_id, error.code, error.message, error.details)
    else:
        document.confirmed(request.request_id, revision)
    return True


def settle(document, daemon):
    """Fetch and send until there is nothing left to do."""
    for _ in range(200):
        if document.needs_fetch:
            document.merged(*daemon.describe())
        if not exchange(document, daemon) and not document.needs_fetch:
            return document
    raise AssertionError("it never settles")


def stroke(x=10.0, **more):
    return {"type": "stroke", "frame": 1, "points": [[x, 5.0]], "width": 4.0, "color": [1, 0, 0, 1], **more}


def shown(document):
    """Names and edit ids of all layers, bottom to top."""
    return [(layer["name"], [edit["id"] for edit in layer["edits"]]) for layer in document.layers]


def stored(daemon):
    return [(layer.name, [edit.id for edit in layer.edits]) for layer in daemon.states[daemon.at].layers]


@pytest.fixture
def daemon():
    return Daemon()


@pytest.fixture
def document(daemon):
    return settle(EditDocument("shot"), daemon)


def test_each_step_is_one_request_with_its_base(document, daemon):
    (first,) = document.add_edits("paint", [stroke()])
    request = document.next_request()
    assert (request.kind, request.fields["shot"], request.fields["base_revision"]) == (
        "patch_edits",
        "shot",
        0,
    )
    assert request.fields["layers"] == [{"name": "paint", "kind": "sketch"}]
    assert document.next_request() is None, "one at a time"
    (second,) = document.add_edits("paint", [stroke(20)])
    assert shown(document) == [("paint", [first, second])]
    document.confirmed(request.request_id, daemon.ask(request))
    settle(document, daemon)
    assert (daemon.at, document.waiting, document.needs_fetch) == (2, 0, False)
    assert stored(daemon) == shown(document)


def test_what_the_list_shows(document, daemon):
    document.add_edits("paint", [stroke(), stroke(30)])
    assert document.add_layer("paint", "sketch") == "paint.001"
    document.change_layer("paint", opacity=0.5, blend="multiply")
    document.change_layer("paint.001", enabled=False, solo=True)
    for _ in range(2):
        rows = [
            (row.index, row.name, row.blend, row.opacity, row.enabled, row.solo, row.edits)
            for row in document.rows()
        ]
        assert rows == [
            (1, "paint.001", "over", 1.0, False, True, 0),
            (0, "paint", "multiply", 0.5, True, False, 2),
        ]
        settle(document, daemon)
        document.merged(*daemon.describe())


def test_layers_are_renamed_moved_and_removed(document, daemon):
    for name in ("a", "b", "c"):
        document.add_layer(name, "sketch")
    document.rename_layer("a", "ground")
    document.move_layer("ground", 2)
    document.remove_layer("b")
    assert [name for name, _ in shown(document)] == ["c", "ground"]
    settle(document, daemon)
    assert stored(daemon) == shown(document)
    with pytest.raises(StepImpossible, match="layer 'c' already"):
        document.rename_layer("ground", "c")
    with pytest.raises(StepImpossible, match="position must be 0 to 1, got 2"):
        document.move_layer("c", 2)
    assert document.waiting == 0


def test_edits_are_replaced_moved_and_removed(document, daemon):
    one, two, three = document.add_edits("a", [stroke(1), stroke(2), stroke(3)])
    document.add_layer("b", "sketch")
    document.move_edit(three, position=0)
    document.move_edit(one, layer="b")
    document.replace_edit(stroke(9, id=two))
    assert shown(document) == [("a", [three, two]), ("b", [one])]
    settle(document, daemon)
    assert stored(daemon) == shown(document)
    assert daemon.states[daemon.at].layers[0].edits[1].points == ((9.0, 5.0),)
    document.remove_edits([two, one])
    settle(document, daemon)
    assert stored(daemon) == [("a", [three]), ("b", [])]
    document.add_layer("grade", "adjustment")
    with pytest.raises(StepImpossible, match=r"is for adjustment edits and cannot hold a\s+stroke"):
        document.add_edits("grade", [stroke()])


def test_a_dragged_slider_is_one_step(document, daemon):
    document.add_layer("a", "sketch")
    for percent in range(100):
        document.change_layer("a", opacity=percent / 100)
    assert document.waiting == 2
    settle(document, daemon)
    assert daemon.at == 2
    document.change_layer("a", opacity=0.2)
    document.next_request()
    document.change_layer("a", opacity=0.1)
    assert document.waiting == 2, "what is on its way is not changed"


def test_undo_and_redo_here_and_at_the_daemon(document, daemon):
    document.add_edits("a", [stroke()])
    settle(document, daemon)
    (second,) = document.add_edits("a", [stroke()])
    document.undo()
    assert document.waiting == 0, "what was not sent is taken back here"
    document.undo()
    assert [step.kind for step in document.pending] == ["undo"]
    settle(document, daemon)
    assert shown(document) == stored(daemon) == []
    document.redo()
    settle(document, daemon)
    document.redo()
    settle(document, daemon)
    assert shown(document) == stored(daemon)
    assert shown(document)[0][1][1] == second
    document.undo()
    document.redo()
    assert document.waiting == 0, "an undo that was not sent is taken back"
    for _ in range(3):
        document.undo()
        settle(document, daemon)
    assert document.notes == ["There is nothing to undo."]


def test_a_refused_revision_is_fetched_and_the_step_fitted(document, daemon):
    document.add_edits("a", [stroke()])
    settle(document, daemon)
    other = settle(EditDocument("shot"), daemon)
    other.remove_layer("a")
    settle(other, daemon)
    (mine,) = document.add_edits("a", [stroke(7)])
    document.change_layer("a", opacity=0.5)
    settle(document, daemon)
    # The stroke is not lost: its layer is made again.
    assert stored(daemon) == shown(document) == [("a", [mine])]
    assert document.notes == []


def test_what_others_removed_cannot_be_changed_and_an_undo_hits_nobody_else(document, daemon):
    (one,) = document.add_edits("a", [stroke()])
    settle(document, daemon)
    other = settle(EditDocument("shot"), daemon)
    other.remove_edits([one])
    settle(other, daemon)
    document.move_edit(one, position=0)
    document.remove_edits([one])
    settle(document, daemon)
    assert document.notes == [
        f"Move stroke was not done: There is no edit {one!r} any more; somebody else removed it."
    ]
    other.add_edits("a", [stroke()])
    settle(other, daemon)
    document.undo()
    settle(document, daemon)
    assert "somebody else changed the edits" in document.notes[-1]
    assert shown(document) == stored(daemon) == shown(other)


def test_an_event_of_anothers_step_asks_for_a_fetch_and_that_of_ones_own_does_not(document, daemon):
    document.add_edits("a", [stroke()])
    request = document.next_request()
    revision = daemon.ask(request)
    document.noticed(revision)
    assert not document.needs_fetch
    document.confirmed(request.request_id, revision)
    assert not document.needs_fetch
    document.noticed(revision + 3)
    assert document.needs_fetch
    document.add_edits("a", [stroke()])
    assert document.next_request() is None, "it would be refused"


def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(document, daemon):
    document.add_edits("a", [stroke()])
    request = document.next_request()
    daemon.ask(request)
    document.refused(request.request_id, "timed_out", "No answer came.", {})
    assert document.held == "No answer came."
    assert document.next_request() is None
    saved = EditDocument.from_json(document.to_json())
    for again in (document, saved):
        again.reconnected()
        assert again.needs_fetch
        repeated = again.next_request()
        assert repeated == request
        settle_after = daemon.ask(repeated)
        again.confirmed(repeated.request_id, settle_after)
        assert shown(settle(again, daemon)) == stored(daemon)
    assert daemon.at == 1


def test_what_the_daemon_cannot_do_now_waits_and_what_it_never_will_is_dropped(document, daemon):
    document.add_edits("a", [stroke()])
    request = document.next_request()
    document.refused(request.request_id, "busy", "The worker is busy.", {})
    assert (document.waiting, document.held) == (1, "The worker is busy.")
    document.release()
    again = document.next_request()
    assert again.request_id != request.request_id
    document.refused(again.request_id, "bad_edit", "`edits[0].width` must be above 0.", {})
    assert document.waiting == 0
    assert document.notes == ["Stroke on 'a': `edits[0].width` must be above 0."]
    assert shown(document) == []


def test_steps_on_a_layer_that_was_refused_are_fitted(document, daemon):
    document.add_layer("a", "adjustment")
    document.change_layer("a", blend="add")
    document.add_layer("b", "sketch")
    settle(document, daemon)
    assert stored(daemon) == shown(document) == [("a", []), ("b", [])]
    assert "must be 'over' for adjustments" in document.notes[0]


def test_it_survives_a_saved_file_offline(document, daemon):
    document.add_edits("a", [stroke()])
    settle(document, daemon)
    document.add_edits("a", [stroke(3)])
    document.remove_layer("a")
    document.add_layer("b", "texture")
    text = document.to_json()
    opened = EditDocument.from_json(text)
    assert shown(opened) == shown(document) == [("b", [])]
    assert opened.waiting == 3
    assert opened.needs_fetch
    assert json.loads(opened.to_json()) == json.loads(text)
    assert shown(settle(opened, daemon)) == stored(daemon) == [("b", [])]
    assert daemon.at == 4


@pytest.mark.parametrize("fresh", [True, False])
def test_a_daemon_that_lost_the_edits_gets_them_back(document, daemon, fresh):
    for x in range(3):
        document.add_edits("a", [stroke(x)])
    settle(document, daemon)
    before = shown(document)
    if fresh:
        daemon = Daemon()
    else:
        daemon.states, daemon.at, daemon.revision = [EditStack()], 0, daemon.revision + 3
    opened = settle(EditDocument.from_json(document.to_json()), daemon)
    assert shown(opened) == []
    assert "Restore puts them back" in opened.notes[0]
    opened = settle(EditDocument.from_json(opened.to_json()), daemon)
    opened.restore()
    assert opened.lost == ()
    assert shown(settle(opened, daemon)) == stored(daemon) == before


def test_an_older_answer_that_crossed_is_ignored(document, daemon):
    old = daemon.describe()
    document.add_edits("a", [stroke()])
    exchange(document, daemon)
    document.merged(*old)
    assert shown(document) == stored(daemon)


def test_a_texture_is_fetched_for_the_name_that_it_is_stored_by(document, daemon):
    texture = {"type": "texture", "frame": 1, "x": 5, "y": 5, "width": 9, "height": 9}
    document.add_edits("sign", [{**texture, "image": "/plates/logo.png"}])
    exchange(document, daemon)
    assert document.needs_fetch
    settle(document, daemon)
    document.add_edits("sign", [{**texture, "image": "sha256:" + "0" * 64}])
    exchange(document, daemon)
    assert not document.needs_fetch


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version":1,"shot":"s","revision":1,"layers":[{}],"pending":[],"lost":[]}',
        '{"version":1,"shot":"s","revision":1,"layers":[],"pending":[{"kind":"undo"}],"lost":[]}',
        '{"version":1,"shot":"s","revision":1,"layers":[],"pending":[{"what":"undo"}],"lost":[]}',
        '{"version":1,"shot":"s","revision":1,"layers":[{"name":"a","kind":"sketch","edits":[{}]}],"pending":[],"lost":[]}',
    ],
)
def test_a_damaged_file_says_so(text):
    with pytest.raises(DocumentError, match="cannot be read"):
        EditDocument.from_json(text)


def test_a_newer_file_says_so():
    with pytest.raises(DocumentError, match="of version 2, this plugin reads up to 1"):
        EditDocument.from_json('{"version": 2}')


# Random steps

NAMES = ("a", "b", "c")


def random_step(rng, document):
    """Something that an artist may do by chance; what cannot be is refused."""
    ids = [edit["id"] for layer in document.layers for edit in layer["edits"]]
    name, one = rng.choice(NAMES), rng.choice(ids) if ids else "none"
    position = rng.choice((None, 0, 1, 2))
    rng.choice(
        (
            lambda: document.add_layer(name, rng.choice(("sketch", "adjustment")), position),
            lambda: document.add_edits(name, [stroke(rng.random()), stroke(rng.random())]),
            lambda: document.add_edits(name, [stroke(rng.random())]),
            lambda: document.replace_edit(stroke(rng.random(), id=one)),
            lambda: document.move_edit(one, rng.choice((None, name)), position),
            lambda: document.move_layer(name, position or 0),
            lambda: document.rename_layer(name, rng.choice(NAMES)),
            lambda: document.change_layer(name, opacity=rng.random()),
            lambda: document.remove_edits([one]),
            lambda: document.remove_layer(name),
            document.undo,
            document.redo,
        )
    )()


@given(st.integers(0, 2**32), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_two_artists_and_lost_answers_end_with_the_same_edits(seed, count):
    rng = random.Random(seed)
    daemon = Daemon()
    documents = [settle(EditDocument("shot"), daemon) for _ in range(2)]
    for _ in range(count):
        number = rng.randrange(2)
        document = documents[number]
        chance = rng.random()
        try:
            if chance < 0.55:
                random_step(rng, document)
            elif chance < 0.7:
                exchange(document, daemon)
            elif chance < 0.8:
                request = document.next_request()
                if request is not None:
                    # Lost on the way there, or on the way back.
                    if rng.random() < 0.5:
                        try:
                            daemon.ask(request)
                        except InveError:
                            continue
                        finally:
                            document.refused(request.request_id, "unreachable", "No daemon.", {})
                    document.reconnected()
            elif chance < 0.9:
                document.merged(*daemon.describe())
            else:
                documents[number] = EditDocument.from_json(document.to_json())
        except StepImpossible:
            continue
    for document in documents * 2:
        document.release()
        document.noticed(daemon.revision)
        settle(document, daemon)
    for document in documents:
        assert shown(document) == stored(daemon)
        # Layers get their ids from the daemon, and nothing here needs them.
        layers = [
            {**layer, "id": known.id}
            for layer, known in zip(document.layers, daemon.states[daemon.at].layers, strict=True)
        ]
        assert parse_stack({"version": 2, "layers": layers}) == daemon.states[daemon.at]


@given(st.integers(0, 2**32), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_a_step_shows_what_the_daemon_makes_of_it(seed, count):
    rng = random.Random(seed)
    daemon = Daemon()
    document = settle(EditDocument("shot"), daemon)
    for _ in range(count):
        try:
            random_step(rng, document)
        except StepImpossible:
            continue
        before = shown(document)
        if document.pending and document.pending[-1].kind in ("undo", "redo"):
            settle(document, daemon)
            document.notes.clear()
            continue
        settle(document, daemon)
        assert before == shown(document) == stored(daemon)
        assert document.notes == []


def test_steps_never_change_what_they_are_given():
    layers = ({"name": "a", "kind": "sketch", "edits": [stroke(id="x"), stroke(id="y")]},)
    before = json.dumps(layers)
    for step in (
        Step(
            "patch_edits", "", edits=({"layer": "a", "id": "x"}, {"layer": "a", "edit": stroke(id=new_id())})
        ),
        Step("patch_edits", "", layers=({"name": "a", "opacity": 0.5}, {"name": "b", "kind": "sketch"})),
        Step("remove_edits", "", edits=("x",)),
    ):
        apply(layers, step)
        assert json.dumps(layers) == before
