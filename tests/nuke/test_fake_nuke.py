"""The stand-in for Nuke has nothing that the public stubs of Nuke's API (types-nuke) have not, and works."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import OpenImageIO as oiio  # noqa: N813 - the name that its own documentation uses
import pytest

from stage import FakeNukeError, Stage

Function = ast.FunctionDef


def _stub_files() -> list[Path]:
    try:
        files = importlib.metadata.files("types-nuke") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("types-nuke is not installed; `make setup` brings it")
    return [Path(str(file.locate())) for file in files if file.suffix == ".pyi"]


class Stubs:
    """The names that Nuke's stubs have."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.functions: dict[str, list[Function]] = {}
        self.classes: dict[str, ast.ClassDef] = {}
        modules = {"_nuke", "callbacks", "executeInMain", "utils", "scripts", "colorspaces", "overrides"}
        for path in _stub_files():
            if path.stem in modules:
                for node in ast.parse(path.read_text()).body:
                    self._take(node)

    def _take(self, node: ast.stmt) -> None:
        if isinstance(node, Function):
            self.functions.setdefault(node.name, []).append(node)
            self.names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            self.classes[node.name] = node
            self.names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            self.names.add(node.target.id)

    def methods(self, class_name: str, method: str) -> list[Function]:
        """The nearest definitions of a method, of the class itself or what it is made from."""
        stub = self.classes[class_name]
        own = [node for node in stub.body if isinstance(node, Function) and node.name == method]
        if own:
            return own
        bases = (ast.unparse(base).partition("[")[0] for base in stub.bases)
        return [found for base in bases if base in self.classes for found in self.methods(base, method)]


def _unlike(ours: inspect.Signature, theirs: list[Function], *, bound: bool) -> str:
    """What our arguments have that the documented ones have not; "" where nothing.

    Ours may be fewer, and may refuse to be called by name, which is the only way where none is documented.
    """
    given = [parameter for name, parameter in ours.parameters.items() if name not in ("self", "cls")]
    mine = [p for p in given if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    named = {p.name for p in given if p.kind is p.KEYWORD_ONLY}
    for stub in theirs:
        names = [argument.arg for argument in stub.args.args]
        names = names[1:] if bound and names[:1] in (["self"], ["cls"]) else names
        names += ["(any)"] * (len(mine) if stub.args.vararg is not None else 0)
        fits = (
            parameter.name == name or parameter.kind is parameter.POSITIONAL_ONLY
            for parameter, name in zip(mine, names, strict=False)
        )
        if (
            len(mine) <= len(names)
            and all(fits)
            and named <= {argument.arg for argument in stub.args.kwonlyargs}
        ):
            return ""
    return f"{ours} against {[ast.unparse(stub.args) for stub in theirs]}"


def test_nothing_in_the_stand_in_is_undocumented(nuke: ModuleType) -> None:
    stubs, wrong, seen = Stubs(), [], 0
    ignored = {"annotations", "builtins", "Any", "FakeNukeError", "current"}
    for name, value in vars(nuke).items():
        if name.startswith("_") or name in ignored or inspect.ismodule(value):
            continue
        seen += 1
        if name not in stubs.names:
            wrong.append(f"nuke.{name} is not documented")
        elif inspect.isclass(value):
            wrong += _wrong_methods(name, value, stubs)
        elif inspect.isfunction(value):
            unlike = _unlike(inspect.signature(value), stubs.functions[name], bound=False)
            wrong += [f"nuke.{name}: {unlike}"] if unlike else []
    assert not wrong, "\n".join(wrong)
    assert seen > 80


def test_the_constants_of_curves_are_documented(nuke: ModuleType) -> None:
    curvelib = importlib.import_module("nuke.curvelib")
    (path,) = (path for path in _stub_files() if path.stem == "_curvelib")
    documented = {
        f"{node.name}.{line.target.id}"
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }
    ours = {
        f"{name}.{constant}"
        for name, value in vars(curvelib).items()
        if inspect.isclass(value)
        for constant in vars(value)
        if not constant.startswith("_")
    }
    assert ours <= documented, ours - documented
    assert len(ours) > 30


def _wrong_methods(name: str, ours: type, stubs: Stubs) -> list[str]:
    wrong = []
    for method, value in inspect.getmembers(ours, callable):
        if method.startswith("_") or hasattr(BaseException, method) or method == "mro":
            continue
        theirs = stubs.methods(name, method)
        if not theirs:
            wrong.append(f"nuke.{name}.{method} is not documented")
        else:
            unlike = _unlike(inspect.signature(value), theirs, bound=True)
            wrong += [f"nuke.{name}.{method}: {unlike}"] if unlike else []
    return wrong


def test_a_typo_is_loud(nuke: ModuleType) -> None:
    read = nuke.nodes.Read()
    with pytest.raises(FakeNukeError, match="getColourspaces"):
        nuke.getColourspaces()
    with pytest.raises(NameError, match="does not exist"):
        read["files"]
    with pytest.raises(NameError, match="does not exist"):
        nuke.nodes.Read(fiel="a.exr")
    with pytest.raises(RuntimeError, match="Unknown command"):
        nuke.nodes.Raed()
    with pytest.raises(AttributeError):
        read.colour = 1
    with pytest.raises(TypeError):
        nuke.addOnDestroy(print, node_class="Group")
    with pytest.raises(FakeNukeError, match="no choice"):
        read["before"].setValue("holds")
    with pytest.raises(FakeNukeError, match="subclassed"):
        type("Mine", (nuke.ProgressTask,), {})


def test_a_script_comes_back_as_it_was_saved(nuke: ModuleType, tmp_path: Path) -> None:
    read = nuke.nodes.Read(file="/plates/a shot.%04d.exr", first=1001, last=1024)
    grade = nuke.nodes.Grade(inputs=[read])
    grade["multiply"].setValue([1, 2, 3.5, 1])
    pin = nuke.nodes.CornerPin2D(inputs=[grade])
    pin["to1"].fromScript("{curve x1001 10.25} 0")
    pin["to1"].setValueAt(12.5, 1005, 0)
    pin["to2"].setExpression("frame*2", 1)
    with nuke.nodes.Group(name="Box", inputs=[]) as group:
        inside = nuke.nodes.Input(name="plate")
        nuke.nodes.Output(inputs=[inside])
    text = 'say "hi" [value x] {braces} $dollar \\ back\nnext line'
    knob = nuke.String_Knob("note", "a note")
    knob.setVisible(False)
    group.addKnob(knob)
    knob.setValue(text)
    group.setInput(0, pin)
    path = str(tmp_path / "shot.nk")
    nuke.scriptSave(path)
    nuke.scriptOpen(path)
    assert nuke.toNode("Read1")["file"].value() == "/plates/a shot.%04d.exr"
    assert nuke.toNode("Grade1")["multiply"].value() == [1, 2, 3.5, 1]
    (again,) = nuke.allNodes("CornerPin2D")
    assert again["to1"].getValueAt(1005, 0) == 12.5
    assert again["to1"].toScript() == "{curve x1001 10.25 x1005 12.5} 0"
    assert again["to2"].hasExpression(1)
    assert nuke.toNode("Box")["note"].value() == text
    assert not nuke.toNode("Box")["note"].visible()
    assert nuke.toNode("Box").input(0) is again
    assert nuke.toNode("Box.Output1").input(0) is nuke.toNode("Box.plate")


def test_one_undo_takes_a_whole_step_back(nuke: ModuleType) -> None:
    grade = nuke.nodes.Grade()
    with nuke.Undo():
        nuke.Undo.name("all of it")
        below = nuke.nodes.NoOp()
        grade.setInput(0, below)
        grade["multiply"].setValue(2)
    assert nuke.Undo.undoDescribe(0) == "all of it"
    nuke.undo()
    assert grade.input(0) is None
    assert grade["multiply"].value() == 1
    assert nuke.allNodes("NoOp") == []


def test_the_main_thread_is_guarded(nuke: ModuleType, stage: Stage) -> None:
    with pytest.raises(FakeNukeError, match="hang"):
        nuke.executeInMainThreadWithResult(print)
    results: list[object] = []
    thread = threading.Thread(
        target=lambda: results.append(nuke.executeInMainThreadWithResult(nuke.allNodes))
    )
    thread.start()
    stage.run_main_thread(5)
    thread.join()
    assert results == [[]]

    def touch() -> None:
        try:
            nuke.nodes.NoOp()
        except FakeNukeError as error:
            results.append(str(error))

    thread = threading.Thread(target=touch)
    thread.start()
    thread.join()
    assert "off the main thread" in str(results[-1])


def test_knob_changed_fires_only_while_the_panel_is_open(nuke: ModuleType) -> None:
    import stage as stages

    grade, heard = nuke.nodes.Grade(), []
    nuke.addKnobChanged(lambda: heard.append(nuke.thisKnob().name()), nodeClass="Grade")
    stages.move(grade, "multiply", 2)
    grade.showControlPanel()
    stages.move(grade, "multiply", 3)
    assert heard == ["showPanel", "multiply"]


def test_a_write_writes_what_a_read_reads(nuke: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.normal(0.5, 1, (4, 8, 3)).astype(np.float32)
    spec = oiio.ImageSpec(8, 4, 3, oiio.FLOAT)
    spec.x, spec.y, spec.full_width, spec.full_height = 1, 2, 12, 9
    spec.attribute("PixelAspectRatio", 2.0)
    out = oiio.ImageOutput.create("a.exr")
    assert out.open(str(tmp_path / "a.0007.exr"), spec)
    out.write_image(pixels)
    out.close()
    read = nuke.nodes.Read(file=str(tmp_path / "a.####.exr"), first=7, last=7)
    box = read.bbox()
    assert (box.x(), box.y(), box.w(), box.h()) == (1, 3, 8, 4)
    assert (read.width(), read.height(), read.pixelAspect()) == (12, 9, 2)
    write = nuke.nodes.Write(
        inputs=[read], file=str(tmp_path / "out" / "b.%04d.exr"), file_type="exr", raw=True
    )
    write["datatype"].setValue("32 bit float")
    with pytest.raises(RuntimeError, match="folder does not exist"):
        nuke.execute(write, 7, 7)
    write["create_directories"].setValue(True)
    nuke.execute(write, 7, 7)
    again = oiio.ImageInput.open(str(tmp_path / "out" / "b.0007.exr"))
    assert np.array_equal(again.read_image(oiio.FLOAT), pixels)
    assert (again.spec().x, again.spec().y, again.spec().full_width) == (1, 2, 12)
