"""The panel in PySide6, without a screen: what is clicked reaches the model, and what changes is drawn."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", reason="PySide6-Essentials is not installed", exc_type=ImportError)
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from panel_pictures import PICTURES, SIZE, application, draw
from panel_support import Stage, add_layers, connected, lost, shot, stage

from inve_client.plugin.messages import Problem
from inve_nuke.panel.qt import QtCore
from inve_nuke.panel.view import Entry
from inve_nuke.panel.window import InvePanel

ONE, TWO = Entry("a", "INVE1", "plate", True), Entry("b", "INVE2", "", False)
CHECK = QtCore.Qt.ItemDataRole.CheckStateRole
LAYERS = 200


@pytest.fixture
def shown() -> Iterator[tuple[Stage, InvePanel]]:
    application()
    made = stage(ONE, TWO)
    add_layers(made.shots.documents["a"], ["low", "middle", "top"])
    panel = InvePanel(made.model)
    panel.resize(*SIZE)
    panel.show()
    yield made, panel
    panel.close()


def names(panel: InvePanel) -> list[str]:
    model = panel.layers.rows
    return [model.data(model.index(row, 0)) for row in range(model.rowCount())]


def test_a_click_is_a_step(shown: tuple[Stage, InvePanel]) -> None:
    made, panel = shown
    document = made.shots.documents["a"]
    rows = panel.layers.rows
    assert names(panel) == ["top", "middle", "low"]
    assert rows.setData(rows.index(1, 0), QtCore.Qt.CheckState.Unchecked, CHECK)
    panel.layers.list.setCurrentIndex(rows.index(2, 0))
    panel.layers.slider.setValue(40)
    panel.layers.buttons["Up"].click()
    # The list is shown anew after Qt has ended its edit.
    application().processEvents()
    assert names(panel) == ["top", "low", "middle"]
    assert [layer["enabled"] for layer in document.layers] == [False, True, True]
    assert document.layer("low")["opacity"] == 0.4
    assert panel.layers.number.text() == "0.40"
    panel.layers.number.setText("0,55")
    panel.layers.number.editingFinished.emit()
    assert (document.layer("low")["opacity"], panel.layers.slider.value()) == (0.55, 55)
    for typed in ("much", ""):
        panel.layers.number.setText(typed)
        panel.layers.number.editingFinished.emit()
        assert panel.layers.number.text() == "0.55"
    assert panel.layers.list.currentIndex().row() == 1
    panel.layers.buttons["Delete"].click()
    assert names(panel) == ["top", "middle"]
    panel.layers.buttons["Undo"].click()
    assert names(panel) == ["top", "low", "middle"]
    assert panel.layers.state.text() == "4 steps to be confirmed"  # a tick, an opacity, a place, an opacity


def test_a_name_is_edited(shown: tuple[Stage, InvePanel]) -> None:
    made, panel = shown
    rows = panel.layers.rows
    assert rows.setData(rows.index(0, 0), " sky ", QtCore.Qt.ItemDataRole.EditRole)
    assert not rows.setData(rows.index(0, 0), "  ", QtCore.Qt.ItemDataRole.EditRole)
    application().processEvents()
    assert names(panel) == ["sky", "middle", "low"]
    assert rows.setData(rows.index(0, 0), "low", QtCore.Qt.ItemDataRole.EditRole)
    application().processEvents()
    assert names(panel) == ["sky", "middle", "low"]
    assert panel.problem.isVisible()
    assert "is a layer 'low' already" in panel.problem.message.text()
    made.model.dismiss()
    panel.look()
    assert not panel.problem.isVisible()


def test_what_the_daemon_lost_can_be_put_back(shown: tuple[Stage, InvePanel]) -> None:
    made, panel = shown
    document = made.shots.documents["a"]
    assert not panel.layers.buttons["Restore"].isVisible()
    document.reconnected()
    document.merged({"layers": []}, 1)
    made.shots.revision += 1
    panel.look()
    assert names(panel) == []
    panel.layers.buttons["Restore"].click()
    assert names(panel) == ["top", "middle", "low"]
    assert not panel.layers.buttons["Restore"].isVisible()


def test_the_connection_and_the_shots_are_shown(shown: tuple[Stage, InvePanel]) -> None:
    made, panel = shown
    assert panel.connection.button.text() == "Connect"
    panel.connection.button.click()
    assert made.shots.connected == ["a"]
    made.news(connected())
    made.session.remember_shot(shot("plate"))
    panel.look()
    assert (panel.connection.state.text(), panel.connection.button.text()) == ("Connected", "Disconnect")
    item = panel.shots.list.topLevelItem(0)
    assert [item.text(column) for column in range(3)] == ["INVE1", "plate", "Ready, 34.2 dB."]
    panel.shots.list.setCurrentItem(panel.shots.list.topLevelItem(1))
    assert made.shots.current == "b"
    assert names(panel) == []
    assert panel.layers.state.text().startswith("Select a prepared")
    made.news(lost())
    panel.look()
    assert panel.connection.state.text() == "No answer, trying again"


def test_a_panel_that_is_not_seen_does_not_look(shown: tuple[Stage, InvePanel]) -> None:
    made, panel = shown
    panel.hide()
    made.session.fail(Problem("failed", "It failed."))
    deadline = time.monotonic() + 0.3
    while time.monotonic() < deadline:
        application().processEvents()
    assert panel.problem.isHidden()
    panel.show()
    assert not panel.problem.isHidden()


def test_only_what_changed_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    application()
    made = stage(ONE)
    add_layers(made.shots.documents["a"], [f"layer {number}" for number in range(LAYERS)])
    panel = InvePanel(made.model)
    panel.resize(*SIZE)
    panel.show()
    application().processEvents()
    told: list[int] = []
    panel.layers.rows.dataChanged.connect(lambda first, last: told.append(first.row()))
    resets: list[bool] = []
    panel.layers.rows.modelReset.connect(lambda: resets.append(True))
    panel.layers.list.setCurrentIndex(panel.layers.rows.index(50, 0))
    spent = []
    for step in range(40):
        began = time.perf_counter()
        panel.layers.slider.setValue(90 - step)
        spent.append(time.perf_counter() - began)
        application().processEvents()
    assert told == [50] * 40
    assert resets == []
    with capsys.disabled():
        print(f"\n{LAYERS} layers: {1000 * max(spent):.2f} ms for a step of the slider, at most")
    panel.close()


@pytest.mark.parametrize("name", list(PICTURES))
def test_the_pictures_of_the_readme_can_be_drawn(name: str) -> None:
    application()
    picture = draw(PICTURES[name]()).toImage()
    assert picture.width() >= SIZE[0]
    colours = {picture.pixelColor(x, y).name() for x in range(0, 380, 2) for y in range(0, 520, 2)}
    # Greys, the orange of bars and ticks where there are any, text with its smooth edges.
    assert len(colours) > 50
