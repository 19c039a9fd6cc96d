"""The node as text: INVE.nk, and a script saved with it, read by a grammar that is nobody else's."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import ModuleType

import nk_grammar
import pytest

from inve_nuke import node as nodes
from inve_nuke.node import InveNode
from stage import Stage

GOLDEN = Path(__file__).resolve().parent / "golden" / "inve_saved.nk"
HIDDEN = ["inve_key", "inve_document", "inve_result", "inve_arrived"]


@pytest.fixture
def toolset() -> nk_grammar.NkNode:
    """The Group of INVE.nk."""
    (group,) = nk_grammar.parse(Path(nodes.TOOLSET).read_text(encoding="utf-8"))
    return group


def options(definition: list[str]) -> dict[str, str]:
    """What follows the number and the name of an addUserKnob."""
    found, words = {}, definition[2:]
    while words:
        if words[0][0] in "+-":
            found[words.pop(0)] = ""
        else:
            key = words.pop(0)
            found[key] = words.pop(0) + (f" {words.pop(0)}" if key == "R" else "")
    return found


def test_every_knob_has_a_name_of_ours_and_says_what_it_is_for(toolset: nk_grammar.NkNode) -> None:
    assert all(definition[1].startswith("inve") for definition in toolset.user_knobs)
    names = [definition[1] for definition in toolset.user_knobs]
    assert len(set(names)) == len(names)
    for definition in toolset.user_knobs:
        # Tabs and lines of text need no words; hidden knobs are nobody's.
        if definition[0] not in ("20", "26") and definition[1] not in HIDDEN:
            assert options(definition).get("t", "").endswith("."), definition[1]
    assert [d[1] for d in toolset.user_knobs if "+HIDDEN" in options(d)] == HIDDEN


def test_buttons_call_an_action_and_say_where_the_plugin_lacks(toolset: nk_grammar.NkNode) -> None:
    called = {}
    for definition in toolset.user_knobs:
        if definition[0] == "22":
            # The grammar leaves what is in braces as it is written.
            text = re.sub(
                r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), options(definition)["T"]
            )
            tree = ast.parse(text)
            calls = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
            called[definition[1]] = [call for call in calls if call.startswith("actions.")]
            assert any("not installed in this Nuke" in call for call in calls)
    assert called == {
        f"inve_{name}": [f"actions.{name}(nuke.thisNode())"]
        for name in ("connect", "prepare", "cancel", "send_edits", "render", "track_selected", "export")
    }


def test_the_inputs_are_numbered_as_the_plugin_reads_them(toolset: nk_grammar.NkNode) -> None:
    inputs = {int(node.knobs.get("number", 0)): node.name for node in toolset.nodes if node.kind == "Input"}
    assert sorted(inputs) == sorted([nodes.PLATE, nodes.PAINT, nodes.VECTORS, *nodes.MATTES])
    assert (inputs[nodes.PLATE], inputs[nodes.PAINT], inputs[nodes.VECTORS]) == ("plate", "paint", "vectors")
    assert toolset.named("INVE_Switch").knobs["which"] == "{parent.inve_show*parent.inve_arrived}"
    assert toolset.named("INVE_Read").knobs["raw"] == "true"


def test_the_stand_in_reads_it_as_the_grammar_does(toolset: nk_grammar.NkNode, nuke: ModuleType) -> None:
    made = nuke.nodePaste(nodes.TOOLSET)
    assert [node.name() for node in made.nodes()] == [node.name for node in toolset.nodes]
    assert [knob.name() for knob in made.allKnobs() if knob.name().startswith("inve")] == [
        definition[1] for definition in toolset.user_knobs
    ]
    for definition in toolset.user_knobs:
        knob = made[definition[1]]
        given = toolset.knobs.get(definition[1])
        assert knob.label() == options(definition).get("l", definition[1])
        assert knob.tooltip() == options(definition).get("t", "")
        if given is not None:
            assert knob.toScript() == given


def shown_script(nuke: ModuleType, tmp_path: Path) -> str:
    """A script with a plate, paint and an INVE node that shows a result, as the stand-in saves it."""
    from inve_nuke.host import NukeHost

    read = nuke.nodes.Read(file="/plates/sh 010/plate.%04d.exr", first=1001, last=1010)
    paint = nuke.nodes.RotoPaint(inputs=[read])
    paint["curves"].fromScript(
        "{{v x3f99999a}\n  {f 0}\n  {n\n   {layer Root\n    {f 2097152}\n    {t x44700000}}}}"
    )
    nuke.root()["first_frame"].setValue(1001)
    host = NukeHost()
    node = nodes.insert(host)
    for index, source in ((nodes.PLATE, read), (nodes.PAINT, paint)):
        assert node.host_node.setInput(index, source)
    host.set_values(
        node.host_node,
        {
            "inve_shot": "sh010",
            "inve_first": 1001,
            "inve_last": 1010,
            "inve_reference": 1004,
            "inve_hue": -20,
        },
    )
    host.set_value(node.host_node, "inve_hue", -20)
    node.key = "0123456789ab"
    node.document = '{"version": 2, "shot": "sh010", "layers": [{"name": "adjust {sky} [1] $2"}]}'
    node.result = {"state": 1, "folder": "/cache/inve/0123456789ab", "shot": "sh010", "version": 3}
    node.show_result("/cache/inve/0123456789ab/sh010.v0003.%04d.exr", 1001, 1010, set(range(1001, 1008)))
    node.rest()
    path = tmp_path / "golden.nk"
    nuke.scriptSave(str(path))
    return path.read_text(encoding="utf-8").replace(f" name {path}\n", " name /shots/golden.nk\n")


def test_a_saved_script_is_as_it_was(nuke: ModuleType, tmp_path: Path) -> None:
    """What scripts hold must not change by chance: older ones are to open with newer plugins."""
    assert shown_script(nuke, tmp_path) == GOLDEN.read_text(encoding="utf-8")


def test_a_script_saved_before_opens(stage: Stage, nuke: ModuleType) -> None:
    from inve_nuke.host import NukeHost

    nuke.scriptOpen(str(GOLDEN))
    node = InveNode(NukeHost(), nuke.toNode("INVE1"))
    settings = node.settings()
    settings.check()
    assert (settings.shot, settings.first, settings.last, settings.reference_frame) == (
        "sh010",
        1001,
        1010,
        1004,
    )
    assert settings.grade["hue"] == -20
    assert node.plate["file"].value() == "/plates/sh 010/plate.%04d.exr"
    assert node.paint is nuke.toNode("RotoPaint1")
    assert node.paint["curves"].toScript().startswith("{{v x3f99999a}")
    assert node.key == "0123456789ab"
    assert node.result["version"] == 3
    assert '"adjust {sky} [1] $2"' in node.document
    read = node.host_node.node("INVE_Read")
    assert read["file"].value() == "/cache/inve/0123456789ab/sh010.v0003.%04d.exr"
    which = node.host_node.node("INVE_Switch")["which"]
    assert [which.getValueAt(frame) for frame in (1001, 1007, 1008)] == [1, 1, 0]


def test_the_grammar_reads_a_saved_script(stage: Stage) -> None:
    read = nk_grammar.parse(GOLDEN.read_text(encoding="utf-8"))
    assert [node.kind for node in read] == ["Root", "Read", "RotoPaint", "Group"]
    group = read[-1]
    assert group.knobs["inve_arrived"] == "{curve K x1001 1 K x1008 0}"
    assert group.knobs["inve_shot"] == "sh010"
    assert group.named("INVE_Read").knobs["file"].endswith("sh010.v0003.%04d.exr")
