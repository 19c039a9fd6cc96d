"""The text of a curves knob, there and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inve_nuke.curve_script import Layer, Points, Shape, Stroke, Unknown, Values, parse
from inve_nuke.curve_values import LINEAR, Curve, Expression, Key, Value
from inve_nuke.curve_writing import write
from inve_nuke.script_words import MAX_DEPTH, ScriptError, node_text, tree

GOLDEN = Path(__file__).parent / "golden"
GOLDEN_CURVES = sorted(GOLDEN.glob("*.curves"))


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.curves").read_text()


def named(layer: Layer, name: str) -> Stroke | Shape | Layer | Unknown:
    return next(element for element in layer.elements if element.name == name)


def test_a_stroke_with_bits_and_one_with_decimals() -> None:
    root = parse(golden("strokes_hexadecimal"))
    assert (root.name, root.flags, root.transform.values) == ("Root", 2097152, (960.0, 540.0))
    upper, lower = root.elements
    assert isinstance(upper, Stroke)
    assert isinstance(lower, Stroke)
    assert upper.points == Points(((400.0, 300.0, 0.5), (430.0, 320.0, 0.75), (460.0, 340.0)))
    assert upper.points.plain
    assert (upper.kind, upper.flags, upper.curve_flags) == ("catmullrom", 512, 2080)
    assert [upper.attributes[name] for name in ("r", "g", "b", "opc", "bs", "ltn", "ltt")] == [
        1.0,
        0.5,
        0.25,
        0.75,
        20.0,
        1002.0,
        2.0,
    ]
    assert lower.points.points == ((100.0, 200.0, 1.0), (150.5, 210.25, 1.0))
    assert lower.transform == Values((125.0, 205.125), 1001.0)


def test_layers_nest_and_a_quoted_name_has_its_blanks() -> None:
    root = parse(golden("layers"))
    assert [element.name for element in root.elements] == ["Top", "Hair", "Adjust warm", "Eraser1", "Bottom"]
    hair = named(root, "Hair")
    assert isinstance(hair, Layer)
    assert [element.name for element in hair.elements] == ["Strands", "Hidden1", "Hidden2", "Brush1"]


def test_expressions_keep_their_text_and_what_they_were() -> None:
    root = parse(golden("refused"))
    drawn, driven = named(root, "Expression"), named(root, "Driven")
    assert isinstance(drawn, Stroke)
    assert isinstance(driven, Stroke)
    assert drawn.points.points[0][:2] == (
        Expression("parent.input.to4.x", "x44e30000"),
        Expression("parent.input.to4.y", "x44670000"),
    )
    assert not drawn.points.plain
    assert driven.attributes["bs"] == Expression(
        "clamp(parent.lineSpacing, 0.05, 10000)", "{{0 x3d4ccccd -}}"
    )


def test_a_shape_has_feather_offsets_or_none() -> None:
    root = parse(golden("shapes"))
    plain, feathered = named(root, "Soft"), named(root, "Feathered")
    assert isinstance(plain, Shape)
    assert isinstance(feathered, Shape)
    assert plain.feather is None
    assert feathered.feather is not None
    assert feathered.feather.points[1] == (-8.0, -8.0)


def test_several_times_are_keys_that_neighbours_share() -> None:
    keyed = named(parse(golden("shapes")), "Keyed")
    assert isinstance(keyed, Shape)
    assert keyed.points.points[1] == (
        Curve((Key(1001, 100.0, LINEAR), Key(1011, 110.0, LINEAR))),
        Curve((Key(1001, 100.0, LINEAR), Key(1011, 100.0, LINEAR))),
    )


def test_a_damaged_element_leaves_the_others() -> None:
    root = parse(golden("refused"))
    damaged = named(root, "Damaged")
    assert isinstance(damaged, Unknown)
    assert "cannot be read" in damaged.problem
    assert isinstance(named(root, "Kept"), Stroke)


@pytest.mark.parametrize(
    "points", ["p {1 2 3 4}", "p {{=a}} {1 2}", "p 1 2", "px 1001 {1}", "px {1 2} {{1 2}}"]
)
def test_points_of_another_size_are_no_points(points: str) -> None:
    stroke = f"{{cubiccurve B 512 catmullrom {{cc {{f 2080}} {{{points}}}}} {{t 0}} {{a}}}}"
    (element,) = parse(f"{{{{v 1}} {{n {{layer Root {{a}} {stroke}}}}}}}").elements
    assert isinstance(element, Unknown)


def test_flags_and_transforms_may_be_missing() -> None:
    root = parse(
        '{{v 1} {n {layer Root {a} {cubiccurve "Brush 1" 512 catmullrom {cc {p {1 2 1}}} {t 0} {a bs 3}}}}}'
    )
    (stroke,) = root.elements
    assert isinstance(stroke, Stroke)
    assert (stroke.name, stroke.curve_flags, root.transform) == ("Brush 1", 0, Values())


def test_a_script_has_braces_around_the_knob_and_a_warp_has_words_before_it() -> None:
    text = golden("strokes_hexadecimal")
    assert parse(f"{{{text}}}") == parse(text)
    assert parse(f"AddMode 0 0 0 0 {text}") == parse(text)


@pytest.mark.parametrize("path", GOLDEN_CURVES, ids=lambda path: path.stem)
def test_golden_curves_come_back_from_their_text(path: Path) -> None:
    root = parse(path.read_text())
    if any(isinstance(element, Unknown) for element in root.elements):
        with pytest.raises(ValueError, match="cannot be written"):
            write(root)
        return
    again = write(root)
    assert parse(again) == root
    assert write(parse(again)) == again


# Damage


def refusal_of(text: str) -> str:
    """The sentence that a text is refused with, "." where it is read; nothing else may be raised."""
    try:
        parse(text)
    except ScriptError as refusal:
        return refusal.problem.message
    return "."


def test_a_text_that_ends_too_early_says_where_it_was() -> None:
    with pytest.raises(ScriptError) as caught:
        parse("{{v 1}\n {n\n  {layer Root")
    assert caught.value.problem.message == (
        "The curves end inside of 3 open braces, the innermost opened at line 3, column 3; read them from "
        "the node again."
    )


def test_a_brace_or_a_quote_too_many_says_where_it_is() -> None:
    with pytest.raises(ScriptError, match="one too many at line 2, column 3"):
        parse("{{v 1}}\n  }")
    with pytest.raises(ScriptError, match="one alone at line 1, column 9"):
        parse('{layer a"b {}')


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 100_000])
def test_deep_nesting_is_a_sentence_and_no_recursion_error(depth: int) -> None:
    with pytest.raises(ScriptError, match=f"at most {MAX_DEPTH} braces deep"):
        parse("{" * depth + "x y" + "}" * depth)


def test_as_many_layers_as_braces_may_nest_are_read_and_written() -> None:
    count = MAX_DEPTH - 4
    text = "{{v 1} {n " + "{layer L {a} " * count + "}" * count + "}}"
    root = parse(text)
    assert parse(write(root)) == root


@pytest.mark.parametrize("text", ["", "  ", "{}", "word", "{{v 1}}", "{{n}}", "{{v 1} {n {cubiccurve}}}"])
def test_what_has_no_root_layer_is_refused(text: str) -> None:
    with pytest.raises(ScriptError, match="must be a version and a root layer"):
        parse(text)


def test_a_damaged_layer_is_one_element_and_a_damaged_root_none() -> None:
    inner = parse("{{v 1} {n {layer Root {a} {layer Hair {a vis}}}}}").elements[0]
    assert inner == Unknown("Hair", "cannot be read (an attribute has no value)")
    with pytest.raises(ScriptError, match="root layer 'Root' cannot be read"):
        parse("{{v 1} {n {layer Root {a vis}}}}")


def test_the_form_of_nuke_6_says_what_to_do() -> None:
    with pytest.raises(ScriptError, match="Nuke 6"):
        parse('AddMode 0 1 0 7 Bezier1 AnimTree: "" {\n Version: 1.2\n}')


@pytest.mark.parametrize("path", GOLDEN_CURVES, ids=lambda path: path.stem)
def test_cut_anywhere_it_is_read_or_refused(path: Path) -> None:
    text = path.read_text()
    for end in range(0, len(text), 7):
        assert refusal_of(text[:end]).endswith(".")


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_anywhere_it_is_read_or_refused(data: st.DataObject) -> None:
    text = golden(data.draw(st.sampled_from([path.stem for path in GOLDEN_CURVES])))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    junk = data.draw(st.text('{}"\\ x0=a\n', max_size=6))
    assert refusal_of(text[:start] + junk + text[end:]).endswith(".")


# Properties

singles = st.floats(width=32, allow_nan=False, allow_infinity=False)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
expressions = st.builds(
    Expression, st.text("abc.*+()/ {}\"'\\", min_size=1, max_size=20), st.sampled_from(("", "x41c80000"))
)
curves = st.lists(st.tuples(singles, singles), min_size=1, max_size=4, unique_by=lambda pair: pair[0]).map(
    lambda pairs: Curve(tuple(Key(time, value, LINEAR) for time, value in sorted(pairs)))
)
values: st.SearchStrategy[Value] = st.one_of(singles, curves, expressions)
transforms = st.builds(Values, st.lists(values, max_size=5).map(tuple), st.none()) | st.builds(
    Values, st.lists(singles, max_size=5).map(tuple), singles
)
attributes = st.dictionaries(names, values, max_size=4)


def points_of(sizes: st.SearchStrategy[int]) -> st.SearchStrategy[Points]:
    def rows(one: st.SearchStrategy[Value]) -> st.SearchStrategy[tuple[tuple[Value, ...], ...]]:
        row = sizes.flatmap(lambda size: st.tuples(*[one] * size))
        return st.lists(row, max_size=5).map(tuple)

    return st.builds(Points, rows(values), st.none()) | st.builds(Points, rows(singles), singles)


flags = st.integers(0, 2**22)
strokes = st.builds(
    Stroke, names, flags, st.just("catmullrom"), flags, points_of(st.integers(2, 3)), transforms, attributes
)
shapes = st.builds(
    Shape,
    names,
    flags,
    st.just("bezier"),
    flags,
    points_of(st.just(2)),
    st.none() | points_of(st.just(2)),
    transforms,
    attributes,
)
layers = st.recursive(
    st.builds(Layer, names, flags, transforms, attributes, st.lists(strokes | shapes, max_size=3).map(tuple)),
    lambda inner: st.builds(
        Layer, names, flags, transforms, attributes, st.lists(strokes | inner, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(layers)
def test_any_tree_comes_back_from_its_text(root: Layer) -> None:
    assert parse(write(root)) == root


words = st.recursive(names, lambda inner: st.lists(inner, max_size=4), max_leaves=20)


@given(st.lists(words, max_size=5))
def test_any_words_come_back_from_their_text(nodes: list[object]) -> None:
    assert tree(" ".join(map(node_text, nodes)), "The words") == nodes  # type: ignore[arg-type]
