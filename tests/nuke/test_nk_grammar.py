"""The tests' own reader of .nk files."""

from __future__ import annotations

from pathlib import Path

import pytest
from nk_grammar import NkError, flat, parse

EXAMPLE = (Path(__file__).parent / "golden" / "example.nk").read_text()


def test_nodes_and_their_knobs() -> None:
    nodes = parse(EXAMPLE)
    assert [(node.kind, node.name) for node in nodes] == [
        ("Root", "/shots/a b/comp.nk"),
        ("Read", "Read1"),
        ("Group", "INVE1"),
        ("Viewer", "Viewer1"),
    ]
    read = nodes[1]
    assert read.knobs["file"] == "/plates/shot.%04d.exr"
    assert read.knobs["colorspace"] == "scene_linear (ACES - ACEScg)"


def test_a_groups_nodes_are_inside_of_it() -> None:
    group = parse(EXAMPLE)[2]
    assert [(node.kind, node.name) for node in group.nodes] == [
        ("Input", "plate"),
        ("Grade", "Grade1"),
        ("Switch", "Switch1"),
        ("Output", "Output1"),
    ]
    assert group.named("Switch1").knobs["which"] == "{parent.switch}"
    assert group.named("Grade1").knobs["white"] == "1 {=frame*2} 1 1"
    assert group.knobs["scale"] == "{curve x1001 1 x1010 2}"


def test_user_knobs_have_their_options() -> None:
    tab, button, status = parse(EXAMPLE)[2].user_knobs
    assert tab == ["20", "inve", "l", "INVE"]
    assert button[:4] == ["22", "prepare", "l", "Prepare"]
    assert button[5].startswith("import inve_nuke")
    assert status == ["26", "status", "l", "", "+STARTLINE", "T", " "]


def test_a_tracks_knob_is_words_in_braces() -> None:
    text = (Path(__file__).parent / "golden" / "tracker_two.tracks").read_text()
    (outer,) = flat(text)
    head, columns, rows = flat(outer.text)
    assert flat(head.text)[2].text == "2"
    assert (len(flat(columns.text)), len(flat(rows.text))) == (31, 2)
    assert [len(flat(row.text)) for row in flat(rows.text)] == [31, 31]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Read {\n file a\n", "line 1: { is never closed"),
        ("Read {\n}\n}\n", "line 3: a brace closes"),
        ("Group {\n name G\n}\n Output {\n}\n", "never ended"),
        ("end_group\n", "without a group"),
        ("Read {\n file\n}\n", "line 2: knob 'file' of Read has 0 values"),
        ("Read {\n file a b\n}\n", "knob 'file' of Read has 2 values"),
        ("Read {\n name R\n}\nRead {\n name R\n}\n", "line 4: a second node 'R'"),
        ("something else entirely\n", "neither a node nor a statement"),
        ('Read {\n label "a\n}\n', '" is never closed'),
        ("push\n", "push has 0 words"),
    ],
)
def test_what_is_no_nk_file_is_told(text: str, message: str) -> None:
    with pytest.raises(NkError) as caught:
        parse(text)
    assert message in str(caught.value)
