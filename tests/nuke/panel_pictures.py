"""The panel as the README shows it, drawn without a screen: python tests/nuke/panel_pictures.py FOLDER"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from panel_support import Stage, add_layers, connected, learning, shot, stage

from inve_client.plugin.messages import JobNews, Problem, ShotNews
from inve_client.plugin.rendering import Run
from inve_nuke.panel.qt import QtGui, QtWidgets
from inve_nuke.panel.view import Entry
from inve_nuke.panel.window import InvePanel

SIZE = (380, 520)
NODES = (Entry("a", "INVE1", "sh010_plate", True), Entry("b", "INVE2", "", False))


def not_connected() -> Stage:
    return stage(*NODES)


def preparing() -> Stage:
    made = stage(*NODES)
    made.news(connected())
    made.session.remember_shot(shot("sh010_plate", trained=False, final=False, report={}))
    made.news(JobNews(learning("sh010_plate")))
    return made


def editing() -> Stage:
    made = stage(*NODES)
    made.news(connected())
    made.session.remember_shot(shot("sh010_plate"))
    document = made.shots.documents["a"]
    add_layers(document, ["paint", "scratches", "adjust_sky", "logo"])
    document.change_layer("scratches", enabled=False)
    document.change_layer("adjust_sky", opacity=0.6)
    run = Run("sh010_plate", "", tuple(range(1001, 1049)), 1013, total=48)
    run.queue = list(range(1014, 1044))
    made.shots.runs = {"a": run}
    made.news(ShotNews("sh010_plate", "edits", 5))
    return made


def error() -> Stage:
    made = editing()
    made.shots.runs = {}
    made.session.fail(
        Problem(
            "out_of_memory",
            "Learning 'sh010_plate' at 1536 pixels must fit into the GPU's memory of 24.0 GB, got 25.1 GB.",
        )
    )
    made.log.say("Learning 'sh010_plate' failed.")
    return made


PICTURES = {"not_connected": not_connected, "preparing": preparing, "editing": editing, "error": error}


def draw(made: Stage) -> QtGui.QPixmap:
    """A panel's picture."""
    panel = InvePanel(made.model)
    panel.resize(*SIZE)
    panel.show()
    application().processEvents()
    picture = panel.grab()
    panel.hide()
    return picture


@functools.cache
def application() -> QtWidgets.QApplication:
    """The one that there is, in a style much like Nuke's; it lives as long as somebody keeps it."""
    made = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
    assert isinstance(made, QtWidgets.QApplication)
    made.setStyle("Fusion")
    return made


def main(folder: str) -> None:
    application()
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        path = Path(folder) / f"{name}.jpg"
        assert draw(make()).save(str(path), "jpg", 90), path
        print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
